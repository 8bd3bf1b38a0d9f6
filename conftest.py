"""Loads the instrument that runs the specification."""

pytest_plugins = ["nnspec.plugin"]
