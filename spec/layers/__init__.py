"""What layers and losses have in common.

A layer is a module that torch brings along: parameters with known names and shapes, and a forward. Read
*linear* first, then *constructors* for the arguments that layers share. *convolution*, *recurrent*,
*normalisation*, *embeddings* and *attention* show the names and shapes of their parameters; *reshaping* and
*activations* are layers without any, and *losses* are modules as well. *tying* is about weights used more
than once.
"""
