"""A module is built whole.

A constructor calls ``super().__init__()``, makes what the module needs, and leaves the choice of the device
to who builds it.
"""

from nnspec.contract import not_applicable
from nnspec.contract.findings import building, calling, moving


def test_every_module_is_initialised(looked_at):
    """Every module in a tree has run ``nn.Module.__init__``."""
    net = looked_at()

    yield building.uninitialised(net)


def test_printing(looked_at):
    """``repr`` prints a module with the name of every child."""
    net = looked_at()

    yield building.unprinted(net)


def test_building_on_meta(construct, unless):
    """Built under ``torch.device("meta")``, a module has every parameter and buffer on meta.

    This is how large models are built before their weights are loaded. A device written into the constructor
    and values read with ``.item()`` stand in the way.
    """
    unless(not_applicable.sharing(construct))

    yield building.not_built_on_meta(construct)


def test_values_are_filled(construct):
    """Every parameter and buffer has values when a module is built.

    :func:`torch.empty` gives whatever is in memory: mostly zeros in a test, and anything later.
    """
    yield building.unfilled(construct)


def test_what_is_filled_counts(construct):
    """Building fills no tensor that is computed from parameters.

    What :mod:`torch.nn.init` does to the weight of a parametrized layer is lost with the next look at it.
    """
    yield building.filled_in_vain(construct)


def test_no_method_is_shadowed(looked_at):
    """No attribute hides a method of nn.Module, such as ``type`` or ``half``."""
    net = looked_at()

    yield building.shadowed_methods(net)


def test_overrides_take_the_same(looked_at):
    """What overrides a method of nn.Module takes the arguments that torch gives it.

    ``eval()`` calls ``train(False)``, and libraries ask for ``parameters(recurse=False)``.
    """
    net = looked_at()

    yield building.narrowed(net)


def test_padding_is_zero(construct, looked_at):
    """An embedding is built with zeros in its row for padding.

    What initialises all weights alike fills it too.
    """
    yield building.padding_filled(looked_at())


def test_modules_are_told_apart(looked_at):
    """No two modules of a tree are equal.

    A class with an ``__eq__`` of its own makes one of two equals vanish from every walk.
    """
    yield building.equal_modules(looked_at())


def test_weights_start_apart(construct, looked_at, other):
    """No two layers of a container are built with the same random numbers.

    ``copy.deepcopy`` of one layer gives each the same start.
    """
    yield building.starting_equal(looked_at(), other())


def test_a_missing_attribute(looked_at):
    """A missing attribute is an AttributeError that names it.

    ``hasattr``, copying and pickle rely on it. And what a property misses is told as if the property itself
    were missing.
    """
    net = looked_at()

    yield building.swallowed(net)


def test_building_leaves_the_process(construct):
    """Building a module changes no default dtype, grad mode, seed or other setting of the process.

    Whether cuDNN tries kernels out, how precise products are and how many threads work is for the program to
    say.
    """
    before = moving.process_settings()
    construct()

    yield moving.changed_settings(before, "its constructor")


def test_torch_has_no_warning(construct):
    """When a module is built torch warns of nothing, but for what is to go or is new.

    An LSTM of one layer has no place for its dropout, and says so.
    """
    yield calling.warned_in_building(construct)


def test_reset_keeps_the_parameters(build):
    """``reset_parameters()`` leaves every parameter the object that it was.

    An optimizer holds the parameters it was given, and ties are of objects.
    """
    yield building.renewed_by_reset(build())
