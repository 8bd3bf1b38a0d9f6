"""What a layer does by itself: the default initialisation.

A layer calls its ``reset_parameters`` when it is built. The method may be called again at any time and writes
new first values into the parameters.
"""

import math

import pytest
import torch
from torch import nn


def drawn(sizes, bound):
    """What a layer draws from ``-bound`` to ``bound`` right after seed 3, weight first."""
    torch.manual_seed(3)
    return [torch.empty(size).uniform_(-bound, bound) for size in sizes]


@pytest.mark.claim("N2-29")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(5, 3),
        nn.Bilinear(2, 3, 4),
        nn.Conv2d(2, 3, 3),
        nn.ConvTranspose1d(2, 3, 3),
        nn.Embedding(4, 3),
        nn.EmbeddingBag(4, 3),
        nn.GRU(2, 3),
        nn.LSTMCell(2, 3),
        nn.BatchNorm1d(3),
        nn.LayerNorm(3),
        nn.GroupNorm(1, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_reset_parameters_writes_first_values_again(layer):
    """``reset_parameters`` of a layer writes new first values into its parameters, and returns ``None``."""
    before = list(layer.parameters())
    with torch.no_grad():
        for p in before:
            p.fill_(50.0)

    result = layer.reset_parameters()

    assert (result, [id(p) for p in layer.parameters()]) == (None, [id(p) for p in before])
    assert max(p.abs().max().item() for p in before) < 10
    assert [(p.requires_grad, p.grad_fn) for p in before] == [(True, None)] * len(before)


@pytest.mark.claim("N2-29", "N5-14")
@pytest.mark.question("Q101")
def test_linear_draws_from_one_over_root_fan_in():
    """:class:`~torch.nn.Linear` draws weight and bias from ``-1 / sqrt(fan_in)`` to ``1 / sqrt(fan_in)``.

    It is neither Xavier nor He initialisation. It has stayed for reproducibility; changing it is discussed in
    :issue:`18182`.
    """
    torch.manual_seed(3)
    layer = nn.Linear(6, 4)

    weight, bias = drawn([(4, 6), (4,)], 1 / math.sqrt(6))
    assert torch.allclose(layer.weight, weight)
    assert torch.allclose(layer.bias, bias)


@pytest.mark.question("Q101")
def test_the_default_is_kaiming_with_an_odd_slope():
    """``Linear`` draws its weight by :func:`~torch.nn.init.kaiming_uniform_` with ``a=sqrt(5)``.

    He's initialisation spreads ``sqrt(6)`` times as wide.
    """
    torch.manual_seed(3)
    layer = nn.Linear(6, 4)
    torch.manual_seed(3)
    weight = nn.init.kaiming_uniform_(torch.empty(4, 6), a=math.sqrt(5))
    torch.manual_seed(3)
    he = nn.init.kaiming_uniform_(torch.empty(4, 6), nonlinearity="relu")

    assert layer.weight.tolist() == weight.tolist()
    assert torch.allclose(he, weight * math.sqrt(6))


@pytest.mark.parametrize(
    ("make", "sizes", "fan"),
    [
        (lambda: nn.Conv1d(5, 4, 3), [(4, 5, 3), (4,)], 15),
        (lambda: nn.Conv2d(6, 4, (2, 3), groups=2), [(4, 3, 2, 3), (4,)], 18),
        (lambda: nn.Conv3d(5, 4, 2), [(4, 5, 2, 2, 2), (4,)], 40),
        (lambda: nn.ConvTranspose1d(5, 4, 3), [(5, 4, 3), (4,)], 12),
        (lambda: nn.ConvTranspose2d(6, 4, 3, groups=2), [(6, 2, 3, 3), (4,)], 18),
    ],
    ids=["one dimension", "groups", "three dimensions", "transposed", "transposed, groups"],
)
@pytest.mark.question("Q101")
def test_a_convolution_draws_from_one_over_root_fan_in(make, sizes, fan):
    """A convolution draws weight and bias from ``-1 / sqrt(fan)`` to ``1 / sqrt(fan)``.

    The fan is the second size of the weight times the size of the kernel; for a transposed convolution that
    counts output channels.
    """
    torch.manual_seed(3)
    layer = make()

    weight, bias = drawn(sizes, 1 / math.sqrt(fan))
    assert torch.allclose(layer.weight, weight)
    assert torch.allclose(layer.bias, bias)


def test_bilinear_draws_by_its_first_input():
    """:class:`~torch.nn.Bilinear` draws weight and bias by the size of its first input."""
    torch.manual_seed(3)
    layer = nn.Bilinear(5, 2, 4)

    weight, bias = drawn([(4, 5, 2), (4,)], 1 / math.sqrt(5))
    assert torch.allclose(layer.weight, weight)
    assert torch.allclose(layer.bias, bias)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(6, 4, bias=False),
        lambda: nn.Conv1d(6, 4, 1, bias=False),
        lambda: nn.Bilinear(6, 2, 4, bias=False),
    ],
    ids=["linear", "convolution", "bilinear"],
)
def test_without_bias_only_the_weight_is_drawn(make):
    """A layer without bias draws its weight only."""
    torch.manual_seed(3)
    layer = make()
    state = torch.get_rng_state()

    (weight,) = drawn([layer.weight.shape], 1 / math.sqrt(6))
    assert torch.allclose(layer.weight, weight)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_an_embedding_is_standard_normal(make):
    """An embedding draws its rows from the standard normal distribution."""
    torch.manual_seed(3)
    layer = make(4, 3)
    torch.manual_seed(3)

    assert layer.weight.tolist() == torch.empty(4, 3).normal_().tolist()


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    ("padding_idx", "row"), [(0, 0), (2, 2), (-1, 3)], ids=["first", "inner", "from the end"]
)
def test_the_padding_row_of_an_embedding_is_zero(make, padding_idx, row):
    """The row ``padding_idx`` of an embedding starts as zeros, and no other."""
    layer = make(4, 3, padding_idx=padding_idx)

    assert (layer.weight == 0).all(dim=1).tolist() == [i == row for i in range(4)]
    assert layer.padding_idx == row


@pytest.mark.parametrize(
    ("arguments", "slopes"), [((), [0.25]), ((3, 0.5), [0.5] * 3)], ids=["default", "given"]
)
def test_prelu_starts_with_a_quarter(arguments, slopes):
    """:class:`~torch.nn.PReLU` starts with one slope of 0.25, or as many of another value as asked for."""
    assert nn.PReLU(*arguments).weight.tolist() == slopes


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchNorm2d(3),
        lambda: nn.InstanceNorm1d(3, affine=True),
        lambda: nn.LayerNorm(3),
        lambda: nn.GroupNorm(1, 3),
    ],
    ids=["batch", "instance", "layer", "group"],
)
def test_a_normalisation_starts_as_the_identity(make):
    """A normalisation layer starts with weight 1 and bias 0, so it only normalises; nothing is drawn."""
    before = torch.get_rng_state()
    layer = make()

    assert (layer.weight.tolist(), layer.bias.tolist()) == ([1.0] * 3, [0.0] * 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
def test_reset_of_batch_norm_forgets_the_statistics(affine):
    """``reset_parameters`` of a batch normalisation also forgets its running statistics."""
    layer = nn.BatchNorm1d(2, affine=affine)
    layer(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))

    before = layer.num_batches_tracked.item()
    layer.reset_parameters()

    assert (before, layer.num_batches_tracked.item()) == (1, 0)
    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0.0, 0.0], [1.0, 1.0])


def test_reset_running_stats_keeps_the_parameters():
    """``reset_running_stats`` of a batch normalisation leaves weight and bias."""
    layer = nn.BatchNorm1d(2)
    nn.init.constant_(layer.weight, 0.5)
    layer(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))

    layer.reset_running_stats()

    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0.0, 0.0], [1.0, 1.0])
    assert (layer.num_batches_tracked.item(), layer.weight.tolist()) == (0, [0.5, 0.5])


def test_a_linear_layer_of_no_inputs():
    """A linear layer without inputs gives a ``UserWarning``, and its bias is zero."""
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        layer = nn.Linear(0, 3)

    assert (layer.weight.shape, layer.bias.tolist()) == ((3, 0), [0.0, 0.0, 0.0])


@pytest.mark.since("2.12")
@pytest.mark.observed
def test_channels_last_draws_like_contiguous():
    """A convolution in ``channels_last`` is reset to the same values as a contiguous one."""
    layer = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    model = nn.Conv2d(2, 3, 3)

    assert layer.weight.tolist() == model.weight.tolist()
    assert layer.weight.is_contiguous(memory_format=torch.channels_last) is True


@pytest.mark.before("2.12")
@pytest.mark.observed
def test_channels_last_drew_in_the_order_of_memory():
    """A convolution in ``channels_last`` is reset to the same draws in another order, that of its memory."""
    layer = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    model = nn.Conv2d(2, 3, 3)

    assert layer.weight.tolist() != model.weight.tolist()
    assert layer.bias.tolist() == model.bias.tolist()


@pytest.mark.claim("N5-14")
def test_module_has_no_reset_parameters():
    """:class:`~torch.nn.Module` has no ``reset_parameters``; a layer has one only if its class defines it."""
    assert [hasattr(m, "reset_parameters") for m in (nn.Module(), nn.Sequential(), nn.ReLU())] == [False] * 3
