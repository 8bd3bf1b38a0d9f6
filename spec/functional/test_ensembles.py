"""Stacking the state of several modules.

An *ensemble* is a number of modules of one kind. With their tensors stacked, name by name, one of them
computes what all would, by way of :func:`torch.vmap`.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state


def test_parameters_and_buffers_are_stacked():
    """:func:`~torch.func.stack_module_state` stacks the parameters and buffers of several modules by name.

    It returns two dicts, of parameters and of buffers. With :func:`torch.vmap` one call then computes what a
    loop over the modules would.
    """
    models = [nn.BatchNorm1d(2, momentum=None) for _ in range(3)]
    for number, model in enumerate(models):
        nn.init.constant_(model.weight, number + 2.0)
        model.running_mean += number + 5.0
        model.register_buffer("shift", torch.tensor(number), persistent=False)

    parameters, buffers = stack_module_state(models)

    assert list(parameters) == ["weight", "bias"]
    assert list(buffers) == ["running_mean", "running_var", "num_batches_tracked", "shift"]
    assert parameters["weight"].tolist() == [[2.0, 2.0], [3.0, 3.0], [4.0, 4.0]]
    assert buffers["running_mean"].tolist() == [[5.0, 5.0], [6.0, 6.0], [7.0, 7.0]]
    assert (buffers["shift"].tolist(), buffers["shift"].dtype) == ([0, 1, 2], torch.int64)


def test_names_are_dotted():
    """:func:`~torch.func.stack_module_state` returns tensors of submodules under dotted names, such as
    ``0.weight``.
    """
    nets = [nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3))) for _ in range(4)]
    parameters, buffers = stack_module_state(nets)

    assert {name: tuple(value.shape) for name, value in parameters.items()} == {
        "0.weight": (4, 3, 2),
        "0.bias": (4, 3),
        "1.0.weight": (4, 3),
        "1.0.bias": (4, 3),
    }
    assert list(buffers) == ["1.0.running_mean", "1.0.running_var", "1.0.num_batches_tracked"]


def test_stacked_parameters_are_leaves():
    """``stack_module_state`` returns parameters as new leaf tensors, but not as ``nn.Parameter``.

    An optimizer accepts them, and the gradients do not reach the modules they came from.
    """
    models = [nn.Sequential(nn.Linear(2, 1)) for _ in range(2)]

    stacked, _ = stack_module_state(models)
    weight, bias = stacked.values()
    (weight * torch.tensor([[[2.0, 3.0]], [[5.0, 7.0]]])).sum().backward()

    assert [weight.is_leaf, bias.is_leaf] == [True, True]
    assert [type(weight), type(bias)] == [torch.Tensor, torch.Tensor]
    assert weight.grad.tolist() == [[[2.0, 3.0]], [[5.0, 7.0]]]
    assert [model[0].weight.grad for model in models] == [None, None]


def test_an_optimizer_wants_the_values():
    """An optimizer raises ``TypeError`` for the dict of ``stack_module_state``; it takes its ``values()``.

    Iterating over a dict yields the names. A step of ``SGD`` changes the stacked tensors only.
    """
    models = [nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)]
    for number, model in enumerate(models):
        nn.init.constant_(model.weight, number + 2.0)
    stacked, _ = stack_module_state(models)

    for kind in (torch.optim.SGD, torch.optim.AdamW):
        with pytest.raises(TypeError, match="optimizer can only optimize Tensors"):
            kind(stacked, lr=0.5)

    optimizer = torch.optim.SGD(stacked.values(), lr=0.5)
    stacked["weight"].sum().backward()
    optimizer.step()
    assert stacked["weight"].tolist() == [[[1.5, 1.5]], [[2.5, 2.5]]]
    assert [model.weight.tolist() for model in models] == [[[2.0, 2.0]], [[3.0, 3.0]]]


@pytest.mark.parametrize("count", [1, 2])
def test_stacked_tensors_are_copies(count):
    """Changing a tensor returned by ``stack_module_state`` does not change the modules.

    After training, copy the rows back to have modules again.
    """
    models = [nn.BatchNorm1d(2) for _ in range(count)]
    before = [value.tolist() for model in models for value in model.state_dict().values()]
    for model in models:
        model.bias.requires_grad_(False)

    for tensors in stack_module_state(models):
        for value in tensors.values():
            value.data.add_(3)

    assert [value.tolist() for model in models for value in model.state_dict().values()] == before


@pytest.mark.parametrize("number", [1, 2])
def test_frozen_parameters_stay_frozen(number):
    """``stack_module_state`` returns tensors with ``requires_grad=False`` for frozen parameters."""
    models = [nn.Sequential(nn.Linear(2, 1)) for _ in range(number)]
    for model in models:
        model[0].weight.requires_grad_(False)

    parameters, _ = stack_module_state(models)

    assert parameters["0.weight"].requires_grad is False
    assert parameters["0.bias"].requires_grad is True


@pytest.mark.parametrize("name", ["bias", "running_mean"])
def test_half_frozen_is_an_error(name):
    """``stack_module_state`` raises ``RuntimeError`` if a tensor requires grad in some of the modules
    only.
    """
    for odd in range(3):
        models = [nn.Sequential(nn.BatchNorm1d(2)) for _ in range(3)]
        getattr(models[odd][0], name).requires_grad_(name == "running_mean")
        with pytest.raises(
            RuntimeError, match=rf"Expected 0\.{name} from each model to have the same \.requires_grad"
        ):
            stack_module_state(models)


def test_no_module_is_an_error():
    """:func:`~torch.func.stack_module_state` of an empty list raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match="stack_module_state: Expected at least one model, got 0"):
        stack_module_state([])


def test_one_module_is_enough():
    """:func:`~torch.func.stack_module_state` accepts a list of one module and returns stacks of size 1."""
    layer = nn.BatchNorm1d(3)
    nn.init.normal_(layer.weight)

    parameters, buffers = stack_module_state([layer])
    stacked = {name: value.tolist() for name, value in {**parameters, **buffers}.items()}

    assert stacked == {name: [value.tolist()] for name, value in layer.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
def test_one_mode_for_all(training):
    """:func:`~torch.func.stack_module_state` accepts modules that are all in training or all in eval mode."""
    models = [nn.Linear(3, 2).train(training) for _ in range(2)]

    assert list(stack_module_state(models)[0]) == ["weight", "bias"]


def test_different_modes_are_an_error():
    """``stack_module_state`` raises ``RuntimeError`` for modules in different modes, training and eval."""
    training, evaluating = nn.Linear(2, 1), nn.Linear(2, 1).eval()

    pair = [training, evaluating]
    for models in (pair, pair[::-1], [training, *pair], [*pair, training]):
        with pytest.raises(RuntimeError, match="all models to have the same training/eval mode"):
            stack_module_state(models)


def test_different_classes_are_an_error():
    """``stack_module_state`` raises ``RuntimeError`` unless all modules have exactly the same class."""

    class Own(nn.Linear):
        pass

    for kinds in ([nn.Linear, Own], [Own, nn.Linear], [Own, Own, nn.Linear]):
        models = [kind(2, 1) for kind in kinds]
        with pytest.raises(RuntimeError, match="Expected all models to be of the same class"):
            stack_module_state(models)


def test_submodules_are_not_compared():
    """``stack_module_state`` stacks ``Sequential`` modules whose layers differ, if their tensors fit.

    It compares the class and the mode of the outermost modules, and the shapes of their tensors. All are
    then computed as the one module that ``functional_call`` is given. See
    :func:`~torch.func.stack_module_state`.
    """

    class Negative(nn.Linear):
        def forward(self, x):
            return -super().forward(x)

    kinds, ends = (nn.Linear, nn.Linear, Negative), (nn.ReLU(), nn.Tanh(), nn.Dropout().eval())
    models = [nn.Sequential(kind(1, 1), end) for kind, end in zip(kinds, ends, strict=True)]
    for model, weight in zip(models, (2.0, 3.0, 5.0), strict=True):
        nn.init.constant_(model[0].weight, weight)
        nn.init.zeros_(model[0].bias)

    state = stack_module_state(models)
    outputs = torch.vmap(functional_call, in_dims=(None, 0, None))(models[0], state, torch.ones(1))

    assert outputs.tolist() == [[2.0], [3.0], [5.0]]
    assert models[1](torch.ones(1)).item() < 1
    assert models[2](torch.ones(1)).item() == -5.0


def test_different_shapes_are_an_error():
    """``stack_module_state`` raises ``RuntimeError`` for modules whose parameters differ in shape."""
    for models in (
        [nn.Linear(1, 1), nn.Linear(3, 1)],
        [nn.Conv1d(2, 3, 1, bias=False), nn.Conv1d(3, 2, 1, bias=False)],
    ):
        with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
            stack_module_state(models)


def test_a_module_list_may_be_given():
    """:func:`~torch.func.stack_module_state` accepts a :class:`~torch.nn.ModuleList` instead of a list."""
    models = nn.ModuleList([nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(3)])
    for number, (_, norm) in enumerate(models):
        norm.running_mean.fill_(number)

    parameters, buffers = stack_module_state(models)

    assert [list(parameters), list(buffers)] == [[*d] for d in stack_module_state(list(models))]
    assert parameters["0.bias"].tolist() == [linear.bias.tolist() for linear, _ in models]
    assert buffers["1.running_mean"].tolist() == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def test_vmap_over_stacked_state_computes_the_ensemble(device):
    """:func:`torch.vmap <torch.vmap>` of ``functional_call`` over a ``stack_module_state`` result computes
    all modules' outputs.

    The module that ``functional_call`` is given provides only its ``forward``; it may be on the meta device.
    """

    def build(device):
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval().to(device)

    models = [build(device) for _ in range(4)]
    base, x = build("meta"), torch.rand(5, 3, device=device)
    for scale, model in enumerate(models, 2):
        model[1].running_mean.fill_(scale)
        model[1].running_var.fill_(scale + 3)

    def call(state, x):
        return functional_call(base, state, x)

    out = torch.vmap(call, in_dims=(0, None))(stack_module_state(models), x)

    assert out.shape == (4, 5, 2)
    torch.testing.assert_close(out, torch.stack([model(x) for model in models]))


def test_stacked_statistics_are_updated():
    """:func:`torch.vmap <torch.vmap>` of training ``BatchNorm1d`` layers updates the buffers of
    ``stack_module_state``.

    Each layer of the ensemble has its row there; those of the layers themselves stay as they were.
    """
    models = [nn.BatchNorm1d(1, momentum=0.5) for _ in range(2)]
    parameters, buffers = stack_module_state(models)
    x = torch.tensor([[[2.0], [4.0]], [[6.0], [10.0]]])

    torch.vmap(lambda *state: functional_call(models[0], state[:2], state[2]))(parameters, buffers, x)

    assert buffers["running_mean"].tolist() == [[1.5], [4.0]]
    assert buffers["running_var"].tolist() == [[1.5], [4.5]]
    assert buffers["num_batches_tracked"].tolist() == [1, 1]
    assert [model.running_mean.tolist() for model in models] == [[0.0], [0.0]]
    assert [model.running_var.tolist() for model in models] == [[1.0], [1.0]]


def test_only_names_of_the_first_count():
    """``stack_module_state`` ignores parameters that the first module does not have.

    A parameter that another module lacks raises ``KeyError``.
    """
    bare, full = nn.Linear(2, 1, bias=False), nn.Linear(2, 1)

    assert list(stack_module_state([bare, full])[0]) == ["weight"]
    for models in ([full, bare], [full, full, bare]):
        with pytest.raises(KeyError, match="bias"):
            stack_module_state(models)


@pytest.mark.parametrize("transform", [torch.func.jacrev, torch.func.jacfwd], ids=["jacrev", "jacfwd"])
def test_stacking_inside_a_transform_is_refused(transform):
    """``stack_module_state`` raises ``RuntimeError`` inside a transform such as ``torch.func.jvp``.

    It makes leaves with ``requires_grad_()``, which no transform allows (:issue:`182842`). Stack outside, or
    freeze the modules. See :func:`~torch.func.stack_module_state`.
    """
    nets = [nn.Linear(2, 1, bias=False) for _ in range(2)]

    def ensemble(x, state=None):
        state = state or stack_module_state(nets)[0]
        return torch.vmap(lambda each: functional_call(nets[0], each, x))(state)

    stacked = stack_module_state(nets)[0]
    with pytest.raises(RuntimeError, match=r"attempting to call Tensor\.requires_grad_\(\)"):
        transform(ensemble)(torch.rand(2))
    with pytest.raises(RuntimeError, match=r"attempting to call Tensor\.requires_grad_\(\)"):
        torch.vmap(ensemble)(torch.rand(3, 2))
    with pytest.raises(RuntimeError, match=r"attempting to call Tensor\.requires_grad_\(\)"):
        torch.func.jvp(ensemble, (torch.rand(2),), (torch.rand(2),))

    weights = stacked["weight"].detach()
    assert torch.equal(transform(lambda x: ensemble(x, stacked))(torch.rand(2)), weights)
    for net in nets:
        net.requires_grad_(False)
    assert torch.equal(transform(ensemble)(torch.rand(2)), weights)
