"""What a module saves of itself, and how it takes it back.

A *state dict* maps dotted names to the tensors of a module; loading copies the tensors of such a mapping
into a module of the same build. Read *state_dict* and *load_state_dict* first, then *strict* and *shapes*
for what may go wrong, and *files* for how a state dict reaches the disk. The chapters on hooks,
*extra_state* and *metadata* are for those who change what is saved or loaded.
"""
