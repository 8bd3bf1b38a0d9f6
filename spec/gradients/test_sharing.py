"""Sharing: one parameter used in several places.

A parameter is shared when one object is reached by two names or used twice in forward. Its gradient is
the sum over all uses.
"""

import copy

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-33")
def test_one_layer_may_stand_at_several_places():
    """``Sequential(linear, linear, linear, linear)`` prints four layers, but has the parameters of one.

    The parameter goes by the first name under which it is met.
    """
    linear = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(linear, linear, linear, linear)

    assert repr(net).count("Linear(in_features=1, out_features=1, bias=False)") == 4
    assert [name for name, _ in net.named_parameters()] == ["0.weight"]
    assert len(net) == 4


def test_a_list_times_a_number_holds_one_layer():
    """``ModuleList([layer] * 3)`` holds one layer three times: one set of parameters, saved under each name.

    Python repeats the object and makes no copies. Layers of their own come from
    ``ModuleList(nn.Linear(2, 2) for _ in range(3))``, or from ``copy.deepcopy``.
    """
    repeated = nn.ModuleList([nn.PReLU()] * 3)
    separate = nn.ModuleList(nn.PReLU() for _ in range(3))

    repeated[2].weight.data.fill_(0.75)
    separate[2].weight.data.fill_(0.75)

    assert [name for name, _ in repeated.named_parameters()] == ["0.weight"]
    assert [value.item() for value in repeated.state_dict().values()] == [0.75, 0.75, 0.75]
    assert [value.item() for value in separate.state_dict().values()] == [0.25, 0.25, 0.75]
    assert list(repeated.state_dict()) == [name for name, _ in separate.named_parameters()]


@pytest.mark.claim("N2-34")
def test_gradients_add_up_over_uses():
    """The gradient of a weight used four times in a ``Sequential`` is the sum over the four uses.

    Here 3 to the power of 4 is computed, whose derivative is 4 times 27.
    """
    linear, tied = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, 3.0)
    tied.weight = linear.weight
    output = nn.Sequential(linear, linear, tied, linear)(torch.ones(1, 1))
    output.backward()

    assert output.item() == 81.0
    assert linear.weight.grad.item() == 4 * 27.0


@pytest.mark.claim("N4-11")
def test_a_shared_layer_is_one_object():
    """A layer at two places of a ``Sequential`` is one object: changing its weight changes both places.

    For two layers of the same values that train apart, use :func:`copy.deepcopy`.
    """
    shared = nn.Linear(2, 2)
    net = nn.Sequential(nn.Linear(3, 2), shared, nn.ReLU(), shared).append(shared)
    with torch.no_grad():
        net[1].weight[0, 0] = 100.0

    assert net[1] is net[3]
    assert net[1] is net[4]
    assert [net[at].weight[0, 0].item() for at in (3, 4)] == [100.0, 100.0]

    apart = copy.deepcopy(shared)
    assert apart.weight.tolist() == shared.weight.tolist()
    assert apart.weight is not shared.weight


@pytest.mark.claim("N4-12")
def test_gradients_of_tied_layers_are_added():
    """``backward()`` gives a weight tied between two layers the sum of both layers' gradients.

    With plain ``SGD`` a tied weight therefore takes larger steps than each of two would.
    """
    tied = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    tied[2].weight = tied[0].weight
    untied = copy.deepcopy(tied)
    untied[2].weight = nn.Parameter(tied[0].weight.detach().clone())
    x = torch.tensor([[0.5, 2.0], [3.0, -0.25]])
    tied(x).sum().backward()
    untied(x).sum().backward()

    assert torch.allclose(tied[0].weight.grad, untied[0].weight.grad + untied[2].weight.grad)


@pytest.mark.claim("N4-13")
def test_assigning_a_parameter_ties_it():
    """Assigning one layer's weight to another ties them: they hold one ``Parameter``, counted once.

    ``parameters()`` yields it once, so that it is counted and stepped once. Tie before the optimizer is made.
    """
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    (net[0](torch.tensor([[5.0, 7.0]])) + net[1](torch.tensor([[10.0, 30.0]]))).sum().backward()

    assert net[1].weight is net[0].weight
    assert net[1].weight.grad.tolist() == [[15.0, 37.0], [15.0, 37.0]]
    assert sum(p.numel() for p in net.parameters()) == 4


def test_an_embedding_and_its_output_are_tied():
    """An :class:`~torch.nn.Embedding` and the output layer, an ``nn.Linear``, can share one weight (weight
    tying).

    Both are of shape (words, features), so that nothing has to be transposed.
    """
    embedding, head = nn.Embedding(3, 2), nn.Linear(2, 3, bias=False)
    assert [embedding.weight.shape, head.weight.shape] == [(3, 2), (3, 2)]
    head.weight = embedding.weight
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[2.0, 3.0], [5.0, 7.0], [11.0, 13.0]]))

    output = head(embedding(torch.tensor([1])))
    output.sum().backward()
    assert output.tolist() == [[31.0, 74.0, 146.0]]
    assert head.weight is embedding.weight
    assert head.weight.grad.tolist() == [[5.0, 7.0], [5.0 + 18, 7.0 + 23], [5.0, 7.0]]


def test_copying_values_does_not_tie():
    """Under ``no_grad``, ``second.weight.copy_(first.weight)`` copies values, but does not tie the layers."""
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        second.weight.copy_(first.weight)
        assert torch.equal(first.weight, second.weight)
        first.weight.add_(1.0)
    first(torch.tensor([[5.0, 7.0]])).sum().backward()

    assert torch.equal(first.weight, second.weight) is False
    assert first.weight.grad.tolist() == [[5.0, 7.0]]
    assert second.weight.grad is None


def test_assigning_data_shares_memory_only():
    """``second.weight.data = first.weight.data`` shares the values of two weights, but not the gradient.

    Assign the parameter itself to tie both.

    See also :ref:`gradients.sharing.assigning_a_parameter_ties_it`
    """
    first, second = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    second.weight.data = first.weight.data
    with torch.no_grad():
        first.weight.fill_(5)
    first(torch.tensor([[2.0, 3.0]])).sum().backward()

    assert second.weight.tolist() == [[5.0, 5.0]]
    assert second.weight is not first.weight
    assert second.weight.grad is None


def test_a_cast_ends_shared_memory():
    """``Module.double`` and other casts separate parameters that only share memory; tied ones stay tied.

    So a target network on the memory of the online one, or a buffer that is a view of a parameter, is on its
    own after a cast or a move. One that changes nothing, such as ``float()`` of float32, parts nothing.

    See also :ref:`placement.identity.a_cast_keeps_ties`
    """
    net = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(3)))
    net[1].weight = nn.Parameter(net[0].weight.data)
    net[2].weight = net[0].weight
    net.register_buffer("row", net[0].weight.detach()[0])

    net.float().load_state_dict(net.state_dict())
    assert net[1].weight.data_ptr() == net.row.data_ptr() == net[0].weight.data_ptr()

    net.half().bfloat16().double()
    nn.init.constant_(net[0].weight, 3.0)

    assert net[2].weight is net[0].weight
    assert 3.0 not in net[1].weight
    assert 3.0 not in net.row


@pytest.mark.claim("N4-16")
def test_a_transposed_weight_shares_storage_only():
    """A :class:`~torch.nn.Parameter` made from ``weight.T`` shares memory with ``weight``, but not the
    gradient.

    Each step of an optimizer changes the shared values twice then. Transpose in forward instead.
    """
    encoder, decoder = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    nn.init.constant_(encoder.weight, 3.0)
    decoder.weight = nn.Parameter(encoder.weight.T)
    decoder(encoder(torch.tensor([[5.0, 7.0]]))).sum().backward()

    assert encoder.weight.grad.tolist() == [[30.0, 42.0], [30.0, 42.0]]
    assert decoder.weight.grad.tolist() == [[36.0, 36.0], [36.0, 36.0]]
    torch.optim.SGD([encoder.weight, decoder.weight], lr=0.5).step()
    assert encoder.weight.tolist() == [[3.0 - 15 - 18, 3.0 - 21 - 18]] * 2
    assert decoder.weight.tolist() == [[-30.0, -30.0], [-36.0, -36.0]]


@pytest.mark.claim("N2-32", "N4-16")
def test_a_layer_may_use_its_weight_twice():
    """A :class:`~torch.nn.Module` can use one parameter twice in ``forward``, for example the second time
    transposed.

    The gradient is the sum of both uses. So the two halves of an autoencoder share a weight.
    """

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[2.0, 3.0]]))

        def forward(self, x):
            return (x @ self.weight.T) @ self.weight

    net = Autoencoder()
    x = torch.tensor([[5.0, 7.0]])
    output = net(x)
    output.sum().backward()

    assert output.tolist() == [[62.0, 93.0]]
    assert net.weight.grad.tolist() == [[5.0 * 5 + 31, 7.0 * 5 + 31]]


@pytest.mark.claim("N2-31")
def test_counting_by_layers_counts_shared_ones_again():
    """Summing ``numel()`` layer by layer counts a shared parameter twice; over ``net.parameters()``, once.

    Summaries that go through layers tell too much for models with tied weights: sum over
    ``net.parameters()``.
    """
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.Linear(2, 2), shared)
    layer_by_layer = sum(p.numel() for layer in net for p in layer.parameters())

    assert layer_by_layer == 18
    assert sum(p.numel() for p in net.parameters()) == 12


def test_freezing_one_name_freezes_all():
    """``requires_grad_(False)`` on one of two tied layers freezes the shared parameter in both."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net[1].requires_grad_(False)

    assert net[0].weight.requires_grad is False
    assert net[0].bias.requires_grad is True


def test_replacing_one_name_unties():
    """Assigning a new ``Parameter`` to one of two tied layers unties them; the other keeps the old one."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    old = net[0].weight
    new = net[1].weight = nn.Parameter(torch.rand(2, 2))

    assert net[0].weight is old
    assert net[1].weight is new
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "1.weight"]


def test_a_shared_parameter_is_stepped_once():
    """An optimizer created with ``net.parameters()`` updates a shared parameter once in each ``step()``."""
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, 3.0)
    net = nn.Sequential(linear, linear)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    net(torch.ones(1, 1)).backward()
    optimizer.step()

    assert len(optimizer.param_groups[0]["params"]) == 1
    assert linear.weight.item() == 3.0 - 0.5 * (3.0 + 3.0)


def test_a_tie_is_of_the_weight_alone():
    """A hook or a wrapper of an ``nn.Embedding`` does not reach the output layer that is tied to it.

    What is tied is the weight alone. An adapter on the embedding has to be merged into it, or added to the
    output layer as well.
    """

    class Adapted(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.delta = inner, nn.Parameter(torch.tensor(10.0))

        def forward(self, x):
            return self.inner(x) + self.delta

    net = nn.ModuleDict({"embedding": nn.Embedding(2, 1), "head": nn.Linear(1, 2, bias=False)})
    net["head"].weight = net["embedding"].weight
    nn.init.constant_(net["head"].weight, 3.0)
    net["embedding"] = Adapted(net["embedding"])
    net["embedding"].register_forward_hook(lambda module, args, output: output * 2)

    assert net["embedding"](torch.tensor([1])).item() == 26.0
    assert net["head"](torch.tensor([1.0])).tolist() == [3.0, 3.0]

    with torch.no_grad():
        net["embedding"].inner.weight.add_(net["embedding"].delta)
    assert net["head"](torch.tensor([1.0])).tolist() == [13.0, 13.0]


def test_a_parametrization_of_one_name_is_not_of_the_other():
    """A parametrization registered on one of two tied layers changes that one; ``original`` stays tied.

    See :func:`torch.nn.utils.parametrize.register_parametrization`.
    """

    class Doubled(nn.Module):
        def forward(self, weight):
            return weight * 2

    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    net[1].weight = net[0].weight
    nn.init.constant_(net[0].weight, 3.0)

    nn.utils.parametrize.register_parametrization(net[1], "weight", Doubled())

    assert net[1].parametrizations.weight.original is net[0].weight
    assert [layer.weight.item() for layer in net] == [3.0, 6.0]


def test_a_default_argument_is_one_module():
    """A module created as a default argument of ``__init__`` is the same one in all instances of the class.

    Python evaluates the default once. Instances then train one set of weights, and casting or moving one
    changes all, those made later too (:issue:`58140`). Write ``layer=None``, and create it inside.
    """

    class Net(nn.Module):
        def __init__(self, layer=nn.Linear(2, 1)):  # noqa: B008
            super().__init__()
            self.layer = layer

    net, other, own = Net(), Net(), Net(nn.Linear(2, 1))
    net.double()

    assert net.layer is other.layer is Net().layer
    assert [model.layer.weight.dtype for model in (net, other, own)] == [torch.float64] * 2 + [torch.float32]
