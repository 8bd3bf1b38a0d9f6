"""Optimizers and the parameters they hold.

An optimizer holds the parameter objects it was given. What becomes of the module afterwards matters to
it only as far as these objects are concerned. Whether they survive a cast or a move is the subject of
*optimizer_and_devices* in the part on placement.
"""

import pytest
import torch
from torch import nn
from torch.optim import SGD


def test_a_step_changes_parameters_in_place():
    """:meth:`~torch.optim.Optimizer.step` changes the parameters of the module themselves."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    weight = layer.weight
    optimizer = SGD(layer.parameters(), lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight is weight
    assert weight.tolist() == [[2.0, 1.0]]


def test_a_step_passes_over_missing_gradients():
    """A parameter without a gradient is not changed by a step."""
    layer = nn.Linear(2, 1)
    before = layer.bias.tolist()
    layer.weight.grad = torch.tensor([[2.0, 4.0]])
    SGD(layer.parameters(), lr=0.5).step()

    assert layer.bias.tolist() == before


def test_an_optimizer_holds_the_parameter_objects():
    """An optimizer holds the very parameters of the module, in the order of ``parameters()``."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = SGD(net.parameters(), lr=0.1)

    held = optimizer.param_groups[0]["params"]
    assert [id(p) for p in held] == [id(p) for p in net.parameters()]


@pytest.mark.question("Q115")
def test_a_replaced_parameter_is_never_updated():
    """A parameter assigned after the optimizer was made is not among those it holds, and is never updated."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    old = layer.weight
    layer.weight = nn.Parameter(torch.tensor([[3.0, 3.0]]))
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[3.0, 3.0]]
    assert optimizer.param_groups[0]["params"] == [old]


@pytest.mark.question("Q115")
def test_a_replaced_layer_is_never_updated():
    """A layer put in after the optimizer was made is updated only once it is added to it."""
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    optimizer = SGD(net.parameters(), lr=0.5)
    net[0] = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net[0].weight, 3.0)
    net(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()
    assert net[0].weight.tolist() == [[3.0, 3.0]]

    optimizer.add_param_group({"params": net[0].parameters()})
    optimizer.step()
    assert net[0].weight.tolist() == [[2.0, 1.0]]


@pytest.mark.question("Q115")
def test_new_values_for_an_old_parameter_count():
    """Values loaded into a parameter are trained from then on: the optimizer holds the same object."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    layer.load_state_dict({"weight": torch.tensor([[3.0, 3.0]])})
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]


def test_a_single_tensor_is_refused():
    """An optimizer raises ``TypeError`` for a single tensor; it takes a list of one."""
    weight = nn.Linear(2, 1).weight

    with pytest.raises(TypeError, match=r"an iterable of Tensors or dicts, but got torch\.FloatTensor$"):
        SGD(weight, lr=0.1)
    assert len(SGD([weight], lr=0.1).param_groups) == 1


@pytest.mark.parametrize("kind", ["layer", "text"])
def test_what_is_no_tensor_is_refused(kind):
    """An optimizer raises a ``TypeError`` that names the type for anything that is no tensor."""
    layer = nn.Linear(2, 1)
    given, name = {"layer": (layer, "torch.nn.modules.linear.Linear"), "text": ("weight", "str")}[kind]

    with pytest.raises(TypeError, match=f"can only optimize Tensors, but one of the params is {name}$"):
        SGD([layer.weight, given], lr=0.1)


@pytest.mark.question("Q113")
@pytest.mark.since("2.15")
def test_a_set_of_parameters_is_warned_of():
    """A set of parameters gives a ``FutureWarning``, because its order changes from run to run."""
    layer = nn.Linear(2, 3)

    with pytest.warns(FutureWarning, match="organized in ordered collections, .* error in a future release"):
        optimizer = SGD(set(layer.parameters()), lr=0.1)
    assert set(optimizer.param_groups[0]["params"]) == set(layer.parameters())


@pytest.mark.question("Q113")
def test_a_set_of_parameters_is_accepted():
    """A set of parameters is accepted in place of a list."""
    layer = nn.Linear(2, 3)
    optimizer = SGD(set(layer.parameters()), lr=0.1)

    assert set(optimizer.param_groups[0]["params"]) == set(layer.parameters())


@pytest.mark.question("Q113")
def test_a_set_in_a_group_is_refused():
    """A set of parameters inside a parameter group raises ``TypeError``."""
    with pytest.raises(TypeError, match=r"organized in ordered collections, .* Please use a list instead"):
        SGD([{"params": set(nn.Linear(2, 3).parameters())}], lr=0.1)


def test_a_computed_tensor_is_refused():
    """An optimizer raises ``ValueError`` for a tensor that is no leaf."""
    with pytest.raises(ValueError, match=r"^can't optimize a non-leaf Tensor$"):
        SGD([nn.Linear(2, 1).weight * 2], lr=0.1)


@pytest.mark.observed
@pytest.mark.parametrize("kind", ["retains_grad", "differentiable"])
def test_a_computed_tensor_may_be_accepted(kind):
    """A tensor that is no leaf is accepted if it retains its gradient or the optimizer is differentiable."""
    computed = nn.Linear(2, 1).weight * 2
    if kind == "retains_grad":
        computed.retain_grad()
    optimizer = SGD([computed], lr=0.1, differentiable=kind == "differentiable")

    assert optimizer.param_groups[0]["params"][0] is computed


def test_frozen_parameters_are_accepted():
    """An optimizer accepts frozen parameters; once thawed they are trained like the others."""
    layer = nn.Linear(2, 1, bias=False).requires_grad_(False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = SGD(layer.parameters(), lr=0.5)
    layer.requires_grad_()
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]
