"""Parameters and buffers that have no shape yet.

:class:`~torch.nn.parameter.UninitializedParameter` and :class:`~torch.nn.parameter.UninitializedBuffer` hold
the place of a tensor until its shape is known. Until then they have a device, a dtype and little else.
"""

import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


def test_materialize_makes_a_parameter():
    """``materialize`` gives an uninitialised parameter a shape: the same object is then a plain parameter.

    The method returns ``None``.
    """
    weight = UninitializedParameter()
    known_as = id(weight)

    result = weight.materialize((2, 3))

    assert (result, id(weight), type(weight)) == (None, known_as, nn.Parameter)
    assert (weight.shape, weight.dtype, weight.requires_grad) == ((2, 3), torch.float32, True)


def test_materialize_makes_a_tensor_of_a_buffer():
    """``materialize`` turns an uninitialised buffer into a plain tensor."""
    mean = UninitializedBuffer()

    mean.materialize((4,))

    assert (type(mean), mean.shape, mean.requires_grad) == (torch.Tensor, (4,), False)


def test_materialize_keeps_device_and_dtype(device):
    """``materialize`` keeps the device, dtype and ``requires_grad`` given before."""
    weight = UninitializedParameter(requires_grad=False, device=device, dtype=torch.float64)
    mean = UninitializedBuffer(device="meta")

    weight.materialize((2, 3))
    mean.materialize((4,))

    assert (weight.device.type, weight.dtype) == (torch.device(device).type, torch.float64)
    assert (weight.requires_grad, mean.device.type) == (False, "meta")


def test_materialize_takes_another_device_and_dtype(device):
    """``materialize`` takes another device and dtype as its second and third argument."""
    mean, weight = UninitializedBuffer(dtype=torch.float64), UninitializedParameter()

    mean.materialize((4,), device, torch.float16)
    weight.materialize((2, 3), dtype=torch.float64)

    assert (mean.device.type, mean.dtype) == (torch.device(device).type, torch.float16)
    assert (weight.device.type, weight.dtype) == ("cpu", torch.float64)


@pytest.mark.observed
def test_materialize_cannot_cross_to_meta():
    """``materialize`` raises ``RuntimeError`` if it is to take a tensor to or from the meta device."""
    mean, var = UninitializedBuffer(), UninitializedBuffer(device="meta")

    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        mean.materialize((4,), "meta")
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        var.materialize((4,), "cpu")

    assert [type(mean), type(var)] == [UninitializedBuffer, UninitializedBuffer]


def test_what_it_becomes_is_an_attribute_of_the_class():
    """What an uninitialised tensor becomes is the ``cls_to_become`` of its class.

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
    """An :class:`~torch.nn.UninitializedParameter` takes ``requires_grad``, ``device`` and ``dtype``, in this
    order.
    """
    weight = UninitializedParameter(False, "meta", torch.float16)

    assert (weight.requires_grad, weight.device.type, weight.dtype) == (False, "meta", torch.float16)


def test_an_uninitialized_parameter_by_default():
    """An :class:`~torch.nn.UninitializedParameter` is a parameter on the default device that requires a
    gradient.
    """
    weight = UninitializedParameter()

    assert isinstance(weight, nn.Parameter)
    assert (weight.requires_grad, weight.dtype, weight.device.type) == (True, torch.float32, "cpu")


def test_an_uninitialized_buffer_by_default():
    """An :class:`~torch.nn.UninitializedBuffer` is a tensor, no parameter, and requires no gradient."""
    mean = UninitializedBuffer()

    assert [isinstance(mean, kind) for kind in (torch.Tensor, nn.Parameter)] == [True, False]
    assert (mean.requires_grad, mean.dtype, mean.device.type) == (False, torch.float32, "cpu")


def test_arguments_of_an_uninitialized_buffer():
    """An :class:`~torch.nn.UninitializedBuffer` takes ``requires_grad``, ``device`` and ``dtype``, in this
    order.
    """
    mean = UninitializedBuffer(True, "meta", torch.float16)

    assert (mean.requires_grad, mean.device.type, mean.dtype) == (True, "meta", torch.float16)


@pytest.mark.since("2.5")
def test_an_uninitialized_buffer_is_assigned():
    """An assigned :class:`~torch.nn.UninitializedBuffer` is registered, persistent unless told otherwise."""
    net = nn.Module()

    net.mean, net.cache = UninitializedBuffer(), UninitializedBuffer(persistent=False)

    assert [name for name, _ in net.named_buffers()] == ["mean", "cache"]
    assert net._non_persistent_buffers_set == {"cache"}


@pytest.mark.before("2.5")
def test_an_uninitialized_buffer_must_be_registered():
    """An assigned :class:`~torch.nn.UninitializedBuffer` is a plain attribute; it is registered by name
    only.
    """
    net = nn.Module()

    net.mean = UninitializedBuffer()
    net.register_buffer("var", UninitializedBuffer())

    assert [name for name, _ in net.named_buffers()] == ["var"]


@pytest.mark.since("2.5")
@pytest.mark.observed
def test_a_materialized_buffer_stays_a_buffer():
    """A materialised buffer still passes for a :class:`~torch.nn.parameter.Buffer`, persistent as it was."""
    mean = UninitializedBuffer(persistent=False)

    mean.materialize((4,))

    assert (isinstance(mean, nn.Buffer), mean.persistent) == (True, False)


def test_is_lazy_tells_them_apart():
    """:func:`~torch.nn.parameter.is_lazy` is true for uninitialised tensors, and false for anything else."""
    weight = UninitializedParameter()
    values = [weight, UninitializedBuffer(), nn.Parameter(torch.rand(2)), torch.rand(2), 1.5]

    assert [nn.parameter.is_lazy(value) for value in values] == [True, True, False, False, False]
    weight.materialize((2,))
    assert nn.parameter.is_lazy(weight) is False


def test_it_prints_its_class_only():
    """An uninitialised tensor prints as the name of its class in angle brackets."""
    assert [repr(UninitializedParameter()), repr(UninitializedBuffer())] == [
        "<UninitializedParameter>",
        "<UninitializedBuffer>",
    ]


def test_it_has_no_shape():
    """Asking an uninitialised parameter for its shape raises a ``RuntimeError`` that names the usual
    causes.
    """
    with pytest.raises(RuntimeError) as caught:
        _ = UninitializedParameter().shape

    assert "Can't access the shape of an uninitialized parameter or buffer" in str(caught.value)
    assert "load_state_dict" in str(caught.value)
    assert "Call `forward` to initialize the parameters" in str(caught.value)


def test_it_cannot_be_shared():
    """Moving an uninitialised parameter to shared memory raises ``RuntimeError``."""
    with pytest.raises(
        RuntimeError, match=r"Can't share memory on an uninitialized parameter .*Call `forward`"
    ):
        UninitializedParameter().share_memory_()


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda t: t + 1, "<method 'add' of"),
        (lambda t: t.numel(), "<method 'numel' of"),
        (lambda t: t.detach(), "<method 'detach' of"),
        (lambda t: t.requires_grad_(False), "<method 'requires_grad_' of"),
        (lambda t: torch.zeros_like(t), "<built-in method zeros_like of"),
        (lambda t: nn.init.normal_(t), "<function normal_ at"),
    ],
    ids=["add", "numel", "detach", "requires_grad_", "zeros_like", "normal_"],
)
@pytest.mark.parametrize("kind", [UninitializedParameter, UninitializedBuffer], ids=["parameter", "buffer"])
def test_operations_fail(kind, operation, named):
    """An operation on an uninitialised tensor raises a ``ValueError`` that names the operation and the
    class.
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
    """An uninitialised tensor may be cast to floats of 16, 32 and 64 bits and to signed integers."""
    mean = UninitializedBuffer(dtype=torch.float32)

    assert getattr(mean, name)().dtype == dtype
    assert mean.dtype == torch.float32


def test_it_may_be_asked_where_and_what_it_is():
    """An uninitialised tensor may be moved, hashed, and asked for its kind and its device."""
    mean = UninitializedBuffer(dtype=torch.float64)

    assert (mean.to("meta").device.type, mean.to(dtype=torch.float16).dtype) == ("meta", torch.float16)
    assert (mean.cpu().device.type, mean.get_device(), mean.is_floating_point()) == ("cpu", -1, True)
    assert (hash(mean), mean.is_leaf) == (id(mean), True)
    assert (mean.size(), UninitializedParameter().size()) == ((0,), (0,))
    assert mean.copy_(torch.rand(0)) is mean


@pytest.mark.needs("cuda")
def test_it_may_be_moved_to_the_gpu():
    """An uninitialised tensor may be moved to the GPU with ``cuda()``."""
    assert UninitializedBuffer().cuda().device.type == "cuda"


@pytest.mark.since("2.3")
@pytest.mark.observed
def test_is_complex_is_allowed():
    """An uninitialised tensor may be asked whether it is complex."""
    kinds = [UninitializedParameter(dtype=dtype) for dtype in (torch.complex64, torch.float32)]

    assert [kind.is_complex() for kind in kinds] == [True, False]


@pytest.mark.before("2.3")
@pytest.mark.observed
def test_is_complex_was_forbidden():
    """Asking an uninitialised tensor whether it is complex raises ``ValueError``."""
    with pytest.raises(ValueError, match="uninitialized parameter in <method 'is_complex' of"):
        UninitializedParameter().is_complex()


def test_other_dtypes_are_forbidden():
    """``bfloat16()``, ``bool()`` and ``type()`` of an uninitialised tensor raise ``ValueError``."""
    mean = UninitializedBuffer()

    with pytest.raises(ValueError, match="<method 'bfloat16' of"):
        mean.bfloat16()
    with pytest.raises(ValueError, match="<method 'bool' of"):
        mean.bool()
    with pytest.raises(ValueError, match="<method 'type' of"):
        mean.type(torch.float64)


def test_a_module_moves_them(device):
    """:meth:`~torch.nn.Module.to` moves the uninitialised parameters and buffers of a module."""
    net = nn.Module()
    net.weight = weight = UninitializedParameter()
    net.register_buffer("mean", UninitializedBuffer())

    net.to(device, torch.float64)

    assert (net.weight is weight, type(net.mean)) == (True, UninitializedBuffer)
    assert [t.dtype for t in (net.weight, net.mean)] == [torch.float64, torch.float64]
    assert [t.device.type for t in (net.weight, net.mean)] == [torch.device(device).type] * 2
