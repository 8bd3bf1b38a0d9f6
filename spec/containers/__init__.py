"""Modules that hold modules or parameters as a list or a dictionary does.

A plain list or dict hides what is in it from its owner; these five register what they hold, so that it is
trained, moved and saved with the owner. Read *sequential* first, with *sequential_indexing*,
*sequential_editing* and *sequential_of_children*: of the five it alone can be called. *module_list* and
*module_dict* only gather modules; *parameter_list* and *parameter_dict* gather parameters, and whatever else
is put in, *filling_parameters* is about their arguments, and *parameter_dict_merging* copies and joins the
latter. *list_subclasses* is about classes derived from lists, *container* about
the deprecated class of that name.
"""
