"""Compilation: modules taken apart and run in another form.

A *compiler* reads what ``forward`` does and runs a graph of it instead; a *backend* is what is handed the
graph. Read *module_compile* for compiling a module in place and *torch_compile* for the module that wraps
another, *compiled_twice* for what is compiled already, *compiled_wrapper* for what is the wrapper's own,
*compiled_state* for its names, *compiled_changes*, *compiled_attributes*, *compiled_arguments*,
*compiled_tensors*, *compiled_hooks*, *compiled_hook_graphs* and *compiled_parametrizations* for what a graph
follows, *compiled_without_gradients* for ``no_grad`` and ``inference_mode``, *compiled_effects* for what
``forward`` does besides computing, *compiled_modules* for the modules it calls, *recompiling* for when code
is compiled again, *marked_sizes* for sizes that vary, *compile_options* for what can be asked for, and
*compile_errors* for what is raised.
*script* and *trace* are about TorchScript, the older way, *scripted_state*, *frozen_scripts* and
*traced_inputs* about what it keeps, *fx* is about graphs to look at and *fx_tools* about changing them,
*export* is about programs that stand alone, *exported_programs* about these objects, *exported_modules*
about what they take over from ``forward``, and *unflatten* about their submodules.
"""
