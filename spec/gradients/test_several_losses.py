"""Several losses, several networks, several optimizers.

A backward pass goes through all that a loss was computed from, whichever network it belongs to, and frees it.
So what one loss leaves behind another one meets.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize


def test_a_sum_of_losses_needs_one_backward_pass():
    """``(a + b).backward()`` accumulates the same gradients as ``backward()`` of ``a`` and then of ``b``.

    The sum goes through the shared part once, so it is cheaper and needs no ``retain_graph=True``. An
    optimizer that steps after each of the two does something else.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)), torch.rand(4, 2)
    for batch in (x, 2 * x):
        output = net(batch)
        output[:, 0].sum().backward(retain_graph=True)
        output[:, 1].pow(2).sum().backward()
    one_by_one = [p.grad.clone() for p in net.parameters()]

    net.zero_grad()
    for batch in (x, 2 * x):
        output = net(batch)
        (output[:, 0].sum() + output[:, 1].pow(2).sum()).backward()

    torch.testing.assert_close([p.grad for p in net.parameters()], one_by_one)


def test_a_tensor_made_of_losses_is_cut_off():
    """``torch.tensor(losses, requires_grad=True)`` is a new leaf: its ``backward()`` reaches no parameter.

    It takes the numbers and leaves the graphs, so ``backward()`` runs, the loss looks right, and nothing is
    trained. ``torch.stack(losses)`` and ``sum(losses)`` keep the graphs. See :func:`torch.tensor`.
    """
    layer = nn.Linear(2, 1, bias=False)
    losses = [layer(torch.tensor(row)).squeeze() for row in ([2.0, 3.0], [5.0, 7.0])]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cut = torch.tensor(losses, requires_grad=True)
    cut.sum().backward()
    assert (cut.is_leaf, cut.grad.tolist(), layer.weight.grad) == (True, [1.0, 1.0], None)

    torch.stack(losses).sum().backward()
    assert layer.weight.grad.tolist() == [[7.0, 10.0]]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(2, 1),
        lambda: parametrize.register_parametrization(nn.Linear(2, 1), "weight", nn.Tanh()),
        lambda: nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)),
    ],
    ids=["a layer", "a parametrized layer", "a network"],
)
def test_losses_of_two_calls_have_two_graphs(make):
    """Losses of two calls of a module need no ``retain_graph``: each call makes a graph of its own."""
    net, x, y = make(), torch.tensor([[5.0, 7.0], [2.0, 3.0]]), torch.tensor([[1.0, 4.0], [6.0, 2.0]])
    first, second = net(x).pow(2).sum(), net(y).pow(2).sum()

    gradients = [torch.autograd.grad(loss, list(net.parameters())) for loss in (first, second)]
    net(x).pow(2).sum().backward()
    net(y).pow(2).sum().backward()

    for parameter, *parts in zip(net.parameters(), *gradients, strict=True):
        torch.testing.assert_close(parameter.grad, sum(parts))


def test_losses_of_one_encoder_share_a_graph():
    """Two losses of one output share its graph: the second ``backward()`` raises ``RuntimeError``.

    Two heads on one encoder, or a generator and its discriminator, are such networks. Add the losses up, or
    detach the output for one of them. ``retain_graph=True`` is seldom what is meant.
    """
    encoder, heads = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), [nn.Linear(3, 1), nn.Linear(3, 1)]
    features = encoder(torch.rand(4, 2))
    first, second = (head(features).sum() for head in heads)

    first.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        second.backward()
    heads[1](features.detach()).sum().backward()
    assert heads[1].weight.grad.shape == (1, 3)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_a_step_spoils_a_graph_that_is_still_needed(kind):
    """``backward()`` raises ``RuntimeError`` if ``step()`` has changed a weight that its graph saved.

    "one of the variables needed for gradient computation has been modified by an inplace operation":
    ``retain_graph=True`` does not help. Do all backward passes before the steps, or call forward again.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = kind(net.parameters(), lr=0.5)
    loss = net(torch.rand(4, 2)).sum()
    loss.backward(retain_graph=True)
    optimizer.step()

    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        loss.backward()
    net(torch.rand(4, 2)).sum().backward()


def test_a_step_may_come_between_without_a_saved_weight():
    """After an optimizer step ``backward()`` still works through ``nn.Linear`` if its input needs no grad.

    Only the gradient of the input needs the weight. So one and the same mistake raises in a deep network, and
    goes unnoticed in one of a single layer, whose gradient is then that of the old values.
    """
    layer = nn.Linear(2, 1)
    for shape in ((2,), (1, 2), (1, 1, 2)):
        layer.zero_grad()
        loss = layer(torch.tensor([5.0, 7.0]).view(shape)).sum()
        loss.backward(retain_graph=True)
        torch.optim.SGD(layer.parameters(), lr=0.5).step()
        layer.zero_grad()
        loss.backward()

        assert layer.weight.grad.tolist() == [[5.0, 7.0]]


def test_a_loss_leaves_gradients_on_all_networks():
    """``backward()`` of a generator's loss also leaves gradients on the discriminator that it went through.

    Its optimizer does not step along them, but they add to those of the discriminator's own loss: call
    ``zero_grad`` of the discriminator right before that one's ``backward()``, not only at the end.
    """
    generator, discriminator = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(generator.weight, 3.0)
    nn.init.constant_(discriminator.weight, 5.0)
    optimizer = torch.optim.SGD(generator.parameters(), lr=1.0)

    discriminator(generator(torch.tensor([[2.0]]))).sum().backward()
    optimizer.step()
    optimizer.zero_grad()

    assert generator.weight.tolist() == [[3.0 - 10.0]]
    assert discriminator.weight.tolist() == [[5.0]]
    assert generator.weight.grad is None
    assert discriminator.weight.grad.tolist() == [[6.0]]
    discriminator(torch.tensor([[8.0]])).sum().backward()
    assert discriminator.weight.grad.tolist() == [[6.0 + 8.0]]


def test_a_frozen_network_still_passes_gradients():
    """With ``discriminator.requires_grad_(False)`` gradients reach the generator, but not the discriminator.

    That saves the gradients which the generator's step throws away. Thaw it before its own step.
    """
    generator, discriminator = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(discriminator.weight, 5.0)
    discriminator.requires_grad_(False)

    discriminator(generator(torch.tensor([[2.0]]))).sum().backward()

    assert generator.weight.grad.tolist() == [[10.0]]
    assert discriminator.weight.grad is None


def test_detach_ends_a_backward_pass():
    """``discriminator(fake.detach())`` gives the generator no gradient, and leaves the graph of ``fake``.

    So the discriminator may train first, and the generator after it from the same ``fake``, without
    ``retain_graph``.
    """
    generator, discriminator = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), nn.Linear(3, 1)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.5)
    fake = generator(torch.rand(4, 2))

    discriminator(fake.detach()).pow(2).sum().backward()
    optimizer.step()
    assert generator[0].weight.grad is None

    discriminator(fake).sum().backward()
    assert generator[0].weight.grad.shape == (3, 2)


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU])
def test_a_state_that_is_carried_over_is_to_be_detached(kind):
    """A hidden state of ``nn.RNN`` kept for the next batch makes its ``backward()`` raise ``RuntimeError``.

    ``state.detach()`` between batches keeps the values and lets go of the graph. Of ``nn.LSTM`` detach both,
    ``h`` and ``c``.
    """
    net, x = kind(2, 3), torch.rand(5, 1, 2)
    output, state = net(x)
    output.sum().backward()
    assert state.requires_grad is True

    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        net(x, state)[0].sum().backward()
    continued, _ = net(x, state.detach())
    continued.sum().backward()
    assert not torch.equal(continued, net(x)[0])
