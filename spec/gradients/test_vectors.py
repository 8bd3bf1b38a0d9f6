"""All parameters of a model as one vector, and back.

:func:`~torch.nn.utils.parameters_to_vector` copies the values out, and
:func:`~torch.nn.utils.vector_to_parameters` makes the parameters slices of a vector.
"""

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def test_parameters_are_laid_end_to_end(device):
    """:func:`~torch.nn.utils.parameters_to_vector` flattens parameters row by row and concatenates them into
    one vector.
    """
    net = nn.Sequential(nn.Linear(2, 3, device=device), nn.Conv1d(2, 3, 4, device=device))
    net[0].bias.requires_grad_(False)
    vector = parameters_to_vector(net.parameters())

    assert vector.tolist() == [x for p in net.parameters() for x in p.flatten().tolist()]
    assert vector.device.type == device


def test_gradients_flow_through_the_vector():
    """Gradients flow back through the result of :func:`~torch.nn.utils.parameters_to_vector`."""
    layer = nn.Linear(2, 1)
    vector = parameters_to_vector(layer.parameters())
    (vector * torch.tensor([2.0, 3.0, 5.0])).sum().backward()

    assert layer.weight.grad.tolist() == [[2.0, 3.0]]
    assert layer.bias.grad.tolist() == [5.0]


def test_a_vector_is_cut_into_parameters(device):
    """:func:`~torch.nn.utils.vector_to_parameters` fills each parameter with its slice of the vector, in the
    parameter's shape.
    """
    frozen = nn.Linear(2, 3, device=device).requires_grad_(False)
    net = nn.Sequential(frozen, nn.Conv1d(2, 1, 2, bias=False, device=device), nn.PReLU(device=device))
    weight = net[0].weight
    result = vector_to_parameters(torch.arange(14.0, device=device), net.parameters())

    assert result is None
    assert net[0].weight is weight
    assert net[0].weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert net[0].bias.tolist() == [6.0, 7.0, 8.0]
    assert net[1].weight.tolist() == [[[9.0, 10.0], [11.0, 12.0]]]
    assert net[2].weight.tolist() == [13.0]


@pytest.mark.parametrize(
    "net",
    [nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))],
    ids=["one parameter", "several"],
)
def test_there_and_back_changes_nothing(net):
    """``vector_to_parameters`` restores the values that ``parameters_to_vector`` copied.

    The vector is a copy, so that the parameters may change in between.
    """
    before = [p.tolist() for p in net.parameters()]
    vector = parameters_to_vector(net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(7.0)

    vector_to_parameters(vector, net.parameters())
    assert [p.tolist() for p in net.parameters()] == before


def test_parameters_share_memory_with_the_vector():
    """After ``vector_to_parameters``, parameters share memory with the vector: both change together.

    The vector of ``parameters_to_vector`` is a copy. Give a clone to keep the vector apart.
    """
    layer = nn.Linear(2, 1)
    vector = torch.tensor([2.0, 3.0, 5.0])
    vector_to_parameters(vector, layer.parameters())
    vector.mul_(10)
    assert layer.weight.tolist() == [[20.0, 30.0]]
    assert layer.bias.tolist() == [50.0]

    nn.init.constant_(layer.bias, 7.0)
    assert vector.tolist() == [20.0, 30.0, 7.0]

    parameters_to_vector([layer.bias]).detach().zero_()
    assert layer.bias.tolist() == [7.0]


def test_the_parameters_stay_leaves():
    """After ``vector_to_parameters``, parameters are still leaves; no gradient reaches the vector.

    For gradients to the vector use :func:`torch.func.functional_call` with its slices.
    """
    source = torch.rand(3, requires_grad=True)
    for vector in (source, source * 2):
        layer = nn.Linear(2, 1)
        vector_to_parameters(vector, layer.parameters())
        layer(torch.tensor([[5.0, 7.0]])).sum().backward()

        assert [p.is_leaf for p in layer.parameters()] == [True, True]
        assert torch.equal(parameters_to_vector(layer.parameters()), vector)
        assert layer.weight.grad.tolist() == [[5.0, 7.0]]
        assert source.grad is None


def test_what_is_left_of_a_vector_is_ignored():
    """:func:`~torch.nn.utils.vector_to_parameters` ignores the surplus elements of a vector that is too
    long.
    """
    layer = nn.Linear(2, 1)
    vector_to_parameters(torch.tensor([2.0, 3.0, 5.0, 7.0]), layer.parameters())

    assert layer.weight.tolist() == [[2.0, 3.0]]
    assert layer.bias.tolist() == [5.0]


def test_a_short_vector_fails_halfway():
    """A too short vector makes ``vector_to_parameters`` fill the first parameters, then raise
    ``RuntimeError``.
    """
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.bias, 7.0)
    with pytest.raises(RuntimeError, match="is invalid for input of size 0"):
        vector_to_parameters(torch.tensor([2.0, 3.0]), layer.parameters())

    assert layer.weight.tolist() == [[2.0, 3.0]]
    assert layer.bias.tolist() == [7.0]


def test_only_a_tensor_is_cut_into_parameters():
    """``vector_to_parameters`` raises a ``TypeError`` that names the type if the vector is not a tensor."""
    for given, name in (
        ([2.0, 3.0, 5.0], "list"),
        ((2.0, 3.0, 5.0), "tuple"),
        (2.0, "float"),
        (None, "NoneType"),
        (torch.rand(3).numpy(), r"(numpy\.)?ndarray"),
    ):
        with pytest.raises(TypeError, match=rf"^expected torch.Tensor, but got: {name}$"):
            vector_to_parameters(given, nn.Linear(2, 1).parameters())


@pytest.mark.since("2.9")
def test_no_parameters_make_no_vector():
    """``parameters_to_vector`` raises ``ValueError`` for an empty iterable of parameters."""
    for nothing in (nn.ReLU().parameters(), [], ()):
        with pytest.raises(ValueError, match="expected a non-empty list of Tensors"):
            parameters_to_vector(nothing)


@pytest.mark.before("2.9")
def test_no_parameters_made_no_vector():
    """``parameters_to_vector`` raises ``RuntimeError`` for an empty iterable of parameters."""
    for nothing in (nn.ReLU().parameters(), [], ()):
        with pytest.raises(RuntimeError, match="expected a non-empty list of Tensors"):
            parameters_to_vector(nothing)


def test_a_parameter_that_is_not_contiguous_is_refused():
    """``parameters_to_vector`` raises ``RuntimeError`` for a parameter that is not contiguous."""
    transposed = torch.tensor([[2.0, 3.0], [5.0, 7.0]]).T

    with pytest.raises(RuntimeError, match="view size is not compatible with input tensor's size and stride"):
        parameters_to_vector([nn.Parameter(transposed)])
    assert parameters_to_vector([nn.Parameter(transposed.contiguous())]).tolist() == [2.0, 5.0, 3.0, 7.0]


@pytest.mark.needs("cuda")
@pytest.mark.parametrize("devices", [("cpu", "cuda"), ("cuda", "cpu")], ids=["cpu_first", "cuda_first"])
def test_parameters_lie_on_one_device(devices):
    """``parameters_to_vector`` and ``vector_to_parameters`` raise ``TypeError`` if parameters are on two
    devices.
    """
    parameters = [nn.Parameter(torch.rand(2, device=device)) for device in devices]
    message = "^Found two parameters on different devices, this is currently not supported.$"

    with pytest.raises(TypeError, match=message):
        parameters_to_vector(parameters)
    with pytest.raises(TypeError, match=message):
        vector_to_parameters(torch.rand(4), parameters)
