"""How state gets into a module.

An attribute becomes a parameter, a buffer, a submodule or a plain attribute by what is assigned to it.
Read *assignment* first; *stores* is about ``_parameters``, ``_buffers`` and ``_modules``, which keep them.
*parameters*, *buffers* and *submodules* register by name instead, *plain_attributes* is about what is not
registered, *init* about what has to come before, *classes* about dataclasses, generic classes and the like.
*replacing* is about a name that changes its kind, *attribute_lookup*, *deleting* and *dir* about what
is registered already, and *hooks* about watching it all happen.
"""
