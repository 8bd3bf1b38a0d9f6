"""Shapes that differ between the state dict and the module.

Shapes have to be the same: nothing is broadcast, cut or filled up. Lazy modules, which take the shapes of the
state dict, are in the part on parameters.
"""

import pytest
import torch
from torch import nn


@pytest.mark.question("Q53")
@pytest.mark.parametrize("strict", [True, False])
def test_a_size_mismatch_raises(strict):
    """``load_state_dict`` raises ``RuntimeError`` for a size mismatch, even with ``strict=False``.

    The error names the key and both shapes. ``strict`` is about keys only: to load the rest, leave such keys
    out of the dict (:issue:`40859`).

    See also :ref:`state.shapes.what_fits_can_be_picked_by_shape`
    """
    layer = nn.Linear(2, 3)
    layer.register_buffer("mean", torch.rand(5))
    state = {"weight": torch.rand(2, 3), "bias": torch.rand(3), "mean": torch.rand(1)}
    nested = {f"0.{name}": value for name, value in state.items()}

    for net, values, prefix in ((layer, state, ""), (nn.Sequential(layer), nested, "0.")):
        with pytest.raises(RuntimeError, match=f"size mismatch for {prefix}weight") as caught:
            net.load_state_dict(values, strict=strict)

        assert str(caught.value).split("\n\t") == [
            f"Error(s) in loading state_dict for {type(net).__name__}:",
            f"size mismatch for {prefix}weight: copying a param with shape torch.Size([2, 3]) from "
            "checkpoint, the shape in current model is torch.Size([3, 2]).",
            f"size mismatch for {prefix}mean: copying a param with shape torch.Size([1]) from checkpoint, "
            "the shape in current model is torch.Size([5]).",
        ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((3,), (1,)), ((1,), ()), ((), (1, 1)), ((2, 3), (3, 2)), ((6,), (2, 3)), ((2,), (1, 2))],
)
def test_shapes_are_not_adapted(ours, theirs):
    """``load_state_dict`` neither broadcasts nor reshapes values, except for shape ``(1,)`` into a scalar."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.full(ours, 5.0))
    net.register_buffer("mean", torch.full(ours, 5.0))
    net.gain = nn.Parameter(torch.tensor(5.0))
    net.register_buffer("shift", torch.tensor(5.0))
    value, one = torch.full(theirs, 7.0), torch.tensor([9.0])

    with pytest.raises(RuntimeError, match=r"size mismatch for scale(.|\n)*size mismatch for mean"):
        net.load_state_dict({"scale": value, "mean": value, "gain": one, "shift": one})

    assert torch.equal(net.scale, torch.full(ours, 5.0))
    assert torch.equal(net.mean, torch.full(ours, 5.0))
    assert [net.gain.item(), net.shift.item()] == [9.0, 9.0]


@pytest.mark.question("Q53")
def test_what_fits_can_be_picked_by_shape():
    """``load_state_dict(strict=False)`` loads the rest of a dict once keys with other shapes are removed."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    ours, state = net.state_dict(), nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 5)).state_dict()

    fitting = {key: value for key, value in state.items() if value.shape == ours[key].shape}
    result = net.load_state_dict(fitting, strict=False)

    assert result == (["1.weight", "1.bias"], [])
    assert torch.equal(net[0].weight, state["0.weight"])
    assert torch.equal(net[0].bias, state["0.bias"])


def test_a_mismatched_key_is_not_missing():
    """``load_state_dict`` reports a key with a size mismatch neither as missing nor as unexpected."""
    kept = []
    layer = nn.BatchNorm1d(1)
    layer.register_load_state_dict_post_hook(lambda module, keys: kept.append(tuple(keys)))

    with pytest.raises(RuntimeError, match=r"size mismatch for weight(.*\n.*){3}for running_var") as caught:
        layer.load_state_dict({**layer.state_dict(), **nn.BatchNorm1d(2).state_dict()})

    assert kept == [([], [])]
    assert "key(s)" not in str(caught.value)


def test_one_element_loads_into_a_scalar():
    """``load_state_dict`` loads a tensor of shape ``(1,)`` into a scalar parameter, as torch 0.3 saved it.

    The scalar stays one.
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor(5.0))

    net.load_state_dict({"scale": torch.tensor([7.0])})

    assert net.scale.shape == ()
    assert net.scale.item() == 7.0


@pytest.mark.question("Q55")
@pytest.mark.since("2.10")
def test_several_elements_do_not_load_into_a_scalar():
    """``load_state_dict`` of a 1-D tensor with several elements into a scalar raises ``RuntimeError``.

    Up to torch 2.9 the first element was loaded without an error (:issue:`165873`, :pull:`166335`).
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor(5.0))
    net.register_buffer("mean", torch.tensor(6.0))

    message = (
        r"size mismatch for scale: .*Size\(\[2\]\) from(.|\n)*size mismatch for mean: .*Size\(\[3\]\) from"
    )
    with pytest.raises(RuntimeError, match=message):
        net.load_state_dict({"scale": torch.tensor([7.0, 8.0]), "mean": torch.tensor([7.0, 8.0, 9.0])})

    assert [net.scale.item(), net.mean.item()] == [5.0, 6.0]


@pytest.mark.question("Q55")
@pytest.mark.before("2.10")
def test_a_scalar_takes_the_first_element():
    """``load_state_dict`` of a 1-D tensor with several elements into a scalar loads the first element."""
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor(5.0))

    net.load_state_dict({"scale": torch.tensor([7.0, 8.0])})

    assert net.scale.item() == 7.0
