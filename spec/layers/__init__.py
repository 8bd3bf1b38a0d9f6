"""What layers and losses have in common.

A layer is a module that torch brings along: parameters with known names and shapes, and a forward. Read
*linear* first, then *constructors* and *default_arguments* for the arguments that layers share.
*convolution*, *recurrent*, *normalisation*, *embeddings* and *attention* show the names and shapes of their
parameters. *convolution_arguments*, *convolution_inputs*, *transposed_convolution* and *embedding_bag* go on
from there; *convolution_sums*, *transposed_sums* and *norm_sums* say what is added up,
*normalized_dimensions* over what, *pooling* what windows cover, *upsampling* and *grid_sampling* where values
are read between elements, *padding_layers* what is put around them, *folding* where elements go that are only
moved. *recurrent_computation* and *recurrent_cells* say what recurrent layers compute; *recurrent_batches*,
*packed_sequences*, *packed_indices*, *padded_sequences* and *moving_packed_sequences* what they take.
*attention_masks*, *causal_hints*, *transformers*, *transformer_options*, *transformer_stacks*, *fast_path*
and *nested_tensors* are about attention at work, *own_transformer_layers* about layers of one's own,
*attention_rows* about what a query sees, *caches* about keys that are kept, *attention_errors*
about messages. *layer_shapes*, *recurrent_shapes*, *attention_shapes* and *loss_shapes* list the shapes that
go in and come out. *reshaping* and *activations* are layers without any parameters, *activation_values* is
what these compute, *similarities* and *one_hot* are about vectors, and *losses* are modules as well:
*loss_sums* are what they compute, *loss_reductions* what they make of their values, *classification_losses*
and *loss_arguments* what they take and refuse, *loss_dtypes* and *ignored_targets* what targets,
*loss_domains* what they make of values that they are not meant for, *ctc_loss*, *linear_cross_entropy* and
*adaptive_softmax* those with many arguments of their own. *parameter_counts* says how many numbers they
learn. *empty_layers* have no inputs or no outputs, *resized_weights* others than the layer was made for.
*complex_numbers* says which layers take those, *tensor_float_32* how exact linear layers and convolutions are
on a GPU. One weight in several layers is in *sharing*, in the part on gradients.
"""
