"""Walking the parameters of a module.

A module holds some parameters itself and reaches the rest through its submodules. The walk is lazy: it
is a generator, and looks at the module only while it is being walked.
"""

import inspect

import pytest
import torch
from torch import nn


@pytest.mark.claim("N1-03")
def test_parameters_is_a_generator():
    """:meth:`Module.parameters() <torch.nn.Module.parameters>` returns a generator.

    It can be iterated over once. To iterate again, call ``parameters()`` again.
    """
    layer = nn.Linear(2, 3)

    for walk in (layer.parameters(), layer.parameters(recurse=False)):
        assert inspect.isgenerator(walk)
        assert list(walk) == [layer.weight, layer.bias]
        assert list(walk) == []
    assert list(layer.parameters()) == [layer.weight, layer.bias]


@pytest.mark.claim("N1-04")
def test_only_the_walk_is_lazy():
    """:meth:`Module.parameters() <torch.nn.Module.parameters>` iterates lazily, over tensors that are already
    in memory.

    It saves no memory, and looks at the module only during iteration: a layer added before that is seen.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    weight, bias = net.parameters()

    walk = net.parameters()
    net.append(nn.Linear(3, 1, bias=False))

    assert [id(p) for p in walk] == [id(weight), id(bias), id(net[1].weight)]


@pytest.mark.question("Q17")
def test_printing_the_walk_shows_a_generator():
    """:meth:`print(net.parameters()) <torch.nn.Module.parameters>` shows a generator object, not the
    parameters.

    To see them, make a list: ``print(list(net.parameters()))``.
    """
    shown = repr(nn.Linear(2, 3).parameters())

    assert shown.startswith("<generator object Module.parameters at 0x")


def test_the_walk_has_no_index():
    """``net.parameters()`` is a generator without index or ``len()``; ``list(net.parameters())`` has both."""
    layer = nn.Linear(2, 3)

    with pytest.raises(TypeError, match="'generator' object is not subscriptable"):
        layer.parameters()[0]
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        len(layer.parameters())

    assert list(layer.parameters())[1] is layer.bias
    assert len(list(layer.parameters())) == 2


@pytest.mark.question("Q17")
def test_an_optimizer_uses_the_walk_up():
    """An optimizer exhausts a ``parameters()`` generator: a second optimizer given it raises ``ValueError``.

    Call ``parameters()`` for each optimizer: ``SGD(net.parameters(), lr=0.1)``.

    See also :ref:`traversal.parameters.parameters_is_a_generator`
    """
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        walk = nn.Linear(2, 3).parameters()
        first = kind(walk, lr=0.1)

        assert len(first.param_groups[0]["params"]) == 2
        with pytest.raises(ValueError, match=r"^optimizer got an empty parameter list$"):
            kind(walk, lr=0.1)


def test_a_module_without_parameters_has_an_empty_walk():
    """``parameters()`` of a module without parameters is empty, and ``torch.optim.SGD`` raises
    ``ValueError``.

    Parameters in a plain list are not registered and not yielded: use :class:`~torch.nn.ParameterList` or
    :class:`~torch.nn.ModuleList`.
    """
    net = nn.Sequential(nn.ReLU(), nn.Flatten())
    net.lost = [nn.Parameter(torch.rand(2))]

    assert list(net.parameters()) == []
    with pytest.raises(ValueError, match=r"^optimizer got an empty parameter list$"):
        torch.optim.SGD(net.parameters(), lr=0.1)


@pytest.mark.claim("N1-05", "N3-10")
def test_named_form_adds_the_name():
    """:meth:`Module.named_parameters() <torch.nn.Module.named_parameters>` yields the parameters of
    ``parameters()`` with their names.

    The name is the path to it, and the key under which :meth:`~torch.nn.Module.state_dict` saves it.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))

    names, parameters = zip(*net.named_parameters(), strict=True)

    assert names == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert [id(p) for p in parameters] == [id(p) for p in net.parameters()]
    assert list(net.state_dict()) == list(names)


@pytest.mark.claim("N4-06")
def test_the_index_in_a_sequential_is_the_prefix():
    """``named_parameters()`` of a ``Sequential`` prefixes each name with the layer's index: ``0.weight``."""
    net = nn.Sequential(nn.Linear(4, 8), *(nn.ReLU() for _ in range(10)), nn.Linear(8, 1))

    of_the_net = [(name, tuple(p.shape)) for name, p in net.named_parameters()]
    of_the_layer = [(name, tuple(p.shape)) for name, p in net[11].named_parameters()]

    assert of_the_net == [("0.weight", (8, 4)), ("0.bias", (8,)), ("11.weight", (1, 8)), ("11.bias", (1,))]
    assert of_the_layer == [("weight", (1, 8)), ("bias", (1,))]


def test_own_parameters_come_first():
    """``named_parameters()`` yields a module's own parameters before those of submodules registered
    earlier.
    """
    net = nn.Module()
    net.inner = nn.Linear(2, 3)
    net.scale = nn.Parameter(torch.rand(2))

    outer = nn.Sequential(net)
    assert [name for name, _ in outer.named_parameters()] == ["0.scale", "0.inner.weight", "0.inner.bias"]
    assert [name for name, _ in net.named_parameters()] == ["scale", "inner.weight", "inner.bias"]


def test_the_walk_goes_depth_first():
    """``named_parameters()`` is depth-first: all of one submodule before the next, in registration order."""
    net = nn.Module()
    net.z = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 4, bias=False))
    net.z[0].inner = nn.PReLU()
    net.a = nn.Linear(4, 5, bias=False)

    assert [name for name, _ in net.named_parameters()] == [
        "z.0.weight",
        "z.0.inner.weight",
        "z.1.weight",
        "a.weight",
    ]


@pytest.mark.claim("N3-02")
def test_frozen_parameters_are_walked_too():
    """:meth:`Module.parameters() <torch.nn.Module.parameters>` also yields frozen parameters, with
    ``requires_grad=False``.

    To train what is not frozen, filter by ``requires_grad``.
    """
    layer = nn.Linear(2, 3)
    layer.weight.requires_grad_(False)

    assert [p.requires_grad for p in layer.parameters()] == [False, True]
    assert [p.requires_grad for p in layer.parameters(recurse=False)] == [False, True]
    assert [p.requires_grad for p in nn.Sequential(layer).parameters()] == [False, True]


@pytest.mark.question("Q13")
def test_a_shared_parameter_is_walked_once():
    """``named_parameters()`` yields a shared parameter once, under its first name.

    An optimizer thus updates it once. Code that looks for the second name does not find it; pass
    ``remove_duplicate=False`` to :meth:`~torch.nn.Module.named_parameters`.
    """
    net = nn.Module()
    net.encoder = nn.Linear(3, 3, bias=False)
    net.decoder = nn.Sequential(nn.Linear(3, 3, bias=False))
    net.decoder[0].weight = net.encoder.weight
    net.scale = nn.Parameter(torch.rand(3))
    net.encoder.gain = net.scale

    assert [name for name, _ in net.named_parameters()] == ["scale", "encoder.weight"]
    assert [parameter is net.scale for parameter in net.parameters()] == [True, False]


def test_remove_duplicate_false_yields_every_name():
    """``named_parameters(remove_duplicate=False)`` yields a shared parameter under each of its names."""
    net = nn.Module()
    net.encoder = nn.Linear(3, 3, bias=False)
    net.decoder = nn.Sequential(nn.Linear(3, 3, bias=False))
    net.own = net.again = net.decoder[0].weight = net.encoder.weight
    net.copy = net.encoder

    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    own = [name for name, _ in net.named_parameters(recurse=False, remove_duplicate=False)]

    assert own == ["own", "again"]
    assert names == [*own, "encoder.weight", "decoder.0.weight", "copy.weight"]


def test_prefix_is_put_before_every_name():
    """``named_parameters(prefix="head")`` puts the prefix before every name: ``head.weight``."""
    layer = nn.Linear(2, 3)
    names = [name for name, _ in layer.named_parameters(prefix="head")]
    own = [name for name, _ in layer.named_parameters(prefix="head", recurse=False)]
    every = [name for name, _ in layer.named_parameters(prefix="head", remove_duplicate=False)]
    nested = [name for name, _ in nn.Sequential(layer).named_parameters(prefix="head")]

    assert names == own == every == ["head.weight", "head.bias"]
    assert nested == ["head.0.weight", "head.0.bias"]


def test_without_recurse_own_parameters_only():
    """``named_parameters(recurse=False)`` yields the module's own parameters, without those of submodules."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.rand(2))
    net.inner = nn.Linear(2, 3)

    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert [p.shape for p in net.parameters(recurse=False)] == [(2,)]
    assert list(nn.Sequential(net).named_parameters(recurse=False)) == []


def test_an_entry_of_none_is_left_out():
    """``named_parameters()`` does not yield a parameter registered as ``None``."""
    layer = nn.Linear(2, 3, bias=False)

    assert list(layer._parameters) == ["weight", "bias"]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert [name for name, _ in layer.named_parameters(recurse=False)] == ["weight"]
    assert [name for name, _ in layer.named_parameters(remove_duplicate=False)] == ["weight"]
    assert [name for name, _ in nn.Sequential(layer).named_parameters()] == ["0.weight"]
    assert list(layer.parameters()) == [layer.weight]


def test_a_shared_layer_has_one_set_of_names():
    """If a layer is used twice, ``named_parameters()`` yields its parameters once, under the first name."""
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.Sequential(layer), layer)

    once = [name for name, _ in net.named_parameters()]
    every = [name for name, _ in net.named_parameters(remove_duplicate=False)]

    assert once == ["0.weight", "0.bias"]
    assert every == ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "2.weight", "2.bias"]


def test_one_parameter_under_two_names_of_one_module():
    """``named_parameters(recurse=False)`` yields a parameter once if it is set on the module under two
    names.
    """
    net = nn.Module()
    net.first = nn.Parameter(torch.rand(2, 3))
    net.other = nn.Parameter(torch.rand(2, 3))
    net.second = net.first

    assert [name for name, _ in net.named_parameters(recurse=False)] == ["first", "other"]
    assert [name for name, _ in net.named_parameters("", False, False)] == ["first", "other", "second"]


def test_parameters_are_told_apart_by_identity():
    """``named_parameters()`` skips duplicates by identity, not by equal values or shared storage."""
    flat = torch.full((6,), 7.0)
    net, net.inner = nn.Module(), nn.Module()
    net.a, net.equal = nn.Parameter(flat), nn.Parameter(flat.clone())
    net.same = net.inner.same = net.a
    net.head, net.tail = nn.Parameter(flat[:2]), nn.Parameter(flat[2:])
    net.view, net.inner.view = nn.Parameter(flat), nn.Parameter(flat)

    names = [name for name, _ in net.named_parameters()]
    assert names == ["a", "equal", "head", "tail", "view", "inner.view"]


def test_parameters_has_no_remove_duplicate():
    """:meth:`Module.parameters() <torch.nn.Module.parameters>` accepts ``recurse``, but not
    ``remove_duplicate``.

    A shared parameter is yielded once.
    """
    layer = nn.Linear(3, 3, bias=False)
    net = nn.Sequential(layer, layer)

    assert list(net.parameters(True)) == [layer.weight]
    assert list(net.parameters(False)) == list(net.parameters(recurse=False)) == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'remove_duplicate'"):
        net.parameters(remove_duplicate=False)


def test_prefix_recurse_remove_duplicate_by_position():
    """``named_parameters(prefix, recurse, remove_duplicate)`` accepts these by position, in this order."""
    layer = nn.Linear(3, 3, bias=False)
    net = nn.Sequential(layer, layer)
    net.scale = nn.Parameter(torch.rand(2))

    own = [name for name, _ in net.named_parameters("head", False)]
    all_names = [name for name, _ in net.named_parameters("head", True, False)]

    assert own == ["head.scale"]
    assert all_names == ["head.scale", "head.0.weight", "head.1.weight"]


def test_buffers_are_no_parameters():
    """``named_parameters()`` yields no buffers and no plain tensors, even if they require grad."""
    net = nn.Module()
    net.weight = nn.Parameter(torch.rand(2))
    net.register_buffer("mean", torch.rand(3, requires_grad=True))
    net.register_buffer("cache", torch.rand(3, requires_grad=True), persistent=False)
    net.plain = torch.rand(4, requires_grad=True)

    assert [name for name, _ in net.named_parameters()] == ["weight"]
    assert [name for name, _ in nn.Sequential(net).named_parameters()] == ["0.weight"]


def test_parameters_calls_named_parameters():
    """Overriding ``named_parameters`` in a class changes what its ``parameters()`` yields."""

    class Frozen(nn.Linear):
        def named_parameters(self, *args, **kwargs):
            return (entry for entry in super().named_parameters(*args, **kwargs) if entry[0] != "bias")

    layer = Frozen(2, 3)

    assert [p.shape for p in layer.parameters()] == [(3, 2)]
    assert [p.shape for p in layer.parameters(recurse=False)] == [(3, 2)]
    assert [p.shape for p in nn.Sequential(layer).parameters()] == [(3, 2), (3,)]


def test_named_members_walks_any_kind():
    """``Module._named_members(function)`` yields the named members that a function finds in each module.

    It is private; libraries use it for other kinds of members. Duplicates are skipped.
    """
    layer = nn.BatchNorm1d(4)
    net = nn.Sequential(layer, nn.Sequential(layer, nn.PReLU()))
    net.register_buffer("mean", layer.running_mean)

    walk = net._named_members(lambda module: {**module._parameters, **module._buffers}.items())

    own = ["0.weight", "0.bias", "0.running_var", "0.num_batches_tracked"]
    assert [name for name, _ in walk] == ["mean", *own, "1.1.weight"]
