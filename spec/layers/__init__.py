"""What layers and losses have in common.

A layer is a module that torch brings along: parameters with known names and shapes, and a forward. Read
*linear* first, then *constructors* for the arguments that layers share. *convolution*, *recurrent*,
*normalisation*, *embeddings* and *attention* show the names and shapes of their parameters;
*packed_sequences* are what recurrent layers take, and *embedding_bag* is an embedding that reduces what it
looks up. *reshaping* and *activations* are layers without any parameters, and *losses* are modules as well.
One weight in several layers is in *sharing*, in the part on gradients.
"""
