"""Stacking the state of several modules.

An *ensemble* is a number of modules of one kind. With their tensors stacked, name by name, one of them
computes what all would, by way of :func:`torch.vmap`.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state


def test_parameters_and_buffers_are_stacked():
    """:func:`~torch.func.stack_module_state` stacks what has the same name, module by module."""
    models = [nn.BatchNorm1d(2, momentum=None) for _ in range(3)]
    for number, model in enumerate(models):
        nn.init.constant_(model.weight, number + 2.0)
        model.running_mean += number + 5.0

    parameters, buffers = stack_module_state(models)

    assert list(parameters) == ["weight", "bias"]
    assert list(buffers) == ["running_mean", "running_var", "num_batches_tracked"]
    assert parameters["weight"].tolist() == [[2.0, 2.0], [3.0, 3.0], [4.0, 4.0]]
    assert buffers["running_mean"].tolist() == [[5.0, 5.0], [6.0, 6.0], [7.0, 7.0]]


def test_names_are_dotted():
    """The stacked tensors of submodules have dotted names."""
    parameters, buffers = stack_module_state([nn.Sequential(nn.Linear(2, 3), nn.ReLU()) for _ in range(4)])

    assert {name: tuple(value.shape) for name, value in parameters.items()} == {
        "0.weight": (4, 3, 2),
        "0.bias": (4, 3),
    }
    assert buffers == {}


def test_stacked_parameters_are_leaves():
    """Stacked parameters are new leaves that require gradients, and no parameters.

    An optimizer takes them, and the gradients do not reach the modules they came from.
    """
    models = [nn.Linear(2, 1), nn.Linear(2, 1)]

    weight = stack_module_state(models)[0]["weight"]
    weight.sum().backward()

    assert (weight.is_leaf, weight.requires_grad, type(weight)) == (True, True, torch.Tensor)
    assert weight.grad.shape == (2, 1, 2)
    assert [model.weight.grad for model in models] == [None, None]


def test_stacked_tensors_are_copies():
    """A change of a stacked tensor does not reach the modules."""
    models = [nn.Linear(2, 1), nn.Linear(2, 1)]
    before = models[0].weight.tolist()

    with torch.no_grad():
        stack_module_state(models)[0]["weight"].add_(3.0)

    assert models[0].weight.tolist() == before


def test_frozen_parameters_stay_frozen():
    """Where no module asks for gradients, the stacked tensor does not either."""
    models = [nn.Linear(2, 1).requires_grad_(False) for _ in range(2)]
    models[0].bias.requires_grad_(True)
    models[1].bias.requires_grad_(True)

    parameters, _ = stack_module_state(models)

    assert {name: value.requires_grad for name, value in parameters.items()} == {
        "weight": False,
        "bias": True,
    }


@pytest.mark.parametrize("name", ["bias", "running_mean"])
def test_half_frozen_is_an_error(name):
    """A tensor that requires gradients in some of the modules only raises ``RuntimeError`` with its name."""
    models = [nn.BatchNorm1d(2), nn.BatchNorm1d(2)]
    getattr(models[1], name).requires_grad_(name == "running_mean")

    with pytest.raises(
        RuntimeError, match=rf"Expected {name} from each model to have the same \.requires_grad"
    ):
        stack_module_state(models)


def test_no_module_is_an_error():
    """:func:`~torch.func.stack_module_state` of an empty list raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match="stack_module_state: Expected at least one model, got 0"):
        stack_module_state([])


def test_one_module_is_enough():
    """:func:`~torch.func.stack_module_state` of one module gives stacks of one."""
    parameters, _ = stack_module_state([nn.Linear(3, 2)])

    assert [tuple(value.shape) for value in parameters.values()] == [(1, 2, 3), (1, 2)]


@pytest.mark.parametrize("training", [True, False])
def test_one_mode_for_all(training):
    """:func:`~torch.func.stack_module_state` takes modules that are all in one mode, whichever it is."""
    models = [nn.Linear(3, 2).train(training) for _ in range(2)]

    assert list(stack_module_state(models)[0]) == ["weight", "bias"]


def test_different_modes_are_an_error():
    """Stacking modules in different modes raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match="all models to have the same training/eval mode"):
        stack_module_state([nn.Linear(2, 1), nn.Linear(2, 1).eval()])


def test_different_classes_are_an_error():
    """Stacking modules of different classes, a class and its subclass too, raises ``RuntimeError``."""

    class Own(nn.Linear):
        pass

    with pytest.raises(RuntimeError, match="Expected all models to be of the same class"):
        stack_module_state([nn.Linear(2, 1), Own(2, 1)])


def test_different_shapes_are_an_error():
    """Stacking modules whose tensors differ in shape raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        stack_module_state([nn.Linear(2, 1), nn.Linear(3, 1)])


def test_a_module_list_may_be_given():
    """:func:`~torch.func.stack_module_state` takes a :class:`~torch.nn.ModuleList` in place of a list."""
    parameters, _ = stack_module_state(nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)]))

    assert list(parameters) == ["weight", "bias"]


def test_vmap_over_stacked_state_computes_the_ensemble(device):
    """:func:`~torch.vmap` over stacked state computes what each module would on its own."""
    models = [nn.Linear(3, 2, device=device) for _ in range(4)]
    x = torch.rand(5, 3, device=device)

    def call(state, x):
        return functional_call(models[0], state, x)

    out = torch.vmap(call, in_dims=(0, None))(stack_module_state(models), x)

    assert out.shape == (4, 5, 2)
    torch.testing.assert_close(out, torch.stack([model(x) for model in models]))


def test_only_names_of_the_first_count():
    """The first module decides on the names to stack; what only others hold is left out."""
    models = [nn.Linear(2, 1, bias=False), nn.Linear(2, 1)]

    assert list(stack_module_state(models)[0]) == ["weight"]
    with pytest.raises(KeyError, match="bias"):
        stack_module_state(models[::-1])
