"""Weight normalization as a parametrization.

The weight is kept as a magnitude *g* and a direction *v*: it is ``g * v / norm(v)``.
"""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, remove_weight_norm, weight_norm


@pytest.mark.since("2.1")
def test_magnitude_and_direction_are_kept():
    """``parametrizations.weight_norm`` stores the norms as ``original0`` and the weight as ``original1``.

    Both are new parameters: call
    :func:`parametrizations.weight_norm <torch.nn.utils.parametrizations.weight_norm>` first, then build the
    optimizer.
    """
    layer = nn.Linear(2, 2, bias=False)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))
    weight = layer.weight

    assert parametrizations.weight_norm(layer) is layer
    originals = {name: value.tolist() for name, value in layer.parametrizations.weight.named_parameters()}
    assert originals == {"original0": [[5.0], [13.0]], "original1": [[3.0, 4.0], [5.0, 12.0]]}
    assert list(layer._parameters) == ["bias"]
    assert all(parameter is not weight for parameter in layer.parameters())

    conv = nn.Conv2d(2, 3, 4)
    weight = conv.weight.detach()
    norms, direction = parametrizations.weight_norm(conv).parametrizations.weight.parameters()
    torch.testing.assert_close(norms.detach(), weight.flatten(1).norm(dim=1).view(3, 1, 1, 1))
    assert torch.equal(direction, weight)


@pytest.mark.since("2.1")
def test_the_value_is_kept(device):
    """``parametrizations.weight_norm`` leaves the value of the weight unchanged."""
    for make, sizes in ((nn.Linear, (3, 2)), (nn.ConvTranspose2d, (2, 3, 2))):
        for name, dim in (("weight", 0), ("weight", 1), ("weight", None), ("bias", 0), ("bias", None)):
            layer = make(*sizes, device=device)
            before = getattr(layer, name).detach().clone()
            parametrizations.weight_norm(layer, name, dim)
            torch.testing.assert_close(getattr(layer, name).detach(), before)


@pytest.mark.since("2.1")
def test_the_magnitude_scales_the_direction():
    """A weight under ``parametrizations.weight_norm`` is ``original1`` scaled to the norm ``original0``."""
    layer = nn.Linear(2, 1, bias=False)
    parametrizations.weight_norm(layer)

    with torch.no_grad():
        layer.parametrizations.weight.original0.fill_(10.0)
        layer.parametrizations.weight.original1.copy_(torch.tensor([[0.3, 0.4]]))

    for training in (True, False):
        weight = layer.train(training).weight
        torch.testing.assert_close(weight.detach(), torch.tensor([[6.0, 8.0]]))
    for other in (nn.Conv1d(2, 3, 4), nn.Conv2d(2, 3, 4), nn.Bilinear(2, 4, 3)):
        original0, direction = parametrizations.weight_norm(other).parametrizations.weight.parameters()
        original0.data = torch.tensor([2.0, 3.0, 5.0]).view_as(original0)
        unit = nn.functional.normalize(direction.flatten(1)).view_as(direction)
        torch.testing.assert_close(other.weight, original0 * unit)


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("dim", "norms"),
    [(0, [[5.0], [13.0]]), (1, [[34.0**0.5, 160.0**0.5]]), (None, 194.0**0.5), (-1, 194.0**0.5)],
)
def test_dim_says_over_what_norms_are_taken(dim, norms):
    """``parametrizations.weight_norm`` computes norms over all dimensions except ``dim``; over all if
    ``None``.

    A ``dim`` of -1 is taken for ``None``, not for the last dimension.
    """
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    parametrizations.weight_norm(layer, "weight", dim)

    torch.testing.assert_close(layer.parametrizations.weight.original0.detach(), torch.tensor(norms))
    torch.testing.assert_close(layer.weight.detach(), torch.tensor([[3.0, 4.0], [5.0, 12.0]]))

    conv = parametrizations.weight_norm(nn.Conv1d(2, 3, 4), dim=1)
    norms = conv.weight.norm(dim=(0, 2), keepdim=True)
    torch.testing.assert_close(conv.parametrizations.weight.original0, norms)


@pytest.mark.since("2.1")
def test_the_name_may_be_given():
    """``parametrizations.weight_norm`` applies to ``weight`` unless another name is passed."""
    layer = parametrizations.weight_norm(nn.Bilinear(2, 3, 4), "bias")
    assert list(layer.parametrizations) == ["bias"]

    layer = parametrizations.weight_norm(nn.Bilinear(2, 3, 4))
    assert list(layer.parametrizations) == ["weight"]


@pytest.mark.since("2.1")
def test_it_does_not_warn():
    """``parametrizations.weight_norm`` does not warn, unlike ``torch.nn.utils.weight_norm``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parametrizations.weight_norm(nn.Linear(2, 1))

    assert caught == []
    with pytest.warns((UserWarning, FutureWarning), match="deprecated"):
        weight_norm(nn.Linear(2, 1))


@pytest.mark.since("2.1")
def test_removing_leaves_one_parameter():
    """Removing ``parametrizations.weight_norm`` leaves one parameter with the value of the weight.

    Call :func:`~torch.nn.utils.parametrize.remove_parametrizations`; ``remove_weight_norm`` is for the older
    form. The parameter is new: pass it to the optimizer.
    """
    layer = parametrizations.weight_norm(nn.Linear(2, 1))
    with torch.no_grad():
        layer.parametrizations.weight.original0.fill_(10.0)
        layer.parametrizations.weight.original1.copy_(torch.tensor([[0.3, 0.4]]))
    parts = list(layer.parametrizations.weight.parameters())
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        remove_weight_norm(layer)

    parametrize.remove_parametrizations(layer, "weight")

    torch.testing.assert_close(layer.weight, nn.Parameter(torch.tensor([[6.0, 8.0]])))
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
    assert all(layer.weight is not part for part in parts)


@pytest.mark.since("2.1")
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_it_loads_the_state_of_the_old_form(name):
    """The state dict of ``torch.nn.utils.weight_norm`` loads into ``parametrizations.weight_norm``.

    The dict that is loaded is not changed (:issue:`102999`).
    """
    old = nn.Sequential(weight_norm(nn.Linear(2, 3), name))
    new = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 3), name))
    state = old.state_dict()

    assert str(new.load_state_dict(state)) == "<All keys matched successfully>"
    assert torch.equal(new[0].parametrizations[name].original0, state[f"0.{name}_g"])
    assert torch.equal(new[0].parametrizations[name].original1, state[f"0.{name}_v"])
    assert list(state) == list(old.state_dict())

    state = old[0].state_dict()
    new[0].load_state_dict(state)
    assert list(state) == list(old[0].state_dict())
    old = weight_norm(nn.Linear(2, 3), name, None)
    new = parametrizations.weight_norm(nn.Linear(2, 3), name, None)
    new.load_state_dict(old.state_dict())
    assert torch.equal(new.parametrizations[name].original1, getattr(old, f"{name}_v"))


@pytest.mark.since("2.1")
@pytest.mark.parametrize("key", ["weight_g", "weight_v"])
def test_half_of_an_old_state_is_not_taken(key):
    """``parametrizations.weight_norm`` reports an old ``weight_g`` or ``weight_v`` alone as an unexpected
    key.
    """
    layer = parametrizations.weight_norm(nn.Linear(2, 1))
    names = ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]

    for net, at in ((layer, ""), (nn.Sequential(layer), "0.")):
        missing, unexpected = net.load_state_dict({at + key: torch.rand(1, 1)}, strict=False)

        assert sorted(missing) == [at + name for name in names]
        assert unexpected == [at + key]


@pytest.mark.since("2.1")
@pytest.mark.question("Q89")
def test_a_recurrent_weight_may_be_normalized():
    """:class:`nn.LSTM <torch.nn.LSTM>` computes with a weight that has ``parametrizations.weight_norm``.

    A change of the originals shows in the next output, and gradients reach them.
    """
    lstm = parametrizations.weight_norm(nn.LSTM(2, 3), "weight_hh_l0")
    x = torch.rand(4, 1, 2)

    originals = lstm.parametrizations.weight_hh_l0
    for training in (False, True):
        before, _ = lstm.train(training)(x)
        with torch.no_grad():
            originals.original0.mul_(3.0)
        after, _ = lstm(x)
        assert not torch.equal(before, after)

    after.sum().backward()
    assert [value.grad is None for value in originals.parameters()] == [False, False]


@pytest.mark.since("2.1")
@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_transposed_convolutions_want_another_dim(kind):
    """By default ``parametrizations.weight_norm`` takes norms per input channel of a transposed convolution.

    There ``dim=0`` is the input channel: for output channels pass ``dim=1``.
    """
    by_default, by_output = kind(2, 3, 5), kind(2, 3, 5)

    parametrizations.weight_norm(by_default)
    parametrizations.weight_norm(by_output, dim=1)

    (g, v), (g_out, v_out) = by_default.parametrizations.parameters(), by_output.parametrizations.parameters()
    torch.testing.assert_close(g.squeeze(), v.flatten(1).norm(dim=1))
    torch.testing.assert_close(g_out.squeeze(), v_out.transpose(0, 1).flatten(1).norm(dim=1))


@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("make", "missing"),
    [(lambda layer: layer, ["weight"]), (weight_norm, ["weight_g", "weight_v"])],
    ids=["plain", "old"],
)
def test_its_state_fits_no_other_form(make, missing):
    """The keys of a ``parametrizations.weight_norm`` state fit neither a plain layer nor
    ``utils.weight_norm``.

    Its keys end in ``original0`` and ``original1``. Call
    :func:`~torch.nn.utils.parametrize.remove_parametrizations` before saving what a plain layer is to load;
    the way from the old form into the new one is open.

    See also :ref:`reparametrization.weight_norm.it_loads_the_state_of_the_old_form`
    """
    layer, new = make(nn.Linear(2, 3)), parametrizations.weight_norm(nn.Linear(2, 3))

    for net, other, at in ((layer, new, ""), (nn.Sequential(layer), nn.Sequential(new), "0.")):
        result = net.load_state_dict(other.state_dict(), strict=False)

        assert result.missing_keys == [f"{at}{name}" for name in missing]
        assert result.unexpected_keys == [f"{at}parametrizations.weight.original{part}" for part in (0, 1)]


@pytest.mark.since("2.1")
def test_the_old_removal_does_not_find_it():
    """``remove_weight_norm`` raises ``ValueError`` for ``parametrizations.weight_norm``.

    Remove it by :func:`~torch.nn.utils.parametrize.remove_parametrizations`, which in turn raises
    ``ValueError`` for the old form.
    """
    layer = parametrizations.weight_norm(nn.Linear(2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        old = weight_norm(nn.Linear(2, 1))

    with pytest.raises(ValueError, match="weight_norm of 'weight' not found in ParametrizedLinear"):
        torch.nn.utils.remove_weight_norm(layer)
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(old, "weight")

    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
