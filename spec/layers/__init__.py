"""What layers and losses have in common.

A layer is a module that torch brings along: parameters with known names and shapes, and a forward. Read
*linear* first, then *constructors* for the arguments that layers share. *convolution*, *recurrent*,
*normalisation*, *embeddings* and *attention* show the names and shapes of their parameters;
*recurrent_computation* and *recurrent_cells* what recurrent layers make of them, *packed_sequences* what they
take. *attention_masks*, *causal_hints*, *transformers*, *transformer_options*, *fast_path* and
*nested_tensors* are about attention at work. *reshaping* and *activations* are layers without any parameters,
and *losses* are modules as well. One weight in several layers is in *sharing*, in the part on gradients.
"""
