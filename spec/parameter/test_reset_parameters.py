"""What a layer does by itself: the default initialization.

A layer calls its ``reset_parameters`` when it is built. The method may be called again at any time and writes
new first values into the parameters.
"""

import math

import pytest
import torch
from torch import nn


def drawn_evenly(values, bound):
    """Whether values fill the range from ``-bound`` to ``bound``, and are spread evenly over it."""
    return [values.min().item(), values.max().item(), values.std().item()] == pytest.approx(
        [-bound, bound, bound / math.sqrt(3)], rel=0.05
    )


@pytest.mark.claim("N2-29")
@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (nn.Linear, (5, 3)),
        (nn.Bilinear, (2, 3, 4)),
        (nn.Conv2d, (2, 3, 3)),
        (nn.ConvTranspose1d, (2, 3, 3)),
        (nn.Embedding, (4, 3)),
        (nn.EmbeddingBag, (4, 3)),
        (nn.GRU, (2, 3)),
        (nn.LSTMCell, (2, 3)),
        (nn.BatchNorm1d, (3,)),
        (nn.LayerNorm, (3,)),
        (nn.GroupNorm, (1, 3)),
    ],
)
def test_reset_parameters_writes_first_values_again(make, sizes):
    """``layer.reset_parameters()`` initializes the parameters of the layer again and returns ``None``.

    The parameters stay the same objects, so an optimizer keeps them; what it has gathered about them
    stays too.
    """
    layer = make(*sizes)
    before = list(layer.parameters())
    for p in before:
        nn.init.constant_(p, 50.0)
    before[0].requires_grad_(False)

    torch.manual_seed(3)
    result = layer.reset_parameters()
    torch.manual_seed(3)
    model = make(*sizes)

    assert result is None
    assert [id(p) for p in layer.parameters()] == [id(p) for p in before]
    assert [p.tolist() for p in before] == [p.tolist() for p in model.parameters()]
    assert [(p.requires_grad, p.grad_fn) for p in before] == [(p is not before[0], None) for p in before]


@pytest.mark.claim("N2-29", "N5-14")
@pytest.mark.question("Q101")
def test_linear_draws_from_one_over_root_fan_in():
    """:class:`nn.Linear <torch.nn.Linear>` initializes weight and bias uniformly between plus and minus
    ``1 / sqrt(in_features)``.

    This is neither Xavier nor He initialization. It has stayed for reproducibility; changing it is
    discussed in :issue:`18182`. Write other values with the functions of :mod:`torch.nn.init`.
    """
    layer = nn.Linear(16, 2000)

    assert drawn_evenly(layer.weight, 1 / 4)
    assert drawn_evenly(layer.bias, 1 / 4)


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (nn.Linear, (6, 4)),
        (nn.Bilinear, (6, 2, 4)),
        (nn.Conv2d, (3, 4, 2)),
        (nn.ConvTranspose1d, (3, 4, 2)),
        (nn.Embedding, (4, 3, 1)),
        (nn.EmbeddingBag, (4, 3)),
    ],
)
def test_reset_draws_like_a_new_layer(make, sizes):
    """After the same seed, ``nn.Linear.reset_parameters()`` draws the values that a new layer starts with.

    So do ``nn.Bilinear``, convolutions and embeddings. What was written into them by hand is not drawn
    again.
    """
    layer = make(*sizes)
    torch.manual_seed(3)
    model = make(*sizes)

    assert layer.weight.tolist() != model.weight.tolist()

    torch.manual_seed(3)
    layer.reset_parameters()

    assert [p.tolist() for p in layer.parameters()] == [p.tolist() for p in model.parameters()]


@pytest.mark.question("Q101")
def test_the_default_is_kaiming_with_an_odd_slope():
    """``nn.Linear`` initializes its weight with
    :func:`nn.init.kaiming_uniform_ <torch.nn.init.kaiming_uniform_>` and ``a=sqrt(5)``.

    He's initialization spreads ``sqrt(6)`` times as wide.
    """
    torch.manual_seed(3)
    layer = nn.Linear(6, 4)
    torch.manual_seed(3)
    weight = nn.init.kaiming_uniform_(torch.empty(4, 6), a=math.sqrt(5))
    torch.manual_seed(3)
    he = nn.init.kaiming_uniform_(torch.empty(4, 6), nonlinearity="relu")

    assert layer.weight.tolist() == weight.tolist()
    assert torch.allclose(he, layer.weight * math.sqrt(6))


@pytest.mark.parametrize(
    ("make", "channels", "further", "fan"),
    [
        (nn.Conv1d, (3, 3000), {"kernel_size": 3}, 9),
        (nn.Conv2d, (4, 3000), {"kernel_size": (2, 3), "groups": 2}, 12),
        (nn.Conv3d, (2, 3000), {"kernel_size": 2}, 16),
        (nn.ConvTranspose1d, (2, 3000), {"kernel_size": 3}, 9000),
        (nn.ConvTranspose2d, (4, 3000), {"kernel_size": 3, "groups": 2}, 13500),
        (nn.ConvTranspose3d, (2, 3000), {"kernel_size": 2}, 24000),
    ],
    ids=["one", "groups", "three", "transposed one", "transposed groups", "transposed three"],
)
@pytest.mark.question("Q101")
def test_a_convolution_draws_from_one_over_root_fan_in(make, channels, further, fan):
    """``nn.Conv2d`` initializes weight and bias uniformly between plus and minus ``1 / sqrt(fan_in)``.

    ``fan_in`` is the second size of the weight times the size of the kernel; for ``nn.ConvTranspose1d`` and
    the like that counts output channels.
    """
    layer = make(*channels, **further)

    assert drawn_evenly(layer.weight, 1 / math.sqrt(fan))
    assert drawn_evenly(layer.bias, 1 / math.sqrt(fan))


def test_bilinear_draws_by_its_first_input():
    """:class:`nn.Bilinear <torch.nn.Bilinear>` initializes weight and bias between plus and minus
    ``1 / sqrt(in1_features)``.
    """
    layer = nn.Bilinear(16, 2, 1000)

    assert drawn_evenly(layer.weight, 1 / 4)
    assert drawn_evenly(layer.bias, 1 / 4)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [(nn.Linear, (6, 4)), (nn.Conv1d, (6, 4, 1)), (nn.Bilinear, (6, 2, 4))],
    ids=["linear", "convolution", "bilinear"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_without_bias_only_the_weight_is_drawn(make, arguments, dtype):
    """With the same seed, ``nn.Linear(bias=False)`` gets the same weight as with a bias."""
    torch.manual_seed(3)
    layer = make(*arguments, bias=False, dtype=dtype)
    state = torch.get_rng_state()

    torch.manual_seed(3)
    model = make(*arguments, dtype=dtype)

    assert layer.weight.tolist() == model.weight.tolist()
    assert torch.equal(torch.get_rng_state(), state) is False

    torch.manual_seed(3)
    torch.empty_like(layer.weight).uniform_()

    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
def test_an_embedding_is_standard_normal(make):
    """:class:`nn.Embedding <torch.nn.Embedding>` and ``nn.EmbeddingBag`` initialize their weight from a
    standard normal.
    """
    weight = make(100, 200).weight

    assert weight.mean().item() == pytest.approx(0, abs=0.03)
    assert weight.std().item() == pytest.approx(1, abs=0.03)
    assert (weight.abs() < 1).float().mean().item() == pytest.approx(0.683, abs=0.02)


@pytest.mark.parametrize("make", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize(
    ("padding_idx", "row"), [(0, 0), (2, 2), (-1, 3)], ids=["first", "inner", "from the end"]
)
def test_the_padding_row_of_an_embedding_is_zero(make, padding_idx, row):
    """The row ``padding_idx`` of an ``nn.Embedding`` is initialized with zeros, unlike the other rows."""
    layer = make(4, 3, padding_idx=padding_idx)

    assert (layer.weight == 0).all(dim=1).tolist() == [i == row for i in range(4)]


@pytest.mark.parametrize(
    ("arguments", "slopes"), [((), [0.25]), ((3, 0.5), [0.5] * 3)], ids=["default", "given"]
)
def test_prelu_starts_with_a_quarter(arguments, slopes):
    """:class:`nn.PReLU <torch.nn.PReLU>` has one slope of 0.25 by default; ``nn.PReLU(n, init)`` has ``n``
    slopes of ``init``.
    """
    assert nn.PReLU(*arguments).weight.tolist() == slopes


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (nn.BatchNorm2d, {"num_features": 3}),
        (nn.InstanceNorm1d, {"num_features": 3, "affine": True}),
        (nn.LayerNorm, {"normalized_shape": 3}),
        (nn.GroupNorm, {"num_groups": 1, "num_channels": 3}),
    ],
    ids=["batch", "instance", "layer", "group"],
)
def test_a_normalisation_starts_as_the_identity(make, arguments):
    """``nn.BatchNorm2d`` and ``nn.LayerNorm`` start with weight 1 and bias 0, and use no random numbers."""
    before = torch.get_rng_state()
    layer = make(**arguments)

    assert layer.weight.tolist() == [1.0, 1.0, 1.0]
    assert layer.bias.tolist() == [0.0, 0.0, 0.0]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
@pytest.mark.parametrize("training", [True, False])
def test_reset_of_batch_norm_forgets_the_statistics(training, affine):
    """``reset_parameters()`` of an ``nn.BatchNorm1d`` also resets its running statistics."""
    layer = nn.BatchNorm1d(2, affine=affine)
    layer(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))

    assert layer.num_batches_tracked.item() == 1

    layer.train(training).reset_parameters()

    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("training", [True, False])
def test_reset_running_stats_keeps_the_parameters(training):
    """``reset_running_stats()`` of an ``nn.BatchNorm1d`` resets its statistics and keeps weight and bias."""
    layer = nn.BatchNorm1d(2)
    nn.init.constant_(layer.weight, 0.5)
    nn.init.constant_(layer.bias, 0.25)
    layer(torch.tensor([[1.0, 5.0], [3.0, 9.0]]))

    layer.train(training).reset_running_stats()

    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0
    assert [layer.weight.tolist(), layer.bias.tolist()] == [[0.5, 0.5], [0.25, 0.25]]


def test_a_linear_layer_of_no_inputs():
    """``nn.Linear(0, 3)`` warns with a ``UserWarning``, and its bias is initialized with zeros."""
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        layer = nn.Linear(0, 3)

    assert layer.weight.shape == (3, 0)
    assert layer.bias.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.since("2.12")
@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
def test_channels_last_draws_like_contiguous(make):
    """``reset_parameters()`` of a ``channels_last`` convolution draws the same values as a contiguous one."""
    layer = make(2, 3, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    model = make(2, 3, 3)

    assert [p.tolist() for p in layer.parameters()] == [p.tolist() for p in model.parameters()]
    assert layer.weight.is_contiguous(memory_format=torch.channels_last) is True


@pytest.mark.before("2.12")
def test_channels_last_drew_in_the_order_of_memory():
    """``reset_parameters()`` of a ``channels_last`` convolution draws the weight in memory order.

    So the same seed gives other values than for a contiguous one.
    """
    layer = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    torch.manual_seed(3)
    layer.reset_parameters()
    torch.manual_seed(3)
    model = nn.Conv2d(2, 3, 3)

    assert layer.weight.permute(0, 2, 3, 1).flatten().tolist() == model.weight.flatten().tolist()
    assert layer.bias.tolist() == model.bias.tolist()


@pytest.mark.claim("N5-14")
def test_module_has_no_reset_parameters():
    """``nn.Module`` does not define ``reset_parameters``: ``nn.Linear`` has it, ``nn.ReLU`` does not.

    To reset a whole network, iterate over :meth:`~torch.nn.Module.modules` and check each with ``hasattr``.
    """
    without = [nn.Module(), nn.Sequential(), nn.ReLU()]

    assert [hasattr(module, "reset_parameters") for module in without] == [False, False, False]
    assert hasattr(nn.Linear(2, 3), "reset_parameters") is True


@pytest.mark.since("2.1")
def test_a_network_on_meta_is_filled_layer_by_layer():
    """``to_empty(recurse=False)`` and ``reset_parameters()`` of each module fill a network on meta layer by
    layer.

    A module's ``reset_parameters()`` is to fill its own tensors only; those of a module that has none stay
    arbitrary: define it for every module with tensors of its own.

    See also :ref:`placement.meta.to_empty_may_leave_submodules_out`
    """

    def build(device):
        net = nn.Sequential(nn.Linear(2, 3, device=device), nn.BatchNorm1d(3, device=device))
        net.scale = nn.Parameter(torch.ones(3, device=device))
        return net

    net = build("meta")
    torch.set_deterministic_debug_mode("error")  # fills memory that is not initialized with NaN
    torch.manual_seed(5)
    for module in net.modules():
        module.to_empty(device="cpu", recurse=False)
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    torch.set_deterministic_debug_mode("default")
    torch.manual_seed(5)
    usual = build("cpu").state_dict()

    assert net.scale.isnan().tolist() == [True, True, True]
    assert all(torch.equal(value, usual[key]) for key, value in net.state_dict().items() if key != "scale")


@pytest.mark.parametrize(
    ("base", "arguments"),
    [
        (nn.Linear, (2, 3)),
        (nn.Conv2d, (2, 3, 1)),
        (nn.Embedding, (2, 3)),
        (nn.LayerNorm, (2,)),
        (nn.GRU, (2, 3)),
    ],
    ids=["Linear", "Conv2d", "Embedding", "LayerNorm", "GRU"],
)
def test_a_subclass_is_reset_before_it_is_complete(base, arguments):
    """``nn.Linear.__init__`` calls ``reset_parameters`` of a subclass, before the subclass sets anything.

    A method that also resets a parameter of its own, such as the matrices of a LoRA layer, raises
    ``AttributeError`` then. Ask with ``hasattr`` in it, or call it again at the end of ``__init__``.
    """
    calls = []

    class Adapted(base):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.down = nn.Parameter(torch.rand(2))

        def reset_parameters(self):
            super().reset_parameters()
            calls.append(hasattr(self, "weight_ih_l0" if base is nn.GRU else "weight"))
            nn.init.zeros_(self.down)

    with pytest.raises(AttributeError, match="'Adapted' object has no attribute 'down'"):
        Adapted(*arguments)
    assert calls == [True]
