"""Reparametrization: parameters that are computed from others.

A *parametrization* is a module through which a tensor of another module passes each time it is read; what is
kept and trained is the *original*. Read *registering* first, then *right_inverse*, *consistency*, *cached*,
*removing*, *transferring* and *added_parameters*. *weight_norm*, *spectral_norm* and *orthogonal* are
parametrizations that come with torch; *old_weight_norm* and *old_spectral_norm* are the forms before them,
made of hooks. *pruning*, *pruning_amounts*, *global_pruning*, *pruning_methods*, *pruning_classes* and
*pruning_errors* are about masks on parameters, *training_pruned_weights* about what an optimizer does to
them. *without_values* says which of them work on the meta device. *fusion* changes weights once: it makes a
batch normalisation part of the layer before it, *quantized_layers* stand in place of others afterwards.
"""
