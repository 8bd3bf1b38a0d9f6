"""Parametrizations on the meta device.

A large model is often made on the meta device, without values, and filled later. A parametrization that
computes something from the weight when it is registered has nothing to compute from there.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm


@pytest.mark.since("2.3")
def test_a_weight_norm_without_values():
    """``parametrizations.weight_norm`` and ``spectral_norm`` work for a module on the meta device.

    They give shapes there, and take values with ``to_empty`` and a state dict (:issue:`96409`). See
    :func:`torch.nn.utils.parametrizations.weight_norm`.
    """
    for apply in (parametrizations.weight_norm, parametrizations.spectral_norm):
        source, layer = apply(nn.Linear(2, 3)), apply(nn.Linear(2, 3, device="meta"))
        assert layer(torch.rand(5, 2, device="meta")).shape == (5, 3)

        layer.to_empty(device="cpu")
        layer.load_state_dict(source.state_dict())

        assert list(layer.parametrizations) == ["weight"]
        torch.testing.assert_close(layer.eval().weight, source.eval().weight)


@pytest.mark.since("2.3")
def test_the_older_weight_stays_behind():
    """With ``torch.nn.utils.weight_norm`` on meta, ``weight`` stays on meta after ``to_empty`` until a call.

    It is no parameter but an attribute, which a hook computes before each ``forward``. The newer
    :func:`torch.nn.utils.parametrizations.weight_norm` computes it when it is read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = weight_norm(nn.Linear(2, 3, device="meta"))

    layer.to_empty(device="cpu")
    devices = [layer.weight_v.device.type, layer.weight.device.type]
    layer(torch.rand(5, 2))

    assert devices == ["cpu", "meta"]
    assert layer.weight.device.type == "cpu"


@pytest.mark.since("2.4")
def test_an_orthogonal_weight_needs_values():
    """``parametrizations.orthogonal`` of a square weight on the meta device raises ``RuntimeError``.

    It looks whether the weight is orthogonal already. With ``use_trivialization=False`` it does not, and
    works there. Or register it after the values have come. See
    :func:`torch.nn.utils.parametrizations.orthogonal`.
    """
    with pytest.raises(RuntimeError, match=r"Tensor\.item\(\) cannot be called on meta tensors"):
        parametrizations.orthogonal(nn.Linear(3, 3, device="meta"))

    source = parametrizations.orthogonal(nn.Linear(3, 3), use_trivialization=False)
    layer = parametrizations.orthogonal(nn.Linear(3, 3, device="meta"), use_trivialization=False)
    layer.to_empty(device="cpu")
    layer.load_state_dict(source.state_dict())

    torch.testing.assert_close(layer.weight, source.weight)


@pytest.mark.parametrize("sizes", [(2, 3), (3, 2)], ids=["tall", "wide"])
def test_an_orthogonal_weight_without_a_base(sizes):
    """``parametrizations.orthogonal`` of a non-square weight on meta makes no ``base``: later calls raise.

    It seems to work when registered. A state dict of a module with values does not fit, either. Pass
    ``use_trivialization=False``. See :func:`torch.nn.utils.parametrizations.orthogonal`.
    """
    source = parametrizations.orthogonal(nn.Linear(*sizes))
    layer = parametrizations.orthogonal(nn.Linear(*sizes, device="meta")).to_empty(device="cpu")

    with pytest.raises(TypeError, match="unsupported operand"):
        layer(torch.rand(5, sizes[0]))
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\).*"parametrizations\.weight\.0\.base"'):
        layer.load_state_dict(source.state_dict())


def test_a_mask_without_values():
    """Pruning on the meta device makes a ``weight_mask`` on meta; ``to_empty`` and ``load_state_dict`` fill
    it.

    Prune when the values are there, or load a state dict with the mask. See
    :func:`torch.nn.utils.prune.l1_unstructured`.
    """
    source = prune.l1_unstructured(nn.Linear(2, 3), "weight", amount=4)
    layer = prune.l1_unstructured(nn.Linear(2, 3, device="meta"), "weight", amount=4)
    assert [layer.weight.device.type, layer.weight_mask.device.type] == ["meta", "meta"]
    assert prune.identity(nn.Linear(2, 3, device="meta"), "bias").bias_mask.device.type == "meta"

    layer.to_empty(device="cpu")
    layer.load_state_dict(source.state_dict())

    assert layer.weight_mask.sum().item() == 2.0
    x = torch.rand(5, 2)
    torch.testing.assert_close(layer(x), source(x))
