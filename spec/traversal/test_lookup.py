"""From a dotted name to what it stands for.

``get_submodule``, ``get_parameter`` and ``get_buffer`` follow a name such as ``"encoder.0.weight"`` one part
after the other. They accept every name that a walk gives, the second name of a shared object included.
"""

import pytest
import torch
from torch import nn


def test_get_submodule_follows_the_dots():
    """:meth:`Module.get_submodule() <torch.nn.Module.get_submodule>` returns a nested submodule by its dotted
    name, such as ``body.1.0``.

    So a name from ``named_modules()`` or a state dict leads to the module, without ``eval`` or a loop over
    ``getattr``.
    """
    net = nn.Module()
    net.body = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU()))
    net.heads = nn.ModuleDict({"main": nn.ModuleList([nn.Tanh()])})

    assert net.get_submodule("body") is net.body
    assert net.get_submodule("body.1.0") is net.body[1][0]
    assert net.get_submodule("heads.main.0") is net.heads["main"][0]


def test_the_empty_name_is_the_module_itself():
    """``net.get_submodule("")`` returns ``net`` itself."""
    net = nn.Sequential(nn.ReLU())

    assert net.get_submodule("") is net
    assert net[0].get_submodule("") is net[0]


def test_every_name_of_a_walk_is_found():
    """``get_submodule`` accepts every name that ``named_modules(remove_duplicate=False)`` yields."""
    act = nn.ReLU()
    table = nn.ModuleDict({"conv-1": nn.Tanh(), "empty": nn.ModuleList()})
    net = nn.Sequential(act, nn.Sequential(nn.Linear(2, 3), act), table)

    walk = list(net.named_modules(remove_duplicate=False))

    assert [net.get_submodule(name) for name, _ in walk] == [module for _, module in walk]
    assert net.get_submodule("1.1") is act
    assert net.get_submodule("2.conv-1") is table["conv-1"]


def test_get_submodule_looks_along_the_path_only():
    """``get_submodule`` looks only at modules along the dotted name, without a walk through the network.

    To find a name it walks through nothing, unlike ``dict(net.named_modules())[name]``.
    """
    asked = []

    class Net(nn.Module):
        def __getattr__(self, name):
            asked.append((self, name))
            return super().__getattr__(name)

    net, body, others = Net(), Net(), [Net() for _ in range(50)]
    net.body, body.head = body, nn.ReLU()
    for index, other in enumerate(others):
        net.add_module(str(index), other)
    asked.clear()

    assert net.get_submodule("body.head") is body.head
    assert set(asked) == {(net, "body"), (body, "head")}
    assert len(asked) <= 6


def test_a_missing_submodule_is_named():
    """``get_submodule`` raises ``AttributeError`` naming the missing part of the name and the class that
    lacks it.

    Unlike ``getattr`` it has no default: to ask whether a name is there, look into
    ``dict(net.named_modules())``.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    for name in ("head", "head.0"):
        with pytest.raises(AttributeError, match=r"^Sequential has no attribute `head`$"):
            net.get_submodule(name)
    for name in ("0.act", "0.act.0"):
        with pytest.raises(AttributeError, match=r"^Linear has no attribute `act`$"):
            net.get_submodule(name)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        net.get_submodule("0.act", None)


def test_a_parameter_is_no_submodule():
    """``get_submodule`` raises ``AttributeError`` if any part of the name is not a module, such as a
    parameter.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    net.layers = [nn.ReLU()]

    with pytest.raises(AttributeError, match=r"`weight` is not an nn.Module"):
        net.get_submodule("0.weight")
    with pytest.raises(AttributeError, match=r"`layers` is not an nn.Module"):
        net.get_submodule("layers.0")
    with pytest.raises(AttributeError, match=r"`bias` is not an nn.Module"):
        net.get_submodule("0.bias.data")
    with pytest.raises(AttributeError, match=r"`in_features` is not an nn.Module"):
        net.get_submodule("0.in_features")
    with pytest.raises(AttributeError, match=r"`forward` is not an nn.Module"):
        net.get_submodule("0.forward")


def test_an_empty_slot_is_no_submodule():
    """``get_submodule`` raises ``AttributeError`` for a child registered as ``None``."""
    net = nn.Module()
    net.add_module("head", None)

    with pytest.raises(AttributeError, match=r"`head` is not an nn.Module"):
        net.get_submodule("head")


def test_a_dot_at_either_end_is_an_empty_part():
    """``get_submodule`` raises ``AttributeError`` for a name with a dot at the start or at the end."""
    net = nn.Sequential(nn.ModuleList([nn.Linear(2, 3)]))

    for name, owner in (
        ("0.", "ModuleList"),
        ("0.0.", "Linear"),
        (".0", "Sequential"),
        (".0.0", "Sequential"),
    ):
        with pytest.raises(AttributeError, match=f"^{owner} has no attribute ``$"):
            net.get_submodule(name)


def test_any_attribute_that_is_a_module_is_found():
    """``get_submodule`` also finds a module that a property returns, though ``children()`` does not."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Sequential(nn.Linear(2, 3))]

        @property
        def first(self):
            return self.layers[0]

    net = Net()

    assert net.get_submodule("first") is net.layers[0]
    assert net.get_submodule("first.0") is net.layers[0][0]
    assert list(net.children()) == []


def test_get_parameter_of_the_module_itself():
    """:meth:`Module.get_parameter() <torch.nn.Module.get_parameter>` returns the parameter itself, not a
    copy.

    What is done to it in place is done to the module.
    """
    layer = nn.Linear(2, 3)

    assert layer.get_parameter("bias") is layer.bias
    assert layer.get_parameter("weight") is layer.weight
    assert nn.Sequential(layer).get_parameter("0.weight") is layer.weight


def test_get_parameter_takes_every_name_of_a_walk():
    """``get_parameter`` accepts every name that ``named_parameters(remove_duplicate=False)`` yields."""
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ModuleDict({"a-1": layer, "b": nn.ParameterList([layer.bias])}))

    walk = list(net.named_parameters(remove_duplicate=False))

    names = ["0.weight", "0.bias", "1.a-1.weight", "1.a-1.bias", "1.b.0"]
    assert [name for name, _ in walk] == names
    assert [id(net.get_parameter(name)) for name, _ in walk] == [id(p) for _, p in walk]


def test_a_missing_parameter_is_named():
    """``get_parameter`` raises ``AttributeError`` naming the missing part of the name and the class that
    lacks it.
    """
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match="Linear has no attribute `gain`"):
        net.get_parameter("0.gain")
    with pytest.raises(AttributeError, match="Sequential has no attribute `weight`"):
        net.get_parameter("weight")


def test_get_parameter_refuses_what_is_no_parameter():
    """``get_parameter`` raises ``AttributeError`` for a buffer, a module and a parameter that is ``None``."""
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.BatchNorm1d(3))

    for module, name in ((net, "1.running_mean"), (net[1], "running_mean")):
        with pytest.raises(AttributeError, match=r"`running_mean` is not an nn.Parameter"):
            module.get_parameter(name)
    with pytest.raises(AttributeError, match=r"`1` is not an nn.Parameter"):
        net.get_parameter("1")
    with pytest.raises(AttributeError, match=r"`bias` is not an nn.Parameter"):
        net.get_parameter("0.bias")


def test_get_parameter_needs_the_way_there():
    """``get_parameter`` raises ``AttributeError`` if a part of the path is missing or is not a module."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(AttributeError, match="Sequential has no attribute `1`"):
        net.get_parameter("1.weight")
    with pytest.raises(AttributeError, match=r"`weight` is not an nn.Module"):
        net.get_parameter("0.weight.data")


def test_get_buffer_finds_persistent_or_not():
    """:meth:`Module.get_buffer() <torch.nn.Module.get_buffer>` returns a buffer by name, whether persistent
    or not.
    """
    net = nn.Sequential(nn.BatchNorm1d(3))
    net.register_buffer("table", torch.rand(2), persistent=False)
    net[0].register_buffer("cache", torch.rand(2), persistent=False)

    assert net.get_buffer("table") is net.table
    assert net.get_buffer("0.cache") is net[0].cache
    assert net.get_buffer("0.running_var") is net[0].running_var
    assert net.get_buffer("0.num_batches_tracked") is net[0].num_batches_tracked


def test_get_buffer_refuses_what_is_no_buffer():
    """``get_buffer`` raises ``AttributeError`` for a parameter, a plain tensor and a module."""
    net = nn.Sequential(nn.BatchNorm1d(3))
    net.plain = net[0].plain = torch.rand(2)

    with pytest.raises(AttributeError, match="`weight` is not a buffer"):
        net.get_buffer("0.weight")
    for name in ("plain", "0.plain"):
        with pytest.raises(AttributeError, match="`plain` is not a buffer"):
            net.get_buffer(name)
    with pytest.raises(AttributeError, match="`0` is not a buffer"):
        net.get_buffer("0")


def test_a_missing_buffer_is_named():
    """``get_buffer`` raises ``AttributeError`` naming the missing part of the name and the class that lacks
    it.
    """
    net = nn.Sequential(nn.BatchNorm1d(3))

    with pytest.raises(AttributeError, match="BatchNorm1d has no attribute `mean`"):
        net.get_buffer("0.mean")
    with pytest.raises(AttributeError, match="Sequential has no attribute `norm`"):
        net.get_buffer("norm.mean")


def test_a_buffer_of_none_is_returned():
    """``get_buffer`` returns ``None`` for a ``None`` buffer; ``get_parameter`` of a ``None`` raises
    ``AttributeError``.
    """
    norm = nn.BatchNorm1d(3, affine=False, track_running_stats=False)

    assert norm.get_buffer("running_mean") is None
    assert nn.Sequential(norm).get_buffer("0.running_mean") is None
    with pytest.raises(AttributeError, match=r"`weight` is not an nn.Parameter"):
        norm.get_parameter("weight")


@pytest.mark.parametrize("lookup", ["get_submodule", "get_parameter", "get_buffer"])
def test_errors_use_the_printed_name(lookup):
    """``print(net)`` and errors of ``get_submodule`` show what ``_get_name()`` returns as the class name.

    The errors of ``get_parameter`` and ``get_buffer`` do so too.
    """

    class Net(nn.Module):
        def _get_name(self):
            return "Renamed"

    for net, name in ((Net(), "x"), (nn.Sequential(Net()), "0.x")):
        with pytest.raises(AttributeError, match="Renamed has no attribute `x`"):
            getattr(net, lookup)(name)
    assert repr(Net()) == "Renamed()"
