"""The tensors of a module: parameters and buffers, those whose shape comes later, and first values.

A :class:`~torch.nn.parameter.Parameter` is a tensor that a module registers when it is assigned. Read
*parameter* first, then *data*, *buffer*, *parameter_copies*, *swapped_tensors*, *parameter_subclasses* and
*parameter_classes*. An uninitialised parameter has no shape yet: *uninitialized* and *uninitialized_copies*,
then *lazy_modules*, *lazy_state* and *lazy_layers* show who makes them and who fills them in. How values get
in: *inplace_initialisation*, *init_functions*, *init_patterns*, *init_orthogonal_and_sparse*,
*init_truncated_normal*, *init_fans_and_gains*, *init_generators*, *init_errors*; what a layer does by itself:
*reset_parameters* and *reset_recurrent_parameters*, and without it *skip_init*.
"""
