"""Modules and functions: computing with tensors that a module does not hold.

A *function* of ``torch.nn.functional`` only computes; a *module* keeps parameters and buffers and calls
such functions. A *functional call* runs a module with other tensors in place of its own. Read
*functions_and_modules* first, then *functional_call* and *given_names*, which say how tensors are handed
over, *ties* for tensors with several names, *stateless* for the older form, and at the end *ensembles* and
*transforms*, which build on all of it. *per_sample_gradients* is an older way to one of the latter.
"""
