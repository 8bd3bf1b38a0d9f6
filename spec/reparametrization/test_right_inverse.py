"""The way back: from a value to the original.

A parametrization may have a method ``right_inverse``. It is asked when the parametrization is registered, and
whenever a value is assigned.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization


def test_registering_keeps_the_value():
    """The first ``register_parametrization`` of a tensor sets ``original`` to what ``right_inverse`` returns.

    The weight keeps its value if ``forward`` undoes ``right_inverse``; otherwise its value changes.
    """

    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

        def right_inverse(self, x):
            return x / 2.0

    net, shrink = nn.Module(), nn.Identity()
    shrink.right_inverse = lambda x: x / 8.0
    net.weight, net.shrunk = (nn.Parameter(torch.tensor([2.0, -32.0])) for _ in range(2))
    net.register_buffer("scale", torch.tensor([2.0, -32.0]))
    for name, parametrization in (("weight", Double()), ("shrunk", shrink), ("scale", Double())):
        register_parametrization(net, name, parametrization, unsafe=name == "weight")

    assert [p.original.tolist() for p in net.parametrizations.values()] == [[1, -16], [0.25, -4], [1, -16]]
    assert net.weight.tolist() == net.scale.tolist() == [2.0, -32.0]
    assert net.shrunk.tolist() == [0.25, -4.0]


def test_without_one_the_original_keeps_the_value():
    """Without ``right_inverse``, ``register_parametrization`` uses the tensor unchanged as ``original``.

    The computed weight may then have another value: ``register_parametrization(layer, "weight", nn.ReLU())``
    loses negative entries.
    """
    layer = nn.Linear(2, 1)
    layer.weight = weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))

    register_parametrization(layer, "weight", nn.ReLU())

    assert (layer.parametrizations.weight.original is weight, weight.tolist()) == (True, [[2.0, -3.0]])
    assert layer.weight.tolist() == [[2.0, 0.0]]


def test_not_implemented_counts_as_without():
    """``register_parametrization`` ignores a ``right_inverse`` that raises ``NotImplementedError``."""

    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

        def right_inverse(self, x):
            raise NotImplementedError

    layer = nn.Linear(2, 1)
    layer.weight = weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", Double())
    register_parametrization(layer, "weight", Double())

    assert (layer.parametrizations.weight.original is weight, weight.tolist()) == (True, [[2.0, -3.0]])
    assert layer.weight.tolist() == [[8.0, -12.0]]


def test_a_later_parametrization_leaves_the_original():
    """A second ``register_parametrization`` leaves ``original`` unchanged and changes the computed weight.

    Its ``right_inverse`` is called, unless ``unsafe=True``, but the result is not used. To keep the old
    value of the weight, assign it afterwards.
    """
    asked = []

    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

        def right_inverse(self, x):
            asked.append(x.tolist())
            return x / 2.0

    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[4.0, -6.0]]))
    register_parametrization(layer, "weight", Double())
    original = layer.parametrizations.weight.original
    for unsafe in (False, True):
        register_parametrization(layer, "weight", Double(), unsafe=unsafe)

    assert layer.parametrizations.weight.original is original
    assert asked == [[[4.0, -6.0]], [[8.0, -12.0]]]
    assert layer.parametrizations.weight.original.tolist() == [[2.0, -3.0]]
    assert layer.weight.tolist() == [[16.0, -24.0]]
    layer.weight = torch.tensor([[4.0, -6.0]])
    assert layer.weight.tolist() == [[4.0, -6.0]]


def test_assigning_sets_the_original():
    """Assigning to a weight of one parametrization sets ``original`` to the result of ``right_inverse``.

    The original stays the same object, so that an optimizer goes on.
    """

    class Double(nn.Module):
        def forward(self, x):
            return x * 2.0

        def right_inverse(self, x):
            return x / 2.0

    layer = register_parametrization(nn.Linear(2, 1), "weight", Double())
    original = layer.parametrizations.weight.original

    layer.weight = torch.tensor([[6.0, 10.0]])

    assert layer.parametrizations.weight.original is original
    assert original.tolist() == [[3.0, 5.0]]
    assert layer.weight.tolist() == [[6.0, 10.0]]
    layer.eval().weight = torch.tensor([[2.0, 4.0]])
    assert layer.parametrizations.weight.original is original
    assert original.tolist() == [[1.0, 2.0]]


def test_assigning_goes_back_through_all_in_reverse():
    """Assigning to a parametrized weight calls each ``right_inverse``, that of the last parametrization
    first.
    """

    class Affine(nn.Module):
        def __init__(self, factor, offset):
            super().__init__()
            self.factor, self.offset = factor, offset

        def forward(self, x):
            return x * self.factor + self.offset

        def right_inverse(self, x):
            return (x - self.offset) / self.factor

    layer = nn.Linear(2, 1)
    register_parametrization(layer, "weight", Affine(2.0, 0.0))
    register_parametrization(layer, "weight", Affine(1.0, 10.0))

    layer.weight = torch.tensor([[16.0, 20.0]])

    assert layer.parametrizations.weight.original.tolist() == [[3.0, 5.0]]


def test_assigning_without_one_is_an_error():
    """Assigning to a parametrized weight raises ``RuntimeError`` if a parametrization has no
    ``right_inverse``.

    Write the method, or change ``module.parametrizations.<name>.original``.
    """
    back, told = nn.Identity(), r"parametrization ReLU does not implement right_inverse\."
    back.right_inverse = lambda x: x

    for chain in ([nn.ReLU()], [nn.ReLU(), back], [back, nn.ReLU()]):
        layer = nn.Linear(2, 1)
        for parametrization in chain:
            register_parametrization(layer, "weight", parametrization)
        with pytest.raises(RuntimeError, match=told):
            layer.weight = torch.rand(1, 2)


def test_what_is_read_is_not_what_is_stored():
    """In-place changes to a parametrized ``layer.weight`` are lost: the next access computes a new tensor.

    An initialization by :mod:`torch.nn.init` of such a weight does nothing. Give it the original.

    See also :ref:`reparametrization.right_inverse.assigning_sets_the_original`
    """
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", nn.ReLU())

    for training in (True, False):
        nn.init.constant_(layer.train(training).weight, 7.0)
        assert layer.weight.tolist() == [[2.0, 0.0]]
    nn.init.constant_(layer.parametrizations.weight.original, 7.0)
    assert layer.weight.tolist() == [[7.0, 7.0]]


def test_it_records_no_gradients():
    """``register_parametrization`` and assignments to the weight call ``right_inverse`` under ``no_grad``.

    When a second parametrization is registered, its ``right_inverse`` runs with gradients on.
    """
    modes = []

    class Same(nn.Module):
        def forward(self, x):
            return x

        def right_inverse(self, x):
            modes.append(torch.is_grad_enabled())
            return x * 1.0

    layer = register_parametrization(nn.Linear(2, 1), "weight", Same())
    layer.weight = torch.rand(1, 2, requires_grad=True)
    assert modes == [False, False]

    register_parametrization(layer, "weight", Same())
    assert modes == [False, False, True]


def test_several_originals():
    """A ``right_inverse`` that returns several tensors creates ``original0``, ``original1`` and so on.

    The parameter that was there is gone: give the new ones to the optimizer.
    """

    class Outer(nn.Module):
        def forward(self, a, b, factor):
            return factor * torch.outer(a, b)

        def right_inverse(self, x):
            return x[:, 0] / 2.0, x[0] / x[0, 0], torch.tensor(2.0)

    layer = nn.Linear(3, 2, bias=False)
    layer.weight = parameter = nn.Parameter(torch.tensor([[1.0, 2.0, 3.0], [4.0, 8.0, 12.0]]))
    register_parametrization(layer, "weight", Outer())

    assert all(original is not parameter for original in layer.parameters())
    originals = {name: value.tolist() for name, value in layer.parametrizations.weight.named_parameters()}
    assert originals == {"original0": [0.5, 2.0], "original1": [1.0, 2.0, 3.0], "original2": 2.0}
    assert layer.weight.tolist() == [[1.0, 2.0, 3.0], [4.0, 8.0, 12.0]]


def test_several_originals_pass_through_later_ones():
    """The first parametrization's ``forward`` receives all originals; the next receives the single result."""

    class Sum(nn.Module):
        def forward(self, a, b, c):
            return a + b + c

        def right_inverse(self, x):
            return x - 10.0, torch.full_like(x, 6.0), torch.full_like(x, 4.0)

    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    register_parametrization(layer, "weight", Sum())
    register_parametrization(layer, "weight", nn.ReLU())
    register_parametrization(layer, "weight", nn.Hardtanh())

    assert layer.weight.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_several_originals_are_frozen_like_the_parameter(requires_grad):
    """``original0`` and ``original1`` of a parametrized weight are parameters with its ``requires_grad``."""

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return [x / 2.0, x / 2.0]

    layer = nn.Linear(2, 1, bias=False).requires_grad_(requires_grad)
    register_parametrization(layer, "weight", Sum())

    assert [parameter.requires_grad for parameter in layer.parameters()] == [requires_grad] * 2
    assert [type(parameter) for parameter in layer.parameters()] == [nn.Parameter] * 2


def test_several_originals_of_a_buffer_are_buffers():
    """``original0`` and ``original1`` of a parametrized buffer are buffers."""

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 3.0, torch.full_like(x, 3.0)

    norm = nn.BatchNorm1d(2)
    register_parametrization(norm, "running_mean", Sum())

    buffers = {name: value.tolist() for name, value in norm.parametrizations.named_buffers()}
    assert buffers == {"running_mean.original0": [-3.0, -3.0], "running_mean.original1": [3.0, 3.0]}
    assert list(norm.parametrizations.parameters()) == []


@pytest.mark.since("2.4")
def test_a_frozen_integer_parameter_may_be_split():
    """``register_parametrization`` can split a frozen integer parameter into several originals."""

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 3, torch.full_like(x, 3)

    net = nn.Module()
    net.steps = nn.Parameter(torch.tensor([2, 5]), requires_grad=False)
    register_parametrization(net, "steps", Sum())

    assert net.steps.tolist() == [2, 5]
    assert net.steps.dtype is torch.int64
    assert net.parametrizations.steps.original0.tolist() == [-1, 2]


@pytest.mark.before("2.4")
def test_a_frozen_integer_parameter_was_not_split():
    """``register_parametrization`` raises ``RuntimeError`` if ``right_inverse`` splits a frozen integer
    parameter.
    """

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 3, torch.full_like(x, 3)

    net = nn.Module()
    net.steps = nn.Parameter(torch.tensor([2, 5]), requires_grad=False)

    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
        register_parametrization(net, "steps", Sum())


@pytest.mark.parametrize("trained", [True, False])
def test_assigning_sets_several_originals(trained):
    """Assigning to a parametrized weight with ``original0`` and ``original1`` sets both and keeps the
    objects.
    """

    class Sum(nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x - 3.0, torch.full_like(x, 3.0)

    layer = register_parametrization(nn.Linear(2, 1, bias=False).requires_grad_(trained), "weight", Sum())
    before = list(layer.parameters())

    layer.weight = torch.tensor([[10.0, 20.0]])
    assert all(after is parameter for after, parameter in zip(layer.parameters(), before, strict=True))
    assert [parameter.tolist() for parameter in before] == [[[7.0, 17.0]], [[3.0, 3.0]]]


def test_the_original_shares_memory_with_what_is_assigned():
    """If ``right_inverse`` returns its argument, ``original`` shares memory with the assigned tensor.

    Change the assigned tensor later and the weight changes. Assign a clone.
    """
    same = nn.Identity()
    same.right_inverse = lambda x: x
    net = nn.BatchNorm1d(2)
    for name in ("weight", "running_mean"):
        value = torch.tensor([[2.0, 3.0], [4.0, 5.0]])[:, 0]
        setattr(register_parametrization(net, name, same), name, value)
        value[1] = 7.0
        assert getattr(net, name).tolist() == [2.0, 7.0]


def test_a_parameter_is_not_assigned():
    """Assigning an :class:`nn.Parameter <torch.nn.Parameter>` to a parametrized weight raises ``KeyError``.

    Assign a plain tensor: ``layer.weight = parameter.detach()``.
    """
    same = nn.Identity()
    same.right_inverse = lambda x: x
    layer = register_parametrization(nn.Linear(2, 1), "weight", same)

    for value in (nn.Parameter(torch.tensor([[2.0, 3.0]])), nn.Parameter(torch.tensor([[5.0, 7.0]]), False)):
        with pytest.raises(KeyError, match="attribute 'weight' already exists"):
            layer.weight = value
        layer.weight = value.detach()
        assert layer.weight.tolist() == value.tolist()


@pytest.mark.since("2.4")
def test_with_the_swap_flag_tensors_are_swapped():
    """With ``set_swap_module_params_on_conversion``, ``register_parametrization`` swaps in
    ``right_inverse``'s result.

    What ``right_inverse`` returned then holds the old value.
    """
    given, fixed = nn.Parameter(torch.tensor([[2.0, 3.0]])), nn.Identity()
    fixed.right_inverse = lambda _: given
    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(torch.tensor([[5.0, 6.0]]))
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        register_parametrization(layer, "weight", fixed)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)

    assert layer.weight.tolist() == [[2.0, 3.0]]
    assert given.tolist() == [[5.0, 6.0]]
