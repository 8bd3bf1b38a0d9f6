"""Spectral normalization by a hook.

:func:`torch.nn.utils.spectral_norm` is the form before parametrizations: a hook computes the weight at each
call.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import remove_spectral_norm, spectral_norm


def test_the_weight_is_kept_under_another_name():
    """``torch.nn.utils.spectral_norm`` renames ``weight`` to ``weight_orig`` and adds two buffers.

    :func:`utils.spectral_norm <torch.nn.utils.spectral_norm>` leaves ``weight`` as a plain tensor.
    """
    for layer, u, v in (nn.Linear(2, 3), 3, 2), (nn.Conv2d(2, 3, 4), 3, 32), (nn.Bilinear(2, 5, 3), 3, 10):
        weight = layer.weight

        assert spectral_norm(layer) is layer
        assert type(layer.weight) is torch.Tensor
        assert layer.weight_orig is weight
        assert [(name, *b.shape) for name, b in layer.named_buffers()] == [("weight_u", u), ("weight_v", v)]
        assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_orig"]


def test_nothing_is_divided_before_the_first_call():
    """``torch.nn.utils.spectral_norm`` leaves ``weight`` unnormalized until the module is first called.

    Until then it is a plain tensor with the value of the parameter.
    """
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(torch.tensor([[2.0, 1.0], [0.0, 3.0]]))

    spectral_norm(layer)

    assert type(layer.weight) is torch.Tensor
    assert layer.weight.requires_grad is False
    assert layer.weight.tolist() == [[2.0, 1.0], [0.0, 3.0]]
    layer(torch.rand(2))
    assert layer.weight.tolist() != [[2.0, 1.0], [0.0, 3.0]]


def test_a_call_in_training_makes_one_iteration():
    """In training mode, each call updates ``weight_u`` and ``weight_v`` of ``torch.nn.utils.spectral_norm``
    once.

    That is one power iteration, under :class:`~torch.no_grad` as well; *v* is updated first. Then the weight
    is divided by ``u @ W @ v``. Accessing it does nothing, unlike with the parametrization.
    """
    layer = spectral_norm(nn.Linear(2, 2))
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    with torch.no_grad():
        layer.weight_orig.copy_(matrix)
        layer.weight_u.copy_(torch.tensor([0.6, 0.8]))

    u = torch.tensor([0.6, 0.8])
    for recording in (True, True, False):
        v = F.normalize(matrix.T @ u, dim=0)
        u = F.normalize(matrix @ v, dim=0)
        with torch.set_grad_enabled(recording):
            layer(torch.rand(2))
        torch.testing.assert_close(layer.weight_u, u)
        torch.testing.assert_close(layer.weight_v, v)
        torch.testing.assert_close(layer.weight.detach(), matrix / (u @ matrix @ v))


def test_a_call_in_evaluation_makes_none():
    """In eval mode ``torch.nn.utils.spectral_norm`` uses ``weight_u`` and ``weight_v`` and does not
    update them.
    """
    layer = spectral_norm(nn.Linear(2, 2)).eval()
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    u, v = torch.tensor([0.8, 0.6]), torch.tensor([0.6, 0.8])
    with torch.no_grad():
        layer.weight_orig.copy_(matrix)
        layer.weight_u.copy_(u)
        layer.weight_v.copy_(v)
        layer(torch.rand(2))
    layer(torch.rand(2))

    assert torch.equal(layer.weight_u, u)
    assert torch.equal(layer.weight_v, v)
    torch.testing.assert_close(layer.weight.detach(), matrix / (u @ matrix @ v))


def test_more_iterations_at_each_call():
    """``torch.nn.utils.spectral_norm`` runs ``n_power_iterations`` iterations per call in training mode."""
    layer = spectral_norm(nn.Linear(2, 2), n_power_iterations=3)
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    with torch.no_grad():
        layer.weight_orig.copy_(matrix)
    for recording in (True, False):
        u = torch.tensor([0.6, 0.8])
        layer.weight_u.copy_(u)
        with torch.set_grad_enabled(recording):
            layer(torch.rand(2))

        for _ in range(3):
            u = F.normalize(matrix @ F.normalize(matrix.T @ u, dim=0), dim=0)
        torch.testing.assert_close(layer.weight_u, u)


def test_vectors_are_of_length_one():
    """``torch.nn.utils.spectral_norm`` initializes ``weight_u``, then ``weight_v`` as random vectors of norm
    1.
    """
    for layer, sizes in (nn.Linear(2, 3), (3, 2)), (nn.Conv1d(2, 3, 4), (3, 8)):
        torch.manual_seed(7)
        drawn = [F.normalize(torch.empty(size).normal_(), dim=0) for size in sizes]
        torch.manual_seed(7)

        spectral_norm(layer)

        torch.testing.assert_close([*layer.buffers()], drawn)


def test_eps_bounds_the_length_of_the_vectors():
    """``torch.nn.utils.spectral_norm`` divides by ``eps`` instead of a vector norm smaller than ``eps``."""
    layer = spectral_norm(nn.Linear(2, 2), "weight", 1, 10.0)
    with torch.no_grad():
        layer.weight_orig.copy_(torch.tensor([[2.0, 1.0], [0.0, 1.0]]))
        layer.weight_u.copy_(torch.tensor([0.6, 0.8]))

    layer(torch.rand(2))

    torch.testing.assert_close(layer.weight_v, torch.tensor([0.12, 0.14]))
    torch.testing.assert_close(layer.weight_u, torch.tensor([0.038, 0.014]))


def test_two_calls_before_one_backward():
    """``torch.nn.utils.spectral_norm`` allows several calls in training mode before one backward pass.

    Gradients reach ``weight_orig``.
    """
    for layer in (nn.Linear(2, 3), nn.Conv1d(2, 3, 2)):
        spectral_norm(layer)

        (layer(torch.rand(2, 2)).sum() + layer(torch.rand(2, 2)).sum()).backward()

        assert layer.weight_orig.grad.shape == layer.weight.shape
        assert layer.weight_orig.grad.count_nonzero() == layer.weight.numel()


@pytest.mark.parametrize(
    ("kind", "outputs"),
    [
        (nn.Conv1d, 0),
        (nn.Conv2d, 0),
        (nn.Conv3d, 0),
        (nn.ConvTranspose1d, 1),
        (nn.ConvTranspose2d, 1),
        (nn.ConvTranspose3d, 1),
        (type("Own", (nn.ConvTranspose1d,), {}), 1),
    ],
)
def test_the_output_channels_make_the_rows(kind, outputs):
    """``torch.nn.utils.spectral_norm`` reshapes a conv weight to a matrix with a row per output channel."""
    layer = kind(2, 3, 5)
    layer.weight.data.uniform_()
    rows = layer.weight.detach().movedim(outputs, 0).flatten(1)
    spectral_norm(layer)
    for _ in range(15):
        layer(torch.rand(2, *[9] * (layer.weight.ndim - 2)))

    assert [len(layer.weight_u), len(layer.weight_v)] == [3, rows[0].numel()]
    torch.testing.assert_close(layer.weight.norm() * torch.linalg.matrix_norm(rows, 2), rows.norm())


def test_dim_makes_the_rows():
    """``dim`` of ``torch.nn.utils.spectral_norm`` is the weight's dimension that becomes the rows of its
    matrix.
    """
    layer = spectral_norm(nn.Conv1d(2, 3, 5), dim=2)

    for _ in range(40):
        layer(torch.rand(2, 5))

    assert [len(layer.weight_u), len(layer.weight_v)] == [5, 6]
    rows = layer.weight_orig.detach().permute(2, 0, 1).flatten(1)
    torch.testing.assert_close(layer.weight.detach().norm() * torch.linalg.matrix_norm(rows, 2), rows.norm())


def test_twice_is_an_error():
    """``torch.nn.utils.spectral_norm`` applied twice to the same parameter raises ``RuntimeError``."""
    layer = spectral_norm(nn.Bilinear(2, 3, 4), "weight")
    spectral_norm(layer, "weight_orig")
    assert [hook.name for hook in layer._forward_pre_hooks.values()] == ["weight", "weight_orig"]

    for name, number in (("weight", 1), ("weight", 5), ("weight_orig", 1)):
        with pytest.raises(RuntimeError, match=rf"two spectral_norm hooks on the same parameter {name}$"):
            spectral_norm(layer, name, number)


@pytest.mark.parametrize("number", [0, -2])
def test_at_least_one_iteration_per_call(number):
    """``torch.nn.utils.spectral_norm`` raises ``ValueError`` if ``n_power_iterations`` is below 1."""
    with pytest.raises(ValueError, match=f"to be positive, but got n_power_iterations={number}"):
        spectral_norm(nn.Linear(2, 3), n_power_iterations=number)


def test_a_parameter_of_none_is_an_error():
    """``torch.nn.utils.spectral_norm`` raises ``ValueError`` for a parameter that is ``None``."""
    with pytest.raises(ValueError, match="cannot be applied as parameter `bias` is None"):
        spectral_norm(nn.Linear(2, 3, bias=False), "bias")


def test_a_lazy_parameter_is_an_error():
    """``torch.nn.utils.spectral_norm`` raises ``ValueError`` for an ``UninitializedParameter``."""
    for layer in (nn.LazyLinear(2), nn.LazyConv1d(2, 3)):
        with pytest.raises(ValueError, match="`SpectralNorm` can't have uninitialized parameters"):
            spectral_norm(layer)


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
def test_removing_leaves_the_divided_weight(mode):
    """``remove_spectral_norm`` leaves the divided weight as a parameter, without another power iteration.

    :func:`~torch.nn.utils.remove_spectral_norm` makes a new parameter: pass it to the optimizer.
    """
    layer = spectral_norm(nn.Linear(2, 2)).train(mode)
    matrix = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    u, v = torch.tensor([0.8, 0.6]), torch.tensor([0.6, 0.8])
    with torch.no_grad():
        layer.weight_orig.copy_(matrix)
        layer.weight_u.copy_(u)
        layer.weight_v.copy_(v)
    original = layer.weight_orig

    assert remove_spectral_norm(layer) is layer
    assert layer.weight is not original
    torch.testing.assert_close(layer.weight.detach(), matrix / (u @ matrix @ v))
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight"]
    assert list(layer.buffers()) == []


def test_after_a_call_it_cannot_be_deep_copied():
    """``copy.deepcopy`` of a layer with ``torch.nn.utils.spectral_norm`` raises ``RuntimeError`` after a
    call.

    Its ``weight`` is then a computed tensor with a graph. Call it under :class:`~torch.no_grad` first, or use
    :func:`torch.nn.utils.parametrizations.spectral_norm`.
    """
    layer = spectral_norm(nn.Linear(2, 3))
    copy.deepcopy(layer)
    for mode in (True, False):
        layer.train(mode)(torch.rand(2))
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(layer)

    with torch.no_grad():
        layer(torch.rand(2))
    assert torch.equal(copy.deepcopy(layer).weight_orig, layer.weight_orig)


def test_removing_takes_off_its_hooks_only():
    """:func:`remove_spectral_norm <torch.nn.utils.remove_spectral_norm>` removes only the hooks of the given
    parameter name.
    """
    layer = spectral_norm(spectral_norm(nn.Linear(2, 2)), "weight_orig")

    remove_spectral_norm(layer, "weight_orig")
    assert [hook.name for hook in layer._forward_pre_hooks.values()] == ["weight"]
    assert [hook.fn.name for hook in layer._state_dict_hooks.values()] == ["weight"]

    remove_spectral_norm(layer)
    assert [len(layer._forward_pre_hooks), len(layer._state_dict_hooks)] == [0, 0]


def test_after_removing_loading_asks_for_old_names():
    """After ``remove_spectral_norm``, ``load_state_dict`` still requires ``weight_orig``: ``RuntimeError``.

    The hook that converts old state dicts stays behind. Load with ``strict=False``, or into a new module.
    """
    layer, other = remove_spectral_norm(spectral_norm(nn.Linear(2, 2))), nn.Linear(2, 2)

    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "weight_orig", "weight_u"'):
        layer.load_state_dict(other.state_dict())
    layer.load_state_dict(other.state_dict(), strict=False)
    assert torch.equal(layer.weight, other.weight)


def test_nothing_to_remove_is_an_error():
    """``remove_spectral_norm`` raises ``ValueError`` for a parameter name without ``spectral_norm``."""
    for layer in (nn.Linear(2, 2), spectral_norm(nn.Linear(2, 2))):
        layer.register_forward_pre_hook(lambda *_: None)

        with pytest.raises(ValueError, match=r"spectral_norm of 'bias' not found in Linear\(in_features=2"):
            remove_spectral_norm(layer, "bias")


def test_a_state_dict_tells_its_version():
    """``state_dict()._metadata`` holds a version for each parameter given to
    ``torch.nn.utils.spectral_norm``.
    """
    net = nn.Sequential(spectral_norm(spectral_norm(nn.Linear(2, 2)), "weight_orig"))

    assert net.state_dict()._metadata["0"] == {
        "version": 1,
        "spectral_norm": {"weight.version": 1, "weight_orig.version": 1},
    }


@pytest.mark.parametrize("place", [lambda layer: layer, nn.Sequential], ids=["alone", "nested"])
def test_a_state_dict_is_loaded_back(place):
    """The state dict of a ``torch.nn.utils.spectral_norm`` module loads into another such module."""
    layer, other = place(spectral_norm(nn.Linear(2, 3))), place(spectral_norm(nn.Linear(2, 3)))
    layer(torch.rand(2))
    state = layer.state_dict()

    names = [name.removeprefix("0.") for name in state]
    assert names == ["bias", "weight_orig", "weight_u", "weight_v"]
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    for name, value in other.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize("place", [lambda layer: layer, nn.Sequential], ids=["alone", "nested"])
def test_a_state_dict_without_metadata_is_loaded(place):
    """A module with ``torch.nn.utils.spectral_norm`` loads a full state dict even without ``_metadata``."""
    layer, other = place(spectral_norm(nn.Linear(2, 3))), place(spectral_norm(nn.Linear(2, 3)))

    state = dict(layer.state_dict())

    other.load_state_dict(state)

    for name, value in other.state_dict().items():
        assert torch.equal(value, state[name])


def test_a_state_dict_of_old_times_is_converted():
    """If a dict has no ``_metadata``, ``torch.nn.utils.spectral_norm`` computes a missing ``weight_v``
    from ``weight``.

    State dicts of early releases hold the divided ``weight`` instead of ``weight_v``.
    """
    layer, other, nested = (spectral_norm(nn.Linear(2, 3)) for _ in range(3))
    layer(torch.rand(2))
    state = dict(layer.state_dict(), weight=layer.weight.detach())
    del state["weight_v"]

    nn.Sequential(nested).load_state_dict({f"0.{name}": value for name, value in state.items()})
    other.load_state_dict(state)
    other.eval()(torch.rand(2))

    torch.testing.assert_close(other.weight_v, layer.weight_v)
    torch.testing.assert_close(nested.weight_v, layer.weight_v)
    torch.testing.assert_close(other.weight, layer.weight)


@pytest.mark.parametrize("version", [0, None])
def test_an_old_version_is_converted_too(version):
    """Loading ``torch.nn.utils.spectral_norm`` metadata of version 0 or ``None`` recomputes ``weight_v``.

    A saved ``weight_v`` is ignored.
    """
    net, other = (nn.Sequential(spectral_norm(nn.Linear(2, 3))) for _ in range(2))
    net(torch.rand(2))
    state = net.state_dict()
    state["0.weight"] = net[0].weight.detach()
    state["0.weight_v"] = torch.zeros(2)
    state._metadata["0"]["spectral_norm"]["weight.version"] = version

    other.load_state_dict(state)

    torch.testing.assert_close(other[0].weight_v, net[0].weight_v)


def test_what_old_times_lack_is_missing():
    """If a dict lacks ``_metadata`` and ``weight_v``, ``torch.nn.utils.spectral_norm`` expects ``weight``
    in it.

    Without that, both ``weight`` and ``weight_v`` are missing keys. Early releases saved the divided
    ``weight``; a current state dict has no such key.
    """
    layer = spectral_norm(nn.Linear(2, 3))

    for net, at in ((layer, ""), (nn.Sequential(layer), "0.")):
        missing = rf'in state_dict: "{at}weight", "{at}weight_u", "{at}weight_u", "{at}weight_v"\. '
        with pytest.raises(RuntimeError, match=missing):
            net.load_state_dict({f"{at}bias": torch.rand(3), f"{at}weight_orig": torch.rand(3, 2)})


def test_missing_names_are_told_twice():
    """Loading a dict without ``_metadata``, ``torch.nn.utils.spectral_norm`` reports a missing
    ``weight_u`` twice.
    """
    layer = spectral_norm(nn.Linear(2, 3))

    for net, at in ((layer, ""), (nn.Sequential(layer), "0.")):
        missing, unexpected = net.load_state_dict({f"{at}weight_orig": torch.rand(3, 2)}, strict=False)
        assert missing == [f"{at}{name}" for name in ("weight", "weight_u", "bias", "weight_u", "weight_v")]
        assert unexpected == []
