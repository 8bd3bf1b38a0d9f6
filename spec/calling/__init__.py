"""What happens when a module is called, and the hooks that take part in it.

A call runs the forward pre-hooks, then ``forward``, then the forward hooks; a backward pass through
the call runs the backward pre-hooks and the backward hooks. A hook is registered on one module, or
globally for all of them, and registering returns a handle that removes it. Read *call_and_forward*
first, then *forward_pre_hooks*, *forward_hooks* and *always_call*; then *full_backward_hooks*,
*full_backward_pre_hooks* and *hooked_inputs_and_outputs*, about what a backward hook sees. *global_hooks*
are those of every module, *order* shows all kinds of hooks in one call, and *handles* take them off.
*legacy_backward_hook* is about the deprecated kind, *hooks_of_tensors* about hooks that belong to no module,
*hooks_in_backward* about when each of these fires, *hooks_after_accumulation* about those that find the
gradient in its place, and *what_hooks_keep* about memory.
"""
