"""Where a module's tensors are and of which dtype, and how to change that.

A module has no device and no dtype of its own: its parameters and buffers have. Read *to* first, then
*dtype_casts*; *identity* tells what becomes of the parameter objects, of gradients and of ties. *meta* is
about modules without values, *cuda* about those on a GPU.
"""
