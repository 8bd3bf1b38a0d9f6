"""Walking, finding and printing what a module holds.

A walk hands out a module's parameters, buffers or submodules one by one, in a fixed order, each with a
dotted name if asked for. Read *parameters* first: every other walk follows the same rules. *modules*,
*children* and *buffers* say where they differ, and *walks_and_changes* what happens when the module is
edited meanwhile. *lookup* and *set_submodule* go from a name to what it stands for, *apply* calls a
function on every module, *printing* explains ``print(net)``, and *resnet34* walks a model everybody knows.
"""
