"""Loads the instrument that runs the specification."""

import gc

gc.disable()  # importing torch makes a million objects that stay; the instrument enables it for the clauses

pytest_plugins = ["nnspec.running.plugin"]
