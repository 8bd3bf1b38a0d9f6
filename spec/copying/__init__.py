"""Copying a module and taking it through pickle.

A module defines how it is pickled, and everything else follows: ``copy.deepcopy``, ``copy.copy`` and
``torch.save`` of a whole module. Read *deepcopy* first; *what_goes_along* is about what a copy shares with
its original without one noticing, *copy* about the shallow one, *pickling* and *older_pickles* about files,
*handles* about hooks that are removed from a copy, *averages* and *averages_of_dtypes* about a copy that
follows its original, and *merged_weights* about one model made of several.
"""
