"""Optimizers and the parameters they hold.

An optimizer holds the parameter objects it was given. What becomes of the module afterwards matters to
it only as far as these objects are concerned.
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


def test_a_generator_of_parameters_is_used_up():
    """A generator of parameters is used up by the first optimizer; a second one finds nothing."""
    parameters = nn.Linear(2, 3).parameters()
    assert len(SGD(parameters, lr=0.1).param_groups[0]["params"]) == 2

    with pytest.raises(ValueError, match=r"^optimizer got an empty parameter list$"):
        SGD(parameters, lr=0.1)


def test_a_module_without_parameters_cannot_be_optimized():
    """An optimizer is refused if there is no parameter."""
    with pytest.raises(ValueError, match=r"^optimizer got an empty parameter list$"):
        SGD(nn.ReLU().parameters(), lr=0.1)


@pytest.mark.question("Q69")
def test_conversion_after_building_is_harmless():
    """A module may be converted after its optimizer was made: the parameters stay the same objects."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = SGD(layer.parameters(), lr=0.5)
    layer.double()
    layer(torch.tensor([[2.0, 4.0]]).double()).sum().backward()
    optimizer.step()

    assert layer.weight.dtype is torch.float64
    assert layer.weight.tolist() == [[2.0, 1.0]]


@pytest.mark.question("Q69")
@pytest.mark.needs("cuda")
def test_moving_after_building_is_harmless():
    """A module may be moved after its optimizer was made, as long as no step has been taken."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer.cuda()
    layer(torch.tensor([[2.0, 4.0]]).cuda()).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]
    assert optimizer.state[layer.weight]["momentum_buffer"].device.type == "cuda"


@pytest.mark.question("Q69")
@pytest.mark.needs("cuda")
def test_state_stays_behind_when_a_module_moves():
    """What an optimizer has gathered stays on the old device when the module moves, and a step fails."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer(torch.rand(1, 2)).sum().backward()
    optimizer.step()
    layer.cuda()

    assert optimizer.state[layer.weight]["momentum_buffer"].device.type == "cpu"
    with pytest.raises(RuntimeError, match="on the same device"):
        optimizer.step()


@pytest.mark.question("Q69")
def test_state_keeps_its_dtype_when_a_module_is_converted():
    """What an optimizer has gathered keeps its dtype when the module is converted."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5, momentum=0.9)
    layer(torch.rand(1, 2)).sum().backward()
    optimizer.step()
    layer.double()

    assert layer.weight.dtype is torch.float64
    assert optimizer.state[layer.weight]["momentum_buffer"].dtype is torch.float32


@pytest.mark.question("Q69", "Q115")
def test_conversion_that_replaces_parameters_loses_them():
    """Where conversion makes new parameters, an optimizer made before goes on with the old ones.

    :func:`~torch.__future__.set_overwrite_module_params_on_conversion` asks for that.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = SGD(layer.parameters(), lr=0.5)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        layer.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    layer(torch.tensor([[2.0, 4.0]]).double()).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[3.0, 3.0]]
    assert optimizer.param_groups[0]["params"][0] is not layer.weight


@pytest.mark.question("Q115")
def test_a_replaced_parameter_is_never_updated():
    """A parameter assigned after the optimizer was made is not known to it and never updated."""
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
    """Values written into a parameter are optimized from then on: the object is the same."""
    layer = nn.Linear(2, 1, bias=False)
    optimizer = SGD(layer.parameters(), lr=0.5)
    layer.load_state_dict({"weight": torch.tensor([[3.0, 3.0]])})
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]


def test_a_single_tensor_is_refused():
    """An optimizer takes no single tensor: it is to be put into a list."""
    weight = nn.Linear(2, 1).weight

    with pytest.raises(TypeError, match=r"an iterable of Tensors or dicts, but got torch\.FloatTensor$"):
        SGD(weight, lr=0.1)
    assert len(SGD([weight], lr=0.1).param_groups) == 1


@pytest.mark.parametrize("kind", ["layer", "text"])
def test_what_is_no_tensor_is_refused(kind):
    """An optimizer refuses a module, or anything else that is no tensor, and names its type."""
    layer = nn.Linear(2, 1)
    given, name = {"layer": (layer, "torch.nn.modules.linear.Linear"), "text": ("weight", "str")}[kind]

    with pytest.raises(TypeError, match=f"can only optimize Tensors, but one of the params is {name}$"):
        SGD([layer.weight, given], lr=0.1)


@pytest.mark.question("Q113")
@pytest.mark.since("2.15")
def test_a_set_of_parameters_is_warned_of():
    """A set of parameters is warned of, because its order changes from run to run."""
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
    """A set of parameters inside a parameter group is refused."""
    with pytest.raises(TypeError, match=r"organized in ordered collections, .* Please use a list instead"):
        SGD([{"params": set(nn.Linear(2, 3).parameters())}], lr=0.1)


def test_a_computed_tensor_is_refused():
    """A tensor that is no leaf cannot be optimized."""
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
