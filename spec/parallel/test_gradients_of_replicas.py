"""Gradients through replicas: frozen weights, second derivatives, complex weights and scalar losses.

In backward :class:`~torch.nn.DataParallel` adds up what its replicas say of a weight, and cuts the gradient
of the joined outputs. Two replicas on one GPU show it.
"""

import pytest
import torch
from torch import nn
from torch.nn.parallel import gather, replicate, scatter


@pytest.mark.needs("cuda")
def test_frozen_weights_stay_frozen_in_replicas():
    """In replicas of :class:`~torch.nn.DataParallel`, copies of frozen parameters do not require grad.

    A frozen layer thus costs no gradient on any device.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).cuda()
    net[0].requires_grad_(False)

    for replica in replicate(net, [0, 0]):
        frozen, trained = replica[0], replica[1]
        assert [frozen.weight.requires_grad, frozen.bias.requires_grad] == [False, False]
        assert [trained.weight.requires_grad, trained.bias.requires_grad] == [True, True]

    nn.DataParallel(net, device_ids=[0, 0])(torch.rand(4, 2)).sum().backward()

    assert [name for name, p in net.named_parameters() if p.grad is not None] == ["1.weight", "1.bias"]
    assert net[1].bias.grad.tolist() == [4.0]


@pytest.mark.needs("cuda")
def test_second_derivatives_flow_through_replicas():
    """Second derivatives, as for a gradient penalty, flow through :class:`~torch.nn.DataParallel`."""

    class Cube(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.other = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(3.0))

        def forward(self, x):
            return x * self.weight**3 + x * self.weight * self.other

    net = Cube().cuda()
    output = nn.DataParallel(net, device_ids=[0, 0])(torch.tensor([1.0, 4.0]))

    first = torch.autograd.grad(output.sum(), list(net.parameters()), create_graph=True)
    (first[0] * 10 + first[1]).backward()

    assert [grad.item() for grad in first] == [5.0 * 15.0, 5.0 * 2.0]
    assert [net.weight.grad.item(), net.other.grad.item()] == [605.0, 50.0]


@pytest.mark.needs("cuda")
@pytest.mark.since("2.11")
def test_gradients_of_complex_weights_are_complex():
    """The replicas of :class:`~torch.nn.DataParallel` give a complex parameter the sum of their complex
    gradients.

    A real parameter beside it has a real gradient.
    """

    class Rotate(nn.Module):
        def __init__(self):
            super().__init__()
            self.turn, self.scale = nn.Parameter(torch.tensor([1 + 2j])), nn.Parameter(torch.tensor([3.0]))

        def forward(self, x):
            return self.scale * (x * self.turn).real + (x * self.turn).imag

    net, x = Rotate().cuda(), torch.tensor([1.0, 4.0])

    nn.DataParallel(net, device_ids=[0, 0])(x).sum().backward()
    from_replicas = net.turn.grad, net.scale.grad
    net.zero_grad()
    net(x.cuda()).sum().backward()

    assert [grad.dtype for grad in from_replicas] == [torch.complex64, torch.float32]
    assert [grad.tolist() for grad in from_replicas] == [[15 + 5j], [5.0]]
    assert [grad.tolist() for grad in from_replicas] == [net.turn.grad.tolist(), net.scale.grad.tolist()]


@pytest.mark.needs("cuda")
def test_a_buffer_that_requires_grad_gets_one():
    """Replicas of :func:`parallel.replicate <torch.nn.parallel.replicate>` give gradients to a buffer that
    requires them.

    Detached ones do not.
    """
    net = nn.Module()
    for name, value in {"plain": 3.0, "learned": 5.0, "other": 7.0}.items():
        net.register_buffer(name, torch.tensor([value], device="cuda", requires_grad=name != "plain"))
    whole = nn.Sequential(net, nn.Linear(2, 2).cuda())

    replicas, detached = ([copy[0] for copy in replicate(whole, [0, 0], detach)] for detach in (False, True))
    torch.stack(
        [replica.learned * replica.plain * 10**i for i, replica in enumerate(replicas)]
    ).sum().backward()

    assert [replica.learned.tolist() for replica in replicas] == [[5.0], [5.0]]
    assert [replica.plain.requires_grad for replica in replicas] == [False, False]
    assert [replica.learned.grad_fn for replica in detached] == [None, None]
    assert net.learned.grad.tolist() == [33.0]
    assert [replica.other.tolist() for replica in replicas] == [[7.0], [7.0]]


@pytest.mark.needs("cuda")
def test_scalar_losses_get_their_gradient_back():
    """Gradients flow from the vector that :func:`parallel.gather <torch.nn.parallel.gather>` makes of scalars
    back to each scalar.
    """
    losses = [torch.tensor(value, device="cuda", requires_grad=True) for value in (2.0, 3.0)]

    with pytest.warns(UserWarning, match="will instead unsqueeze and return a vector"):
        joined = gather(losses, 0)
    (joined * torch.tensor([10.0, 20.0], device="cuda")).sum().backward()

    assert joined.tolist() == [2.0, 3.0]
    assert [loss.grad.shape for loss in losses] == [torch.Size([]), torch.Size([])]
    assert [loss.grad.item() for loss in losses] == [10.0, 20.0]


@pytest.mark.needs("cuda")
def test_scalars_are_joined_along_dimension_zero_only():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``IndexError`` for scalars with ``dim=1``."""
    losses = [torch.tensor(2.0, device="cuda"), torch.tensor(3.0, device="cuda")]

    with pytest.raises(IndexError, match="Dimension specified as 1 but tensor has no dimensions"):
        gather(losses, 0, dim=1)


@pytest.mark.needs("cuda")
def test_unequal_pieces_get_their_own_gradient():
    """The gradient of the result of :func:`parallel.gather <torch.nn.parallel.gather>` is cut into the sizes
    of its inputs.
    """
    short = torch.zeros(1, device="cuda", requires_grad=True)
    long = torch.zeros(3, device="cuda", requires_grad=True)

    (gather([short, long], 0) * torch.tensor([1.0, 2.0, 3.0, 4.0], device="cuda")).sum().backward()

    assert short.grad.tolist() == [1.0]
    assert long.grad.tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("value", [tuple, list], ids=["tuple", "list"])
@pytest.mark.needs("cuda")
def test_a_container_has_the_pieces_of_its_shortest_tensor(value):
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` cuts a container into as many pieces as its
    shortest tensor.

    The rest of the other tensors is lost. A tensor of one row that is meant for every device, such as a mask,
    must be repeated for each.
    """
    batch, mask = torch.arange(4.0), torch.ones(1)

    pieces = scatter(value([batch, mask]), [0, 0])
    named = scatter({"batch": batch, "mask": mask}, [0, 0])

    assert [[tensor.tolist() for tensor in piece] for piece in pieces] == [[[0.0, 1.0], [1.0]]]
    assert [{name: tensor.tolist() for name, tensor in piece.items()} for piece in named] == [
        {"batch": [0.0, 1.0], "mask": [1.0]}
    ]
