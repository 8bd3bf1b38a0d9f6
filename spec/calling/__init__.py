"""What happens when a module is called, and the hooks that take part in it.

A call runs the forward pre-hooks, then ``forward``, then the forward hooks; a backward pass through
the call runs the backward pre-hooks and the backward hooks. A hook is registered on one module, or
globally for all of them, and registering returns a handle that removes it. Read *call_and_forward*
first, then *forward_pre_hooks* and *forward_hooks*, then *full_backward_hooks*; *order* shows all
kinds of hooks in one call.
"""
