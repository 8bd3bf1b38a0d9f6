"""Jacobians and Hessians of a module, by its inputs and by its parameters.

:func:`torch.func.jacrev`, ``jacfwd`` and ``hessian`` differentiate functions of more than one number.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp


@pytest.mark.parametrize("jacobian", [jacrev, jacfwd])
def test_a_jacobian_for_each_parameter(jacobian):
    """``jacrev`` and ``jacfwd`` over ``functional_call`` return a dict of Jacobians by parameter name.

    The shape is that of the output, followed by that of the parameter. See :func:`torch.func.jacrev`.
    """
    layer, x = nn.Linear(2, 3), torch.tensor([5.0, 7.0])

    result = jacobian(lambda state: functional_call(layer, state, x))(dict(layer.named_parameters()))

    assert {name: tuple(value.shape) for name, value in result.items()} == {
        "weight": (3, 3, 2),
        "bias": (3, 3),
    }
    assert result["weight"][1].tolist() == [[0.0, 0.0], [5.0, 7.0], [0.0, 0.0]]
    assert torch.equal(result["bias"], torch.eye(3))


def test_a_batch_has_a_jacobian_of_pairs():
    """``jacrev(net)(batch)`` has a block for each pair of samples, zeros for two different ones.

    ``vmap(jacrev(net))(batch)`` computes the Jacobian of each sample alone. See :func:`torch.func.jacrev`.
    """
    net, x = nn.Linear(2, 3), torch.rand(4, 2)

    pairs, samples = jacrev(net)(x), torch.vmap(jacrev(net))(x)

    assert (tuple(pairs.shape), tuple(samples.shape)) == ((4, 3, 4, 2), (4, 3, 2))
    for first in range(4):
        for second in range(4):
            block = samples[first] if first == second else torch.zeros(3, 2)
            torch.testing.assert_close(pairs[first, :, second], block)


def test_a_hessian_is_a_dict_of_dicts():
    """``hessian`` over ``functional_call`` returns a dict of dicts, with a block for each pair of parameters.

    See :func:`torch.func.hessian`.
    """
    layer, x = nn.Linear(2, 1), torch.tensor([3.0, 5.0])

    def loss(state):
        return functional_call(layer, state, x).pow(2).sum()

    result = hessian(loss)({name: value.detach() for name, value in layer.named_parameters()})

    assert {name: list(row) for name, row in result.items()} == {
        "weight": ["weight", "bias"],
        "bias": ["weight", "bias"],
    }
    assert result["weight"]["weight"].reshape(2, 2).tolist() == [[18.0, 30.0], [30.0, 50.0]]
    assert result["weight"]["bias"].flatten().tolist() == [6.0, 10.0]
    assert result["bias"]["bias"].tolist() == [[2.0]]


def test_a_hessian_times_a_vector():
    """``jvp`` of ``grad`` multiplies the Hessian of a module by a vector, without computing the Hessian.

    The vector is a dict like that of the parameters. See :func:`torch.func.jvp`.
    """
    layer, x = nn.Linear(2, 1), torch.tensor([3.0, 5.0])
    state = {name: value.detach() for name, value in layer.named_parameters()}
    vector = {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([10.0])}

    def loss(state):
        return functional_call(layer, state, x).pow(2).sum()

    _, product = jvp(grad(loss), (state,), (vector,))

    assert {name: value.tolist() for name, value in product.items()} == {
        "weight": [[138.0, 230.0]],
        "bias": [46.0],
    }


def test_an_older_function_for_jacobians():
    """``torch.autograd.functional.jacobian(net, x)`` has the values of ``jacrev``, and by default no graph.

    The result of :func:`torch.func.jacrev` requires grad if the parameters do: it can be trained on.
    See :func:`torch.autograd.functional.jacobian`.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), torch.rand(2)

    new, old = jacrev(net)(x), torch.autograd.functional.jacobian(net, x)
    torch.testing.assert_close(new, old)
    assert (new.requires_grad, old.requires_grad) == (True, False)
    assert torch.autograd.functional.jacobian(net, x, create_graph=True).requires_grad


@pytest.mark.parametrize("transform", [grad, jacrev, jacfwd])
def test_batch_norm_would_change_its_statistics(transform):
    """``torch.func.grad`` and Jacobians raise ``RuntimeError`` for a ``BatchNorm1d`` that updates its
    statistics.

    A transformed function may change no buffer in place. In ``eval()``, with ``track_running_stats=False`` or
    after :func:`torch.func.replace_all_batch_norm_modules_` it does not (:issue:`85533`).
    """
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])

    def bias(net):
        def loss(state):
            return functional_call(net, state, (x,)).square().sum()

        return transform(loss)(dict(net.named_parameters()))["0.bias"].shape

    net = nn.Sequential(nn.BatchNorm1d(2))
    with pytest.raises(RuntimeError, match="would mutate a captured Tensor"):
        bias(net)

    assert bias(nn.Sequential(nn.BatchNorm1d(2)).eval()) == (2,)
    assert bias(nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False))) == (2,)
    assert torch.func.replace_all_batch_norm_modules_(net) is net
    assert bias(net) == (2,)
    assert (net[0].track_running_stats, net[0].running_mean) == (False, None)


def test_recurrent_layers_have_reverse_derivatives_alone():
    """On the CPU, ``jacrev`` takes an ``nn.LSTM``; ``jacfwd`` and ``hessian`` raise ``NotImplementedError``.

    Its fused function has no forward derivative (:issue:`103161`).
    """
    layer, x = nn.LSTM(2, 3), torch.rand(4, 1, 2)
    state = dict(layer.named_parameters())

    def last(state):
        return functional_call(layer, state, (x,))[0][-1, 0]

    assert jacrev(last)(state)["bias_hh_l0"].shape == (3, 12)
    assert grad(lambda state: last(state).sum())(state)["weight_ih_l0"].shape == (12, 2)
    for refused in (jacfwd(last), hessian(lambda state: last(state).sum())):
        with pytest.raises(NotImplementedError, match="forward AD"):
            refused(state)
