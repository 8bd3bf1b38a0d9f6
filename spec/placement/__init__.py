"""Where a module's tensors are and of which dtype, and how to change that.

A module has no device and no dtype of its own: its parameters and buffers have. Read *default_device* for
where a module is built, then *to*, *dtype_casts* and *device_methods*, which change that. *identity* tells
what becomes of parameter objects, gradients and ties, *optimizer_and_devices* what follows for an optimizer,
and *future_flags* how two flags change it. *meta* is about modules without values, *cuda* about those on a
GPU, *memory_format* about the order of a tensor in memory, *autocast* about a lower precision for a while and
*autocast_operations* about code of one's own in it, and *sharing_memory* about other processes.
"""
