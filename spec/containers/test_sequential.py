"""Sequential: modules that run one after the other.

A ``Sequential`` is a module whose children are its layers. It is built from positional modules or from
an ``OrderedDict`` of names and modules, and calling it passes one value through all of them.
"""

import math
from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.claim("N3-06")
def test_modules_run_in_the_order_given():
    """An :class:`nn.Sequential <torch.nn.Sequential>` passes its input through its modules in the order
    given.

    Each gets what the one before returned. For anything else, such as a skip connection, write a module with
    a ``forward``.
    """
    net = nn.Sequential(nn.Softplus(), nn.Linear(2, 3), nn.Tanh())
    x = torch.rand(4, 2)

    expected = torch.tanh(net[1](nn.functional.softplus(x)))

    assert torch.equal(net(x), expected)

    named = nn.Sequential(OrderedDict([("stem", net), ("head", nn.Softplus())]))
    assert torch.equal(named(x), nn.functional.softplus(expected))

    widening = nn.Sequential(*(nn.Linear(width, width + 1) for width in range(1, 13)))
    assert widening(torch.rand(4, 1)).shape == (4, 13)


@pytest.mark.claim("N5-05")
def test_positional_modules_are_numbered():
    """``nn.Sequential(a, b)`` names its modules ``"0"``, ``"1"`` and so on.

    A layer put between two others renames all later ones, so that older files do not fit any more. Names of
    an ``OrderedDict`` stay.
    """
    relu, tanh, gelu = nn.ReLU(), nn.Tanh(), nn.GELU()
    net = nn.Sequential(relu, tanh)
    assert list(net.named_children()) == [("0", relu), ("1", tanh)]

    net.insert(1, gelu)
    assert list(net.named_children()) == [("0", relu), ("1", gelu), ("2", tanh)]

    names = [name for name, _ in nn.Sequential(*[nn.ReLU() for _ in range(11)]).named_children()]
    assert names == ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]


@pytest.mark.claim("N5-05")
def test_an_ordered_dict_gives_the_names():
    """An ``nn.Sequential`` built from an ``OrderedDict`` uses the keys as the names of its layers."""
    relu, tanh, elu = nn.ReLU(), nn.Tanh(), nn.ELU()
    net = nn.Sequential(OrderedDict([("second", tanh), ("first", relu), ("7", elu)]))

    assert list(net.named_children()) == [("second", tanh), ("first", relu), ("7", elu)]
    assert net.first is relu
    assert repr(net) == "Sequential(\n  (second): Tanh()\n  (first): ReLU()\n  (7): ELU(alpha=1.0)\n)"
    net = nn.Sequential(OrderedDict([("7", tanh), ("2", relu)]))
    assert list(net.named_children()) == [("7", tanh), ("2", relu)]


@pytest.mark.claim("N5-05", "N4-10")
def test_modules_may_be_added_by_name():
    """A layer added to a ``Sequential`` with ``add_module`` runs after the others and can be indexed."""
    net = nn.Sequential(OrderedDict(stem=nn.Softplus()))
    net.add_module("head", nn.Tanh())
    x = torch.rand(2)

    assert net[1] is net.head
    assert torch.equal(net(x), torch.tanh(nn.functional.softplus(x)))
    assert repr(net[1:]) == "Sequential(\n  (head): Tanh()\n)"


@pytest.mark.parametrize(
    "layers", [[nn.ReLU()], {"act": nn.ReLU()}, [], {}], ids=["list", "dict", "no list", "no dict"]
)
def test_a_list_or_plain_dict_is_no_module(layers):
    """``nn.Sequential`` raises ``TypeError`` for a list or a plain dict: write ``nn.Sequential(*layers)``.

    A dict is passed as an ``OrderedDict``.
    """
    for arguments in ((layers,), (nn.Tanh(), layers)):
        with pytest.raises(TypeError, match=f"^{type(layers).__name__} is not a Module subclass$"):
            nn.Sequential(*arguments)


def test_an_ordered_dict_stands_alone():
    """``nn.Sequential(OrderedDict(...), layer)`` raises ``TypeError``: the ``OrderedDict`` must be alone."""
    named, tanh = OrderedDict(act=nn.ReLU()), nn.Tanh()
    for layers in ((named, tanh), (tanh, named), (named, named)):
        with pytest.raises(TypeError, match="OrderedDict is not a Module subclass"):
            nn.Sequential(*layers)


def test_an_empty_sequential_returns_its_input():
    """Calling an empty ``Sequential`` returns the input object itself."""
    for x in (torch.rand(2, 3), (3, 7), None):
        assert nn.Sequential()(x) is x


def test_one_value_goes_in():
    """Calling a ``Sequential`` with two inputs raises ``TypeError``; a tuple is passed on as one input.

    A layer that returns two values, as a recurrent one does, hands a tuple to the next.
    """

    class Swap(nn.Module):
        def forward(self, pair):
            return pair[1], pair[0]

    assert nn.Sequential(Swap(), Swap(), Swap())((3, 7)) == (7, 3)
    pair = torch.rand(1, 2), torch.rand(1, 3)
    for layers in ((), (Swap(),), (nn.Bilinear(2, 3, 1),)):
        with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
            nn.Sequential(*layers)(*pair)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'input2'"):
        nn.Sequential(nn.Bilinear(2, 3, 1))(pair)


def test_keyword_arguments_reach_no_layer():
    """A ``Sequential`` raises ``TypeError`` for any keyword argument but ``input``, whatever its layers take.

    Write a module with its own ``forward``, or override that of a subclass and hand them to each layer.
    """

    class Scale(nn.Module):
        def forward(self, x, factor=2):
            return x * factor

    class Handing(nn.Sequential):
        def forward(self, x, **options):
            for layer in self:
                x = layer(x, **options)
            return x

    with pytest.raises(TypeError, match="unexpected keyword argument 'factor'"):
        nn.Sequential(Scale(), Scale())(3, factor=5)
    assert nn.Sequential(Scale(), Scale())(3) == nn.Sequential(Scale(), Scale())(input=3) == 12
    assert Handing(Scale(), Scale())(3, factor=5) == 75


def test_layers_are_called_with_their_hooks():
    """:meth:`Sequential.forward <torch.nn.Sequential.forward>` calls its layers, hooks included."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh()).eval()
    calls = []
    for layer in net:
        layer.register_forward_pre_hook(lambda module, args: calls.append((type(module), "before")))
        layer.register_forward_hook(lambda module, args, output: calls.append((type(module), "after")))
        layer.register_full_backward_hook(lambda module, *given: calls.append((type(module), "back")))
    net[1].register_forward_hook(lambda module, args, output: output * 10)

    output = net(torch.zeros(2, requires_grad=True) + 3)
    output.sum().backward()

    assert output.tolist() == pytest.approx([10 * math.tanh(3)] * 2)
    assert calls[:4] == [(nn.ReLU, "before"), (nn.ReLU, "after"), (nn.Tanh, "before"), (nn.Tanh, "after")]
    assert calls[4:] == [(nn.Tanh, "back"), (nn.ReLU, "back")]

    net, calls = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())), []
    net[0].register_forward_pre_hook(lambda module, args: calls.append("before"))
    net[1].register_full_backward_hook(lambda module, *given: calls.append("back"))
    net[1][0].register_forward_hook(lambda *given: calls.append("after"))
    net(torch.rand(2, requires_grad=True)).sum().backward()

    assert calls == ["before", "after", "back"]


def test_a_module_may_run_twice():
    """A module given twice to a ``Sequential`` runs twice, but is in ``parameters()`` once."""
    triple = nn.Linear(1, 1, bias=False)
    nn.init.constant_(triple.weight, 3.0)
    net = nn.Sequential(triple, triple, nn.Tanhshrink(), triple)

    assert net(torch.tensor([5.0])).item() == pytest.approx(3 * (45 - 1))
    assert [id(p) for p in net.parameters()] == [id(triple.weight)]


def test_an_empty_slot_cannot_run():
    """A ``Sequential`` accepts ``None`` as a layer, but raises ``TypeError`` when it is called."""
    first, last = nn.Sequential(None, nn.ReLU()), nn.Sequential(nn.ReLU(), None)
    named = nn.Sequential(OrderedDict(act=nn.ReLU(), hole=None))

    for net in (first, last, named):
        assert len(net) == 2
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            net(torch.rand(2))


@pytest.mark.claim("N2-03")
def test_its_own_store_of_parameters_is_empty():
    """``named_parameters(recurse=False)`` of a ``Sequential`` is empty: its layers hold the parameters."""
    net = nn.Sequential(nn.Linear(2, 3))

    assert list(net.named_parameters(recurse=False)) == []
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]


@pytest.mark.claim("N2-03")
def test_a_parameter_may_be_set_on_it():
    """A parameter assigned to a ``Sequential`` is in ``named_parameters()``, but not used by ``forward``."""
    net = nn.Sequential(nn.ReLU())
    net.scale = nn.Parameter(torch.rand(2))

    assert [name for name, _ in net.named_parameters()] == ["scale"]
    assert [name for name, _ in nn.Sequential(net).named_parameters()] == ["0.scale"]
    assert len(net) == 1
    assert net(torch.tensor([-3.0, 5.0])).tolist() == [0.0, 5.0]


def test_a_module_set_on_it_becomes_a_layer():
    """A module assigned to an attribute of a ``Sequential`` becomes its last layer and runs.

    A loss or a helper that is kept there is called with the output. Hold it in a list, or in the owner.
    """
    net = nn.Sequential(nn.Softplus())
    net.act = nn.Tanh()
    net.loss = [nn.MSELoss()]
    x = torch.tensor([0.5])

    assert [type(layer) for layer in net] == [nn.Softplus, nn.Tanh]
    assert torch.equal(net(x), torch.tanh(nn.functional.softplus(x)))


@pytest.mark.claim("N2-04", "N2-05")
def test_a_block_around_a_sequential():
    """A module that only holds a ``Sequential`` has one child and no direct parameters.

    The child is the same object as an attribute and in ``_modules``.
    """
    block = nn.Module()
    block.doubleconv = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))

    assert list(block._modules) == ["doubleconv"]
    assert block.doubleconv is block._modules["doubleconv"]
    assert list(block.children()) == [block.doubleconv]
    assert list(block.parameters(recurse=False)) == []


def test_len_counts_the_layers():
    """``len()`` of a ``Sequential`` is the number of its layers; a nested ``Sequential`` counts as one."""
    relu = nn.ReLU()
    net = nn.Sequential(relu, nn.Sequential(nn.Tanh(), nn.GELU()), relu)

    assert len(net) == 3
    assert len(nn.Sequential()) == 0
    assert len(nn.Sequential(relu, None)) == 2


def test_an_empty_sequential_is_false():
    """An empty ``Sequential`` is falsy: ``bool(nn.Sequential())`` is ``False``.

    ``if self.head:`` skips an empty head; ``if self.head is not None:`` does not.
    """
    assert bool(nn.Sequential()) is False
    assert bool(nn.Sequential(nn.ReLU())) is True


def test_iteration_yields_each_place():
    """Iterating over a ``Sequential`` yields its layers in order, a repeated layer each time."""
    relu, tanh, others = nn.ReLU(), nn.Tanh(), [nn.GELU() for _ in range(9)]
    net = nn.Sequential(relu, relu, tanh, relu, *others)

    assert list(net) == [relu, relu, tanh, relu, *others]
    assert list(reversed(net)) == [*others[::-1], relu, tanh, relu, relu]
    assert list(net.children()) == [relu, tanh, *others]


def test_in_asks_for_the_very_layer():
    """The ``in`` operator finds a layer of a ``Sequential`` by identity, not by name, and no nested layer."""
    relu = nn.ReLU()
    net = nn.Sequential(relu, nn.Sequential(nn.Tanh()))
    net.add_module("head", nn.GELU())

    assert relu in net
    assert nn.ReLU() not in net
    assert net[1][0] not in net
    assert [name in net for name in ("0", "head")] == [False, False]


def test_dir_leaves_numbers_out():
    """``dir()`` of a ``Sequential`` lists layers that have a name, but not those named by numbers."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    net.add_module("head", nn.GELU())
    net.add_module("conv2", nn.Identity())

    assert {"head", "conv2", "append", "training"} <= set(dir(net))
    assert [name for name in dir(net) if name.isdigit()] == []
    assert getattr(net, "1") is net[1]
