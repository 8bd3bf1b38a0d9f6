"""Casting with ``float()``, ``double()``, ``half()``, ``bfloat16()`` and ``type()``.

The first four cast floating point tensors and do not change others; ``type`` casts everything.
"""

import copy
import weakref

import pytest
import torch
from torch import nn

CASTS = [
    ("float", torch.float32),
    ("double", torch.float64),
    ("half", torch.float16),
    ("bfloat16", torch.bfloat16),
]


@pytest.mark.parametrize(("cast", "dtype"), CASTS)
def test_floating_point_is_cast(cast, dtype):
    """``Module.float``, ``double``, ``half`` and ``bfloat16`` cast all floating point parameters and buffers.

    They are :meth:`~torch.nn.Module.float`, :meth:`~torch.nn.Module.double`, :meth:`~torch.nn.Module.half`
    and :meth:`~torch.nn.Module.bfloat16`. The module is changed in place and returned.
    """
    layers = nn.Linear(2, 2, dtype=torch.bfloat16), nn.BatchNorm1d(2, dtype=torch.float16)
    net = nn.Sequential(nn.Sequential(*layers))
    net[0].register_buffer("cache", torch.tensor([2.0], dtype=torch.float64), persistent=False)
    net[0][0].bias.requires_grad_(False)

    returned = getattr(net, cast)()

    assert returned is net
    assert [p.dtype for p in net.parameters()] == [dtype] * 4
    assert [b.dtype for b in net.buffers()] == [dtype, dtype, dtype, torch.int64]


@pytest.mark.question("Q73")
@pytest.mark.parametrize(("cast", "dtype"), CASTS)
def test_other_dtypes_are_left_alone(cast, dtype):
    """``Module.float``, ``double``, ``half`` and ``bfloat16`` do not change integer, boolean or complex
    tensors.

    ``double()`` and ``to(torch.float64)`` differ so on complex parameters: only the latter casts them.
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor([1.5]))
    net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j]))
    net.order = nn.Parameter(torch.tensor([5, 3]), requires_grad=False)
    net.register_buffer("steps", torch.tensor([3, 4]))
    net.register_buffer("mask", torch.tensor([True, False]))
    net.register_buffer("turn", torch.tensor([0.5j]))

    getattr(net, cast)()

    assert [p.dtype for p in net.parameters()] == [dtype, torch.complex64, torch.int64]
    assert [b.dtype for b in net.buffers()] == [torch.int64, torch.bool, torch.complex64]
    with pytest.warns(UserWarning, match="discards the imaginary part"):
        net.to(dtype)
    assert net.phase.dtype == dtype


def test_precision_is_lost_for_good():
    """``Module.bfloat16`` rounds the values; casting back with ``double()`` does not restore them.

    Save a state dict before you try a smaller dtype.

    See also :ref:`placement.autocast.weights_and_gradients_keep_their_dtype`
    """
    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor([0.1, 1.5], dtype=torch.float64))
    net.register_buffer("mean", net.scale.detach().clone())

    net.bfloat16().double()

    for tensor in (net.scale, net.mean):
        assert tensor.dtype == torch.float64
        assert tensor.tolist() == [0.10009765625, 1.5]


def test_a_range_is_lost_too():
    """``Module.half`` turns values of 65520 and more into infinity; ``Module.bfloat16`` keeps them finite.

    ``bfloat16`` has the range of ``float32`` with fewer digits.
    """
    halved, kept = nn.Module(), nn.Module()
    for net in (halved, kept):
        net.scale = nn.Parameter(torch.tensor([65519.0, 65520.0, -70000.0]))
    halved.half()
    kept.bfloat16()

    assert halved.scale.tolist() == [65504.0, float("inf"), -float("inf")]
    assert kept.scale.tolist() == [65536.0, 65536.0, -70144.0]


def test_a_table_of_positions_is_cast_as_well():
    """``Module.bfloat16`` makes 256 and 257 equal in a floating point buffer, ``Module.half`` 2048 and 2049.

    So positions, and the frequencies of rotary embeddings, are wrong afterwards, whether the buffer is
    persistent or not. Keep them as integers, compute them in float32 in ``forward``, or leave the cast to
    autocast.
    """
    nets = [nn.Module() for _ in range(3)]
    for net in nets:
        net.register_buffer("places", torch.tensor([255.0, 256.0, 257.0, 2047.0, 2048.0, 2049.0]), False)
        net.register_buffer("numbers", torch.tensor([256, 257]))
    nets[0].bfloat16()
    nets[1].half()
    nets[2].to(torch.bfloat16).float()

    assert nets[0].places.tolist() == [255.0, 256.0, 256.0, 2048.0, 2048.0, 2048.0]
    assert nets[1].places.tolist() == [255.0, 256.0, 257.0, 2047.0, 2048.0, 2048.0]
    assert nets[2].places.tolist() == nets[0].places.tolist()
    assert nets[0].numbers.tolist() == [256, 257]


@pytest.mark.parametrize("dtype", [torch.float64, "torch.DoubleTensor"], ids=["dtype", "name"])
def test_type_casts_everything(dtype):
    """:meth:`Module.type() <torch.nn.Module.type>` casts every parameter and buffer, integer buffers too."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3)))
    net[1].order = nn.Parameter(torch.tensor([5, 3]), requires_grad=False)
    net[1].register_buffer("mask", torch.tensor([True, False]))
    net[1].register_buffer("cache", torch.tensor([2.0]), persistent=False)

    returned = net.type(dtype)

    assert returned is net
    assert [p.dtype for p in net.parameters()] == [torch.float64] * 5
    assert [b.dtype for b in net.buffers()] == [torch.float64] * 5
    assert net[1].mask.tolist() == [1.0, 0.0]


def test_type_needs_floating_point_for_gradients():
    """``Module.type(torch.int64)`` raises ``RuntimeError`` if a parameter requires grad."""
    layer = nn.Linear(2, 3)

    with pytest.raises(RuntimeError, match="must be floating point or complex dtype"):
        layer.type(torch.int64)
    assert layer.weight.dtype == torch.float32


def test_type_may_make_integers():
    """``net.type(torch.int32)`` casts frozen parameters and buffers; ``net.to(torch.int32)`` raises
    ``TypeError``.
    """
    net = nn.Module()
    net.register_buffer("mean", torch.tensor([2.75, -1.5]))
    net.register_buffer("steps", torch.tensor([5]))
    net.register_buffer("mask", torch.tensor([True, False]))
    net.scale = nn.Parameter(torch.tensor([3.25]), requires_grad=False)

    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        net.to(torch.int32)
    net.type(torch.int32)

    assert [t.dtype for t in net.state_dict().values()] == [torch.int32] * 4
    assert [b.tolist() for b in net.buffers()] == [[2, -1], [5], [1, 0]]
    assert net.scale.tolist() == [3]


def test_inputs_must_have_the_dtype_of_the_weights():
    """After ``Module.double``, ``nn.Linear`` does not cast its input: a ``float32`` input raises
    ``RuntimeError``.

    Cast the input as well: ``net(x.to(dtype))``. :class:`torch.autocast` does not help here: it leaves
    float64 as it is.
    """
    layer, x = nn.Linear(2, 3).double(), torch.rand(4, 2)

    with pytest.raises(RuntimeError, match="mat1 and mat2 must have the same dtype"):
        layer(x)
    with torch.autocast("cpu"), pytest.raises(RuntimeError, match="mat1 and mat2 must have the same dtype"):
        layer(x)
    assert layer(x.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-15), (torch.bfloat16, 2e-3), (torch.complex128, 1e-15)]
)
def test_outputs_have_the_dtype_of_the_weights(dtype, error):
    """After ``Module.to(dtype)``, ``nn.Linear`` computes in that dtype."""
    layer = nn.Linear(2, 1, bias=False).to(dtype)
    layer.weight.data.fill_(0.1)

    output = layer(torch.tensor([[1.0, 2.0]], dtype=dtype))

    assert output.dtype == dtype
    assert output.item() == pytest.approx(0.3, abs=error)


def test_recurrent_layers_are_cast_too():
    """After ``Module.double``, ``nn.LSTM`` computes with the cast weights: ``_flat_weights`` holds them.

    ``_flat_weights`` is the list of weights that recurrent layers compute with.
    """
    layer, built = nn.LSTM(2, 3, 2).double(), nn.LSTM(2, 3, 2, dtype=torch.float64)
    built.load_state_dict(layer.state_dict())
    x = torch.rand(5, 1, 2, dtype=torch.float64)

    assert torch.equal(layer(x)[0], built(x)[0])
    assert [id(weight) for weight in layer._flat_weights] == [id(p) for p in layer.parameters()]


def test_a_cast_splits_a_buffer_of_two_names():
    """``Module.double`` splits a buffer with two names into two tensors; a tied parameter stays tied.

    Each name gets a cast of its own: what is written to one no longer shows in the other. Register it once,
    and reach it from the other module.
    """
    net, table = nn.Module(), torch.tensor([2.0, 3.0])
    net.register_buffer("first", table)
    net.register_buffer("second", table)
    net.inner = nn.Module()
    net.one = net.two = net.inner.three = nn.Parameter(torch.rand(2))

    net.double()
    net.first.fill_(7.0)

    assert net.second.tolist() == [2.0, 3.0]
    assert net.one is net.two is net.inner.three


@pytest.mark.since("2.3")
def test_a_wrapper_with_a_weak_reference_is_not_cast():
    """``Module.double`` raises ``RuntimeError`` if a wrapper parameter, as of jagged tensors, has a weakref.

    It is a ``RuntimeError``: such a parameter is swapped with its cast, without any flag, which a weak
    reference forbids (:issue:`141548`). Some caches keep a ``weakref`` to parameters. See
    :meth:`~torch.nn.Module.double`.
    """
    jagged = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(1, 3)], layout=torch.jagged)
    net = nn.Module()
    net.rows = nn.Parameter(jagged)
    net.double()
    assert net.rows.dtype == torch.float64

    watch = weakref.ref(net.rows)
    with pytest.raises(RuntimeError, match=r"_apply\(\): Couldn't swap Module.rows"):
        net.float()

    assert watch() is net.rows
    assert net.rows.dtype == torch.float64


def test_a_parameter_is_kept_from_casts_by_apply():
    """An overridden ``Module._apply`` can keep a parameter in float32 through ``bfloat16()`` and ``to``.

    There is no flag for it (:issue:`138952`). All casts and moves, also those of a model around the module,
    go through ``_apply(fn)``, which calls ``fn`` for each tensor. See :meth:`~torch.nn.Module.bfloat16`.
    """

    class Scale(nn.Linear):
        def _apply(self, fn, *args):
            return super()._apply(lambda t: t.to(fn(t).device) if t is self.weight else fn(t), *args)

    net = nn.Sequential(nn.Linear(2, 3), Scale(3, 1))
    net.bfloat16().to(torch.float16)

    assert [p.dtype for p in net.parameters()] == [torch.float16] * 2 + [torch.float32, torch.float16]


@pytest.mark.parametrize("layer", [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)])
def test_normalizations_of_bfloat16_with_float32_weights(layer):
    """On the CPU ``LayerNorm``, ``GroupNorm`` and ``BatchNorm`` in float32 take bfloat16 input, and return
    bfloat16.

    Most layers raise for it, and so do these for float64; on a GPU ``LayerNorm`` does for bfloat16 as well
    (:issue:`135969`). Casting the whole model makes no such mixture. See :meth:`~torch.nn.Module.bfloat16`.
    """
    x = torch.rand(2, 4, 4, dtype=torch.bfloat16)

    for mode in (True, False):
        assert layer.train(mode)(x).dtype is torch.bfloat16
        with pytest.raises(RuntimeError, match="mixed dtype"):
            layer(x.double())
    with pytest.raises(RuntimeError, match="must have the same dtype"):
        nn.Linear(4, 3)(x)


@pytest.mark.parametrize("layer", [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.BatchNorm1d(4)])
def test_normalizations_of_float32_with_bfloat16_weights(layer):
    """``LayerNorm``, ``GroupNorm`` and ``BatchNorm`` in bfloat16 raise ``RuntimeError`` for float32 input.

    The message says "mixed dtype" on the CPU, and "expected scalar type" on a GPU and in older releases: some
    part of a model was cast, or made an output, in another dtype than the next. Cast that output, or call the
    model in :class:`torch.autocast`.

    See also :ref:`placement.dtype_casts.normalizations_of_bfloat16_with_float32_weights`
    """
    layer = copy.deepcopy(layer).bfloat16()
    x = torch.rand(2, 4, 4)

    for mode in (True, False):
        assert layer.train(mode)(x.bfloat16()).dtype is torch.bfloat16
        with pytest.raises(RuntimeError, match=r"mixed dtype|expected scalar type|must have the same dtype"):
            layer(x)


def test_a_norm_that_casts_its_input_needs_float32_weights():
    """After ``half()``, a ``LayerNorm`` subclass that passes on ``x.float()`` raises ``RuntimeError``.

    Models do that to normalize exactly, and it works until their weights are cast too. Cast the weights in
    the same place, or call the model in :class:`torch.autocast` in place of casting it. See
    :meth:`~torch.nn.Module.half`.
    """

    class Norm(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.float()).type(x.dtype)

    x = torch.tensor([[1.0, 3.0]], dtype=torch.float16)
    norm = Norm(2, eps=0.0)
    assert (norm(x).dtype, norm(x).tolist()) == (torch.float16, [[-1.0, 1.0]])

    norm.half()
    with pytest.raises(RuntimeError, match=r"mixed dtype|expected scalar type"):
        norm(x)
    weight, bias = norm.weight.float(), norm.bias.float()
    assert nn.functional.layer_norm(x.float(), (2,), weight, bias, 0.0).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2, 5)], ids=["1d", "2d"])
@pytest.mark.since("2.2")
def test_batch_norm_of_float32_trains_on_half_inputs(training, shape, device):
    """``BatchNorm`` in float32 takes half precision inputs; its weights get float32 gradients.

    The gradient of the input is of its own dtype. So it is in ``eval()`` too. A model cast by ``half()`` may
    keep its BatchNorm in float32, by ``float()`` on these layers afterwards.
    """
    norm = (nn.BatchNorm1d(3) if len(shape) == 2 else nn.BatchNorm2d(3)).to(device).train(training)

    for dtype in (torch.float16, torch.bfloat16):
        x = torch.rand(shape, device=device).to(dtype).requires_grad_()
        output = norm(x)
        output.pow(2).sum().backward()
        assert [output.dtype, x.grad.dtype, norm.weight.grad.dtype] == [dtype, dtype, torch.float32]


@pytest.mark.parametrize("layer", [nn.Linear(2, 3), nn.Conv1d(2, 3, 1)], ids=["Linear", "Conv1d"])
def test_float64_input_is_not_cast(layer):
    """``nn.Linear`` and ``nn.Conv1d`` in float32 raise ``RuntimeError`` for float64 input; they cast nothing.

    An array of NumPy or of pandas is float64 unless told otherwise: ``torch.from_numpy(x).float()`` fits, and
    so does ``double()`` of the network, which is slower. See also
    :ref:`placement.dtype_casts.inputs_must_have_the_dtype_of_the_weights`
    """
    x = torch.ones(1, 2, 2, dtype=torch.float64)

    with pytest.raises(
        RuntimeError, match=r"must have the same dtype|should be the same|expected scalar type"
    ):
        layer(x)
    assert layer(x.float()).dtype == torch.float32
