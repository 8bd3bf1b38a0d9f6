"""What a module saves of itself, and how it takes it back.

A *state dict* maps dotted names to the tensors of a module; loading copies the tensors of such a mapping
into a module of the same build. Read *state_dict* and *load_state_dict* first, with *buffers_in_state* and
*ties*, then *strict* and *shapes* for what may go wrong, and *assign* and *swap* for the two other ways of
loading. *files*, *file_format*, *storage_locations*, *weights_only* and *safe_globals* are about
the disk. *destination_and_prefix*, *state_dict_hooks*,
*load_hooks*, *extra_state* and *metadata* are for those who change what is saved or loaded.
"""
