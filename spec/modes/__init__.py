"""Training mode, evaluation mode, and what depends on them.

A module is in training mode or in evaluation mode; a few layers compute differently in the two. Read
*train_and_eval* first, which switches, then *dropout* and *batch_norm*, which are switched. *frozen_norm*
is about a switch that comes undone, *dropout_rates* about rates that change later, *instance_norm* and
*randomness_inside* about the rest. Freezing
parameters is not a mode: it is in the part on gradients.
"""
