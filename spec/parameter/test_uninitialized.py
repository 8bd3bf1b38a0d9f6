"""Parameters and buffers that have no shape yet.

:class:`~torch.nn.parameter.UninitializedParameter` and :class:`~torch.nn.parameter.UninitializedBuffer` hold
the place of a tensor until its shape is known. Until then they have a device, a dtype and little else.
"""

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


def test_materialize_makes_a_parameter():
    """``UninitializedParameter.materialize(shape)`` turns the object itself into an ``nn.Parameter``.

    The parameter's values are arbitrary: fill it afterwards. The method returns ``None``.
    """
    weight = UninitializedParameter()

    result = weight.materialize((2, 3))

    assert result is None
    assert type(weight) is nn.Parameter
    assert weight.shape == (2, 3)
    assert weight.requires_grad is True


def test_materialize_makes_a_tensor_of_a_buffer():
    """``UninitializedBuffer.materialize(shape)`` turns the object itself into a plain ``torch.Tensor``."""
    mean = UninitializedBuffer()

    mean.materialize((4,))

    assert type(mean) is torch.Tensor
    assert (mean.shape, mean.requires_grad) == ((4,), False)


def test_materialize_keeps_device_and_dtype(device):
    """``UninitializedParameter.materialize(shape)`` keeps the device, dtype and ``requires_grad`` of the
    object.
    """
    weight = UninitializedParameter(requires_grad=False, device=device, dtype=torch.float64)
    other = UninitializedParameter(device="meta", dtype=torch.float16)

    weight.materialize((2, 3))
    other.materialize((4,))

    assert (weight.device.type, weight.dtype) == (torch.device(device).type, torch.float64)
    assert (other.device.type, other.dtype) == ("meta", torch.float16)
    assert [weight.requires_grad, other.requires_grad] == [False, True]


def test_materialize_takes_another_device_and_dtype(device):
    """``UninitializedBuffer.materialize(shape, device, dtype)`` uses the given device and dtype.

    Any dtype: a buffer may become one of integers.
    """
    mean, weight = UninitializedBuffer(dtype=torch.float64), UninitializedParameter()
    steps = UninitializedBuffer()

    mean.materialize((4,), device, torch.float16)
    steps.materialize((4,), dtype=torch.int64)
    weight.materialize((2, 3), dtype=torch.float64)

    assert (mean.device.type, mean.dtype) == (torch.device(device).type, torch.float16)
    assert (weight.device.type, weight.dtype) == ("cpu", torch.float64)
    assert (steps.device.type, steps.dtype) == ("cpu", torch.int64)
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        UninitializedBuffer().materialize((4,), "meta")


def test_materialize_cannot_cross_to_meta():
    """``UninitializedBuffer.materialize`` to or from the meta device raises ``RuntimeError``."""
    mean, var = UninitializedBuffer(), UninitializedBuffer(device="meta")

    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        mean.materialize((4,), "meta")
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        var.materialize((4,), "cpu")

    assert [type(mean), type(var)] == [UninitializedBuffer, UninitializedBuffer]


def test_what_it_becomes_is_an_attribute_of_the_class():
    """``UninitializedParameter.materialize`` changes the class of the object to ``cls_to_become``.

    :attr:`UninitializedParameter.cls_to_become <torch.nn.UninitializedParameter.cls_to_become>` is
    :class:`~torch.nn.parameter.Parameter`, :attr:`UninitializedBuffer.cls_to_become
    <torch.nn.UninitializedBuffer.cls_to_become>` is :class:`torch.Tensor`.
    """

    class Scale(nn.Parameter):
        pass

    class UninitializedScale(UninitializedParameter):
        cls_to_become = Scale

    scale = UninitializedScale()
    scale.materialize((2,))

    assert type(scale) is Scale
    assert UninitializedParameter.cls_to_become is nn.Parameter
    assert UninitializedBuffer.cls_to_become is torch.Tensor


def test_its_arguments_are_requires_grad_device_dtype():
    """The arguments of :class:`~torch.nn.UninitializedParameter` are ``requires_grad``, ``device`` and
    ``dtype``, in this order.
    """
    weight = UninitializedParameter(False, "meta", torch.float16)

    assert (weight.requires_grad, weight.device.type, weight.dtype) == (False, "meta", torch.float16)


def test_an_uninitialized_parameter_by_default():
    """An :class:`~torch.nn.UninitializedParameter` is an ``nn.Parameter`` and has ``requires_grad=True``
    by default.
    """
    weight = UninitializedParameter()

    for parameter in (weight, UninitializedParameter(dtype=torch.float64, device="meta")):
        assert isinstance(parameter, nn.Parameter)
        assert parameter.requires_grad is True
    assert (weight.dtype, weight.device.type) == (torch.float32, "cpu")
    weight.materialize((2, 3))
    assert (type(weight), weight.requires_grad) == (nn.Parameter, True)


def test_an_uninitialized_buffer_by_default():
    """An :class:`~torch.nn.UninitializedBuffer` is not an ``nn.Parameter`` and has ``requires_grad=False``
    by default.
    """
    mean = UninitializedBuffer()

    assert isinstance(mean, torch.Tensor)
    assert isinstance(mean, nn.Parameter) is False
    assert mean.requires_grad is False
    assert (mean.dtype, mean.device.type) == (torch.float32, "cpu")


def test_arguments_of_an_uninitialized_buffer():
    """The first arguments of :class:`~torch.nn.UninitializedBuffer` are ``requires_grad``, ``device`` and
    ``dtype``, in this order.
    """
    mean = UninitializedBuffer(True, "meta", torch.float16)

    assert (mean.requires_grad, mean.device.type, mean.dtype) == (True, "meta", torch.float16)


@pytest.mark.since("2.5")
def test_an_uninitialized_buffer_is_assigned():
    """Assigning an :class:`~torch.nn.UninitializedBuffer` to a module registers it as a buffer, persistent
    by default.
    """
    net = nn.Module()

    net.mean, net.cache = UninitializedBuffer(), UninitializedBuffer(persistent=False)

    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    assert net._non_persistent_buffers_set == {"cache"}


@pytest.mark.before("2.5")
def test_an_uninitialized_buffer_must_be_registered():
    """Assigning an :class:`~torch.nn.UninitializedBuffer` to a module does not register it;
    ``register_buffer`` does.
    """
    net = nn.Module()

    net.mean = UninitializedBuffer()
    net.register_buffer("var", UninitializedBuffer())

    assert [name for name, _ in net.named_buffers()] == ["var"]


@pytest.mark.since("2.5")
def test_a_materialized_buffer_stays_a_buffer():
    """After ``materialize`` an ``UninitializedBuffer`` is an ``nn.Buffer`` and keeps ``persistent``."""
    mean, cache = UninitializedBuffer(), UninitializedBuffer(persistent=False)

    mean.materialize((4,))
    cache.materialize((4,))

    assert [isinstance(mean, nn.Buffer), isinstance(cache, nn.Buffer)] == [True, True]
    assert [mean.persistent, cache.persistent] == [True, False]


def test_is_lazy_tells_them_apart():
    """``torch.nn.parameter.is_lazy`` is true only for an ``UninitializedParameter`` or
    ``UninitializedBuffer``.

    So a loop that counts or fills parameters can skip those without a shape.
    """

    class UninitializedScale(UninitializedParameter):
        pass

    weight = UninitializedParameter()
    values = [weight, UninitializedBuffer(), UninitializedScale(), nn.Parameter(torch.rand(2)), torch.rand(2)]

    assert [nn.parameter.is_lazy(value) for value in values] == [True, True, True, False, False]
    assert nn.parameter.is_lazy(1.5) is False

    weight.materialize((2,))

    assert nn.parameter.is_lazy(weight) is False


def test_it_prints_its_class_only():
    """``repr`` of an ``UninitializedParameter`` or ``UninitializedBuffer`` is its class name in angle
    brackets.
    """

    class UninitializedScale(UninitializedParameter):
        pass

    for dtype in (torch.float32, torch.float64):
        assert repr(UninitializedParameter(False, dtype=dtype)) == "<UninitializedParameter>"
        assert repr(UninitializedBuffer(device="meta", dtype=dtype)) == "<UninitializedBuffer>"
    assert repr(UninitializedScale()) == "<UninitializedScale>"


def test_it_has_no_shape():
    """Accessing ``shape`` of an ``UninitializedParameter`` raises ``RuntimeError``, which says to call
    ``forward``.

    The error comes up when a lazy module's state is loaded into an ordinary one, or when the shapes of a
    network are printed before its first call.
    """
    message = "Can't access the shape of an uninitialized .*`load_state_dict`.*Call `forward` to initialize"

    with pytest.raises(RuntimeError, match=message):
        _ = UninitializedParameter().shape
    with pytest.raises(RuntimeError, match=message):
        _ = UninitializedBuffer().shape
    with pytest.raises(RuntimeError, match=message):
        nn.Linear(5, 3).load_state_dict(nn.LazyLinear(3).state_dict())


def test_it_cannot_be_shared():
    """``share_memory_()`` of an ``UninitializedParameter`` or ``UninitializedBuffer`` raises
    ``RuntimeError``.
    """
    with pytest.raises(RuntimeError, match=r"Can't share memory on an uninitialized .*Call `forward`"):
        UninitializedParameter().share_memory_()
    with pytest.raises(RuntimeError, match=r"Can't share memory on an uninitialized .*Call `forward`"):
        UninitializedBuffer().share_memory_()


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda t: t + 1, "<method 'add' of"),
        (lambda t: t * 2, "<method 'mul' of"),
        (lambda t: t.sum(), "<method 'sum' of"),
        (lambda t: t.numel(), "<method 'numel' of"),
        (lambda t: t.detach(), "<method 'detach' of"),
        (lambda t: t.requires_grad_(False), "<method 'requires_grad_' of"),
        (lambda t: torch.zeros_like(t), "<built-in method zeros_like of"),
        (lambda t: nn.init.normal_(t), "<function normal_ at"),
    ],
    ids=["add", "mul", "sum", "numel", "detach", "requires_grad_", "zeros_like", "normal_"],
)
@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer], ids=["parameter", "buffer"])
def test_operations_fail(kind, operation, named):
    """Most operations on an ``UninitializedParameter`` raise a ``ValueError`` that names the operation.

    So do those on an ``UninitializedBuffer``. Call the module with a dummy batch first. Casts, moves and
    a few queries are allowed: see the clauses below.
    """
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in") as caught:
        operation(kind())

    assert named in str(caught.value)
    assert f"explicitly manipulating `torch.nn.parameter.{kind.__name__}`" in str(caught.value)
    assert "Call `forward` with a dummy batch" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("half", torch.float16),
        ("float", torch.float32),
        ("double", torch.float64),
        ("char", torch.int8),
        ("short", torch.int16),
        ("int", torch.int32),
        ("long", torch.int64),
    ],
)
def test_dtypes_may_be_changed(name, dtype):
    """``half()``, ``float()``, ``double()`` and signed integer casts work on an ``UninitializedBuffer``."""
    mean = UninitializedBuffer(dtype=torch.bfloat16)

    assert getattr(mean, name)().dtype == dtype
    assert mean.dtype == torch.bfloat16


def test_it_may_be_asked_where_and_what_it_is():
    """``to()``, ``cpu()``, ``get_device()`` and ``is_floating_point()`` work on an ``UninitializedBuffer``.

    ``size()`` answers as well, with ``(0,)``, where ``shape`` raises; ``hash``, ``is_leaf`` and an empty
    ``copy_`` do too.
    """
    mean = UninitializedBuffer(dtype=torch.float64)

    assert mean.to("meta").device.type == "meta"
    assert mean.to(dtype=torch.float16).dtype == torch.float16
    assert UninitializedBuffer(device="cpu").cpu().device.type == "cpu"
    assert mean.get_device() == -1
    assert [mean.is_floating_point(), UninitializedBuffer(dtype=torch.int64).is_floating_point()] == [
        True,
        False,
    ]
    assert [mean.size(), UninitializedParameter().size()] == [(0,), (0,)]
    assert (hash(mean), mean.is_leaf) == (id(mean), True)
    assert mean.copy_(torch.rand(0)) is mean


@pytest.mark.needs("cuda")
def test_it_may_be_moved_to_the_gpu():
    """An ``UninitializedBuffer`` can be moved to the GPU with ``cuda()``."""
    assert UninitializedBuffer().cuda().device.type == "cuda"


@pytest.mark.since("2.3")
def test_is_complex_is_allowed():
    """``UninitializedParameter.is_complex()`` returns whether the parameter's dtype is complex."""
    kinds = [UninitializedParameter(dtype=dtype) for dtype in (torch.complex64, torch.float32)]

    assert [kind.is_complex() for kind in kinds] == [True, False]


@pytest.mark.before("2.3")
def test_is_complex_was_forbidden():
    """``UninitializedParameter.is_complex()`` raises ``ValueError``."""
    with pytest.raises(ValueError, match="uninitialized parameter in <method 'is_complex' of"):
        UninitializedParameter().is_complex()


def test_other_dtypes_are_forbidden():
    """``bfloat16()``, ``bool()`` and ``type()`` of an ``UninitializedBuffer`` raise ``ValueError``.

    Use ``to(torch.bfloat16)``, or cast the whole module.
    """
    mean = UninitializedBuffer()

    with pytest.raises(ValueError, match="<method 'bfloat16' of"):
        mean.bfloat16()
    with pytest.raises(ValueError, match="<method 'bool' of"):
        mean.bool()
    with pytest.raises(ValueError, match="<method 'type' of"):
        mean.type(torch.float64)

    net = nn.Module()
    net.register_buffer("mean", mean)
    assert mean.to(torch.bfloat16).dtype == torch.bfloat16
    assert net.to(torch.bfloat16).mean.dtype == torch.bfloat16


def test_a_module_moves_them(device):
    """:meth:`Module.to <torch.nn.Module.to>` casts and moves ``UninitializedParameter`` and
    ``UninitializedBuffer`` objects too.

    On the meta device an ``UninitializedParameter`` becomes an ``nn.Parameter`` without elements.
    """
    net = nn.Module()
    net.weight = weight = UninitializedParameter()
    net.register_buffer("mean", UninitializedBuffer())

    nn.Sequential(net).to(device, torch.float64)

    assert net.weight is weight
    assert type(net.mean) is UninitializedBuffer
    assert [t.dtype for t in (net.weight, net.mean)] == [torch.float64, torch.float64]
    assert [t.device.type for t in (net.weight, net.mean)] == [torch.device(device).type] * 2

    net.to("meta")

    assert [t.device.type for t in (net.weight, net.mean)] == ["meta", "meta"]
    assert [type(net.weight), type(net.mean)] == [nn.Parameter, UninitializedBuffer]
