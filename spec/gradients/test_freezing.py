"""Freezing: parameters that take no part in training.

A parameter is frozen if it does not require a gradient. An optimizer looks at the gradient that is there, not
at the flag.
"""

import pytest
import torch
from torch import nn


def test_requires_grad_sets_every_parameter():
    """:meth:`Module.requires_grad_(False) <torch.nn.Module.requires_grad_>` freezes all parameters, also of
    submodules, and returns the module.

    A frozen part costs no memory for gradients, and an optimizer that gets only the others has less to hold.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))

    assert net.requires_grad_(False) is net
    assert [p.requires_grad for p in net.parameters()] == [False] * 4
    assert net(torch.rand(4, 2)).requires_grad is False


def test_requires_grad_thaws_by_default():
    """``module.requires_grad_()`` without an argument sets ``requires_grad=True`` on all parameters."""
    net = nn.Sequential(nn.PReLU(), nn.Sequential(nn.Linear(2, 3))).requires_grad_(requires_grad=False)

    assert net.requires_grad_() is net
    assert [p.requires_grad for p in net.parameters()] == [True, True, True]


def test_freezing_keeps_the_parameters():
    """``module.requires_grad_(False)`` keeps the ``Parameter`` objects, so an optimizer still holds them."""
    net = nn.Sequential(nn.Linear(2, 3))
    before = [id(p) for p in net.parameters()]
    net.requires_grad_(False)

    assert [id(p) for p in net.parameters()] == before
    assert [p.requires_grad for p in net.parameters()] == [False, False]


def test_requires_grad_leaves_buffers_alone():
    """``module.requires_grad_()`` changes parameters only, not ``requires_grad`` of buffers."""
    norm = nn.BatchNorm1d(2)
    norm.running_mean.requires_grad_(True)

    nn.Sequential(norm).requires_grad_(False)
    assert [p.requires_grad for p in norm.parameters()] == [False, False]
    assert [buffer.requires_grad for buffer in norm.buffers()] == [True, False, False]

    norm.requires_grad_(True)
    assert [p.requires_grad for p in norm.parameters()] == [True, True]
    assert [buffer.requires_grad for buffer in norm.buffers()] == [True, False, False]


def test_a_part_is_frozen_on_its_own():
    """``net[1].requires_grad_(False)`` freezes that layer only; gradients still flow through it."""
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    nn.init.constant_(net[1].weight, 3.0)
    net[1].requires_grad_(False)
    net(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["0.weight", "0.bias"]
    assert (net[0].weight.grad.tolist(), net[0].bias.grad.tolist()) == ([[15.0, 21.0]], [3.0])
    assert (net[1].weight.grad, net[1].bias.grad) == (None, None)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_whole_numbers_cannot_be_thawed(dtype):
    """``module.requires_grad_()`` raises ``RuntimeError`` for an integer parameter; ``requires_grad_(False)``
    works.
    """
    net = nn.Module()
    net.index = nn.Parameter(torch.tensor([2, 3], dtype=dtype), requires_grad=False)

    for whole in (net, nn.Sequential(net)):
        assert whole.requires_grad_(False) is whole
        with pytest.raises(RuntimeError, match="floating point"):
            whole.requires_grad_()
    assert net.index.requires_grad is False


def test_freezing_keeps_a_gradient_that_is_there():
    """A parameter frozen by ``requires_grad_(False)`` keeps its ``grad``; later ``backward()`` calls add
    nothing.

    An optimizer still steps along it: see ``zero_grad``.
    """
    layer = nn.Linear(2, 1)
    layer(torch.tensor([[5.0, 7.0]])).sum().backward()
    layer.weight.requires_grad_(False)
    layer(torch.tensor([[10.0, 30.0]])).sum().backward()
    layer.requires_grad_(False)

    assert layer.weight.grad.tolist() == [[5.0, 7.0]]
    assert layer.bias.grad.tolist() == [2.0]


def test_freezing_counts_at_the_backward_pass():
    """A parameter frozen between forward and ``backward()`` gets no gradient from that backward pass."""
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    output = net(torch.tensor([[5.0, 7.0]])).sum()
    net[0].weight.requires_grad = False
    net[1].requires_grad_(False)
    net[1].weight.grad = torch.tensor([[3.0]])
    output.backward()

    assert [net[0].weight.grad, net[1].weight.grad, net[1].bias.grad] == [None, torch.tensor([[3.0]]), None]
    assert net[0].bias.grad.tolist() == [net[1].weight.item()]


def test_an_attribute_does_not_freeze():
    """``module.requires_grad = False`` sets a plain attribute and does not freeze any parameter.

    No error says so. The method has an underscore: :meth:`~torch.nn.Module.requires_grad_`.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    for module in (net[0], net):
        module.requires_grad = False

        assert vars(module)["requires_grad"] is False
        assert [p.requires_grad for p in net.parameters()] == [True, True]


def test_a_frozen_layer_may_be_replaced_by_a_trainable_one():
    """A new layer assigned to a network frozen by ``requires_grad_(False)`` is trainable.

    So a pretrained network gets a new head: freeze it, replace the last layer, give an optimizer the rest.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5)).requires_grad_(False)
    net[1] = nn.Linear(3, 1)

    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["1.weight", "1.bias"]


def test_weight_decay_spares_what_has_no_gradient():
    """``weight_decay`` changes a parameter whose ``grad`` is zero, but not one whose ``grad`` is ``None``.

    A frozen parameter is safe from it as long as its ``grad`` is ``None``.
    """
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        with_zeros, without = (nn.Parameter(torch.tensor([3.0])) for _ in range(2))
        frozen = nn.Parameter(torch.tensor([3.0]), requires_grad=False)
        optimizer = kind([with_zeros, without, frozen], lr=0.5, weight_decay=0.25)

        with_zeros.grad = torch.tensor([0.0])
        optimizer.step()

        assert with_zeros.tolist() == [3.0 - 0.5 * 0.25 * 3.0]
        assert without.tolist() == [3.0]
        assert frozen.tolist() == [3.0]


@pytest.mark.parametrize(
    ("kind", "values"), [(torch.optim.SGD, [2.0, 1.0]), (torch.optim.Adam, [2.5, 2.5])], ids=["SGD", "Adam"]
)
def test_a_frozen_parameter_with_an_old_gradient_moves_on(kind, values):
    """``optimizer.step()`` still updates a frozen parameter if its ``grad`` is not ``None``.

    To stop it, call :meth:`Optimizer.zero_grad <torch.optim.Optimizer.zero_grad>` after freezing.

    See also :ref:`gradients.zero_grad.zero_grad_sets_gradients_to_none`
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    optimizer = kind(layer.parameters(), lr=0.5)
    layer(torch.tensor([[2.0, 4.0]])).sum().backward()
    layer.requires_grad_(False)
    optimizer.step()
    assert layer.weight[0].tolist() == pytest.approx(values)

    optimizer.zero_grad()
    optimizer.step()
    assert layer.weight[0].tolist() == pytest.approx(values)


def test_momentum_moves_a_parameter_whose_gradient_is_zero():
    """``SGD`` with ``momentum`` updates a parameter whose ``grad`` is zero, but not one whose ``grad`` is
    ``None``.
    """
    parameter = nn.Parameter(torch.tensor([3.0]))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.5)
    values = []
    for gradient in (torch.tensor([2.0]), torch.tensor([0.0]), None):
        parameter.grad = gradient
        optimizer.step()
        values.append(parameter.item())

    assert values == [1.0, 0.0, 0.0]


def test_a_thawed_parameter_goes_on_with_its_momentum():
    """``SGD`` keeps the momentum of a parameter while its ``grad`` is ``None``, and goes on from it later.

    A part that is frozen for a while starts again with a push from before, in ``Adam`` too. Delete its entry
    of ``optimizer.state`` to start afresh.
    """
    kept, cleared = (nn.Parameter(torch.tensor([3.0])) for _ in range(2))
    optimizer = torch.optim.SGD([kept, cleared], lr=1.0, momentum=0.5)
    for gradient in (2.0, None, None, 0.0):
        for parameter in (kept, cleared):
            parameter.grad = None if gradient is None else torch.tensor([gradient])
        if gradient is None:
            optimizer.state.pop(cleared, None)
        optimizer.step()

    assert [kept.item(), cleared.item()] == [0.0, 1.0]


def test_no_grad_cuts_what_freezing_lets_through():
    """``torch.no_grad`` around a layer cuts gradients to what is before it; freezing the layer does not.

    To train an encoder or a prompt in front of a frozen model, freeze the model and call it as usual. Under
    :class:`~torch.no_grad` the loss has no graph at all, or only that of what comes behind.
    """
    encoder, model, head = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1)

    head(model(encoder(torch.rand(3, 2)))).sum().backward()
    reached = [layer.weight.grad is not None for layer in (encoder, model, head)]
    encoder.zero_grad()
    with torch.no_grad():
        features = model(encoder(torch.rand(3, 2)))
    head(features).sum().backward()

    assert reached == [True, False, True]
    assert [layer.weight.grad is not None for layer in (encoder, model, head)] == [False, False, True]
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        features.sum().backward()


def test_a_misspelled_name_does_not_freeze():
    """``parameter.require_grad = False`` sets an attribute of another name, and the parameter still trains.

    The name is ``requires_grad``. Tensors accept any attribute, so that no error says so;
    ``requires_grad_(False)`` of the parameter or of its module cannot be misspelled in silence.
    """
    layer = nn.Linear(1, 1)
    layer.weight.require_grad = False
    layer(torch.ones(1, 1)).sum().backward()

    assert layer.weight.requires_grad
    assert layer.weight.grad.tolist() == [[1.0]]
    with pytest.raises(AttributeError, match="has no attribute 'require_grad_'"):
        layer.weight.require_grad_(False)
