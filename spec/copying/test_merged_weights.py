"""Merging the weights of several models into one: averages, mixtures, steps between two checkpoints.

A state dict is a dict of tensors, so it can be computed with like any. What comes out is loaded as values;
whoever wants gradients of the mixture calls the model with it instead.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call


def test_a_mixture_of_state_dicts_is_loaded():
    """``load_state_dict`` takes a dict computed from those of two models, each layer with its own factor.

    The keys begin with the name of the layer. Load it into a third model: the tensors of a ``state_dict()``
    are those of the model itself, and what is done to them in place is done to it.
    """
    first, second, merged = (nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)) for _ in range(3))
    for net, value in [(first, 3.0), (second, 7.0)]:
        for parameter in net.parameters():
            nn.init.constant_(parameter, value)
    factors, other = {"0": 0.25, "1": 0.75}, second.state_dict()

    state = {key: value.lerp(other[key], factors[key[0]]) for key, value in first.state_dict().items()}

    assert merged.load_state_dict(state) == ([], [])
    assert [p.item() for p in merged.parameters()] == [4.0, 4.0, 6.0, 6.0]
    assert [p.item() for p in first.parameters()] == [3.0] * 4


def test_the_mean_of_a_counter_is_cut_off():
    """``load_state_dict`` of the mean of two BatchNorms loads ``num_batches_tracked`` 3.5 as 3.

    The buffer is an integer, and values are cast to it. Only ``momentum=None`` makes use of the number; other
    integer buffers, such as tables of indices, have no mean at all.
    """
    norms = [nn.BatchNorm1d(2) for _ in range(3)]
    for norm, count in zip(norms, [2, 5, 0], strict=True):
        norm.num_batches_tracked.fill_(count)
    first, second = norms[0].state_dict(), norms[1].state_dict()

    mean = {key: (first[key] + second[key]) / 2 for key in first}
    norms[2].load_state_dict(mean)

    assert mean["num_batches_tracked"].item() == 3.5
    assert norms[2].num_batches_tracked.item() == 3
    assert norms[2].num_batches_tracked.dtype is torch.int64


def test_parameters_alone_leave_the_statistics():
    """A mean over ``parameters()`` of two models leaves the running statistics of BatchNorm out.

    They are buffers: go over ``state_dict()``, or compute them anew with
    :func:`~torch.optim.swa_utils.update_bn`.
    """
    first, second = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    second.running_mean.fill_(4.0)
    nn.init.constant_(second.weight, 5.0)

    with torch.no_grad():
        for mine, other in zip(first.parameters(), second.parameters(), strict=True):
            mine.lerp_(other, 0.5)

    assert [first.weight.item(), first.running_mean.item()] == [3.0, 0.0]


@pytest.mark.since("2.1")
def test_loading_a_mixture_keeps_no_graph():
    """``load_state_dict`` of weights that depend on a coefficient gives the coefficient no gradient.

    With ``assign=True`` neither: parameters are leaves. See
    :ref:`copying.merged_weights.a_mixture_can_be_trained` for what does.
    """
    for assign in (False, True):
        share, net = nn.Parameter(torch.tensor(0.5)), nn.Linear(2, 1)
        state = {key: share * value for key, value in net.state_dict().items()}
        net.load_state_dict(state, assign=assign)
        net(torch.tensor([[5.0, 7.0]])).sum().backward()

        assert share.grad is None
        assert net.weight.is_leaf is True
        assert net.weight.grad.tolist() == [[5.0, 7.0]]


def test_a_mixture_can_be_trained():
    """``functional_call`` with a mixture of weights gives gradients to the coefficients of the mixture.

    No parameter of the models is touched, and the module may be any of the same form. See
    :func:`torch.func.functional_call`.
    """
    first, second, share = nn.Linear(1, 1), nn.Linear(1, 1), nn.Parameter(torch.tensor(0.25))
    for net, value in [(first, 3.0), (second, 7.0)]:
        nn.init.constant_(net.weight, value)
        nn.init.constant_(net.bias, value)
    other = dict(second.named_parameters())

    mixture = {
        name: torch.lerp(p.detach(), other[name].detach(), share) for name, p in first.named_parameters()
    }
    output = functional_call(first, mixture, torch.tensor([[2.0]]))
    output.sum().backward()

    assert output.tolist() == [[4.0 * 2.0 + 4.0]]
    assert share.grad.item() == (7.0 - 3.0) * 2.0 + (7.0 - 3.0)
    assert [first.weight.grad, second.weight.grad, first.weight.item()] == [None, None, 3.0]
