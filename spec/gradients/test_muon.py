"""Muon: an optimizer for matrices.

:class:`torch.optim.Muon` makes the update of a weight orthogonal, which is defined for matrices only. A model
needs a second optimizer for everything else.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.Linear(2, 3), r"torch\.Size\(\[3\]\)"),
        (nn.LayerNorm(3), r"torch\.Size\(\[3\]\)"),
        (nn.Conv2d(1, 2, 3, bias=False), r"torch\.Size\(\[2, 1, 3, 3\]\)"),
        (nn.Conv1d(2, 3, 1, bias=False), r"torch\.Size\(\[3, 2, 1\]\)"),
    ],
    ids=["bias", "norm", "convolution", "kernel of one"],
)
@pytest.mark.since("2.9")
def test_only_matrices_are_accepted(layer, size):
    """``torch.optim.Muon`` raises ``ValueError`` for a parameter that is not 2D, like a bias or convolution.

    So ``Muon(net.parameters())`` rarely works. Give it the matrices, and the rest to ``AdamW``; a
    convolution's weight cannot be reshaped on the way (:issue:`166209`). See :class:`torch.optim.Muon`.
    """
    with pytest.raises(ValueError, match=f"Muon only supports 2D parameters .* with size: {size}"):
        torch.optim.Muon(layer.parameters())


@pytest.mark.since("2.9")
def test_embeddings_are_accepted():
    """``torch.optim.Muon`` accepts any matrix, also the weight of an ``nn.Embedding`` or of the last layer.

    Its documentation gives those to another optimizer: choose by the kind of layer, not by ``ndim`` alone.
    See :class:`torch.optim.Muon`.
    """
    net = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    hidden = [m.weight for m in net[:-1].modules() if isinstance(m, nn.Linear)]
    matrices = [p for p in net.parameters() if p.ndim == 2]
    before, optimizer = [p.detach().clone() for p in matrices], torch.optim.Muon(matrices)

    assert [list(p.shape) for p in optimizer.param_groups[0]["params"]] == [[4, 2], [3, 2], [1, 3]]
    assert [p is net[1].weight for p in torch.optim.Muon(hidden).param_groups[0]["params"]] == [True]

    net(torch.tensor([1])).sum().backward()
    optimizer.step()
    assert [torch.equal(p, old) for p, old in zip(matrices, before, strict=True)] == [False] * 3


@pytest.mark.since("2.9")
def test_an_added_group_is_examined_late():
    """``torch.optim.Muon`` accepts a bias in ``add_param_group``; ``step()`` then raises ``ValueError``.

    Groups before it have been updated by then. See :class:`torch.optim.Muon`.
    """
    layer = nn.Linear(2, 3)
    before = layer.weight.detach().clone()
    optimizer = torch.optim.Muon([layer.weight])
    optimizer.add_param_group({"params": [layer.bias]})
    layer(torch.rand(4, 2)).sum().backward()

    with pytest.raises(ValueError, match="Param gradient must be a 2D matrix"):
        optimizer.step()
    assert not torch.equal(layer.weight, before)


@pytest.mark.since("2.9")
def test_the_update_is_nearly_orthogonal():
    """A step of ``torch.optim.Muon`` has singular values of about ``lr``, however large the gradient is.

    They lie about between 0.7 and 1.2 times ``lr``, in bfloat16: five iterations bring them near 1, not to
    it. So all directions of a matrix are trained alike. See :class:`torch.optim.Muon`.
    """
    found = []
    for size in (1.0, 1000.0):
        weight = nn.Parameter(torch.zeros(3, 3))
        weight.grad = size * torch.tensor([[0.0, 4.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        torch.optim.Muon([weight], lr=0.5, weight_decay=0.0).step()
        found.append(weight.detach())

    assert found[0].sign().tolist() == [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]
    assert torch.allclose(found[0], found[1], rtol=0.02)
    assert 0.33 < torch.linalg.svdvals(found[0]).min() < torch.linalg.svdvals(found[0]).max() < 0.61


@pytest.mark.since("2.9")
@pytest.mark.parametrize("nesterov", [True, False])
def test_the_buffer_of_muon_is_a_mean(nesterov):
    """``momentum_buffer`` of ``torch.optim.Muon`` is ``momentum * buffer + (1 - momentum) * grad``.

    It begins at zero, unlike that of ``SGD``. ``nesterov``, on by default, mixes buffer and gradient in the
    same way again for the step. See :class:`torch.optim.Muon`.
    """
    weight = nn.Parameter(torch.zeros(1, 2))
    optimizer = torch.optim.Muon(
        [weight], lr=1.0, weight_decay=0.0, momentum=0.75, nesterov=nesterov, ns_steps=0
    )
    for grad in ([8.0, 0.0], [0.0, 8.0]):
        before, weight.grad = weight.detach().clone(), torch.tensor([grad])
        optimizer.step()

    used = torch.tensor([[1.5 * 0.75, 2.0 * 0.75 + 8.0 * 0.25]]) if nesterov else torch.tensor([[1.5, 2.0]])
    assert optimizer.state[weight]["momentum_buffer"].tolist() == [[1.5, 2.0]]
    assert torch.allclose(before - weight, used / used.norm(), rtol=0.02)
    assert torch.optim.Muon([weight]).param_groups[0]["nesterov"] is True


@pytest.mark.since("2.9")
def test_the_rate_depends_on_the_shape():
    """``torch.optim.Muon`` multiplies ``lr`` by ``sqrt(rows / columns)`` of a tall matrix, or as
    ``adjust_lr_fn`` says.

    ``"match_rms_adamw"`` multiplies it by ``0.2 * sqrt(max(rows, columns))``, so that a rate found for
    ``AdamW`` fits. See :class:`torch.optim.Muon`.
    """
    found = {}
    for name in (None, "original", "match_rms_adamw"):
        for shape in ((4, 1), (1, 4)):
            weight = nn.Parameter(torch.zeros(shape))
            weight.grad = torch.tensor([3.0, 0.0, 0.0, 4.0]).reshape(shape)
            options = {"weight_decay": 0.0, "ns_steps": 0, "adjust_lr_fn": name}
            torch.optim.Muon([weight], lr=1.0, **options).step()
            found[name, shape] = weight.norm().item()

    assert [found[name, (4, 1)] for name in (None, "original")] == pytest.approx([2.0, 2.0], rel=0.02)
    assert [found[name, (1, 4)] for name in (None, "original")] == pytest.approx([1.0, 1.0], rel=0.02)
    assert found["match_rms_adamw", (4, 1)] == pytest.approx(0.4, rel=0.02)
    assert found["match_rms_adamw", (1, 4)] == pytest.approx(0.4, rel=0.02)
    with pytest.raises(ValueError, match="Adjust learning rate function other is not supported"):
        torch.optim.Muon([weight], adjust_lr_fn="other")


@pytest.mark.since("2.9")
def test_muon_decays_by_default():
    """``torch.optim.Muon`` multiplies weights by ``1 - lr * weight_decay``; ``weight_decay`` is 0.1 by
    default.

    ``lr`` is the one given, not that for the shape. See :class:`torch.optim.Muon`.
    """
    weight, other = (nn.Parameter(torch.full((4, 1), 2.0)) for _ in range(2))
    weight.grad = other.grad = torch.zeros(4, 1)
    own = {"params": [other], "lr": 0.25, "weight_decay": 0.75}
    torch.optim.Muon([{"params": [weight]}, own], lr=0.5).step()

    assert weight.tolist() == [pytest.approx([2.0 * (1 - 0.5 * 0.1)])] * 4
    assert other.tolist() == [pytest.approx([2.0 * (1 - 0.25 * 0.75)])] * 4
    assert torch.optim.Muon([weight]).param_groups[0]["weight_decay"] == 0.1
