"""Names are stable.

A checkpoint finds its tensors by name and an optimizer's state finds them by position, so both are the same
each time the module is built.
"""

from torch import nn

from nnspec.contract import another_process, not_applicable
from nnspec.contract.findings import building, names


def test_names_are_stable(construct, looked_at, other):
    """Two builds have the same names of parameters, buffers and submodules."""
    yield names.names_differ(looked_at(), other(), lambda: another_process.changing(construct))


def test_order_is_stable(construct, looked_at, other):
    """Two builds have their parameters in the same order.

    The state of an optimizer is kept by position, and DistributedDataParallel compares parameters by
    position.
    """
    yield names.order_differs(looked_at(), other())


def test_order_in_another_process(construct, looked_at, elsewhere, unless):
    """Another process builds a module with the same names, in the same order.

    A set of texts has another order in each run of Python, and hash() of a text is another number. What is
    trained in one run and goes on in the next, or in several processes at once, finds other parameters.
    """
    unless(not_applicable.two_builds(construct).renamed)

    yield names.differs_elsewhere(looked_at(), elsewhere().names)


def test_building_leaves_its_defaults(construct, elsewhere, unless):
    """The first build in a process changes no list or dict that is the default of an argument.

    What a constructor pops from it is missing in every later build. So it is with what the caller gives.
    """
    unless(not_applicable.two_builds(construct).changed)
    seen = elsewhere()

    yield names.changed_defaults(seen.changed)
    yield names.taken_out(seen.taken)


def test_builds_share_nothing(construct):
    """Two builds share no tensor, and no list or dict that building changes.

    What is the default of an argument is made once, and every instance gets the same one.
    """
    yield not_applicable.sharing(construct)
    yield not_applicable.two_builds(construct).changed


def test_a_container_holds_each_part_once(looked_at):
    """No module holds a part with parameters twice, and no two parts of a container hold the same one.

    It is one layer then, run several times, which is sometimes meant; and a teacher that is the student is no
    copy of it.
    """
    net = looked_at()

    yield building.repeated(net)


def test_no_part_is_wrapped(looked_at):
    """No part is wrapped by :func:`torch.compile` or :class:`~torch.nn.DataParallel`.

    The names of what is wrapped get a ``_orig_mod`` or ``module``, and so do the keys of checkpoints.
    """
    yield names.wrapped(looked_at())


def test_each_parameter_is_named_once(looked_at):
    """:meth:`~torch.nn.Module.named_parameters` yields each registered parameter, and each once.

    Optimizers refuse a parameter that comes twice, and do not train one that does not come.
    """
    net = looked_at()

    yield names.misnamed(net, net.named_parameters())


def test_its_keys_follow_its_place(looked_at):
    """Inside another module the keys of a module are the same, with the prefix of its place.

    A class that overrides ``state_dict`` without passing its arguments on cannot be part of another.
    """
    net = looked_at()
    whole = nn.ModuleDict({"part": net})

    yield names.misplaced(net.state_dict(), whole.state_dict(), "part.")
