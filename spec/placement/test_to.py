"""Moving and casting with :meth:`~torch.nn.Module.to`.

It accepts a device, a dtype, both, or a tensor that has them, and changes the module in place.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-26")
def test_a_module_is_changed_in_place():
    """:meth:`Module.to() <torch.nn.Module.to>` changes the module in place and returns it.

    ``net.to(device)`` is enough, and who needs the old state has to copy it before.

    See also :ref:`placement.to.a_tensor_is_copied`
    """
    net = nn.Sequential(nn.PReLU(), nn.BatchNorm1d(3, affine=False))

    assert net.to(torch.float64) is net
    assert [t.dtype for t in net.state_dict().values()] == [torch.float64] * 3 + [torch.int64]

    assert net.to("meta") is net
    assert [t.device.type for t in net.state_dict().values()] == ["meta"] * 4


@pytest.mark.claim("N5-26")
def test_a_tensor_is_copied():
    """:meth:`Tensor.to() <torch.Tensor.to>` with another dtype returns a copy and leaves the tensor
    unchanged, unlike ``Module.to``.

    The result has to be kept: ``x = x.to(device)``. Where nothing changes, it is the tensor itself.

    See also :ref:`placement.to.a_module_is_changed_in_place`
    """
    x = torch.tensor([1.5, 2.5])

    returned = x.to(torch.float64)

    assert returned is not x
    assert returned.dtype == torch.float64
    assert x.dtype == torch.float32
    assert x.to(torch.float32) is x


def test_a_device_moves_parameters_and_buffers(device):
    """``Module.to(device)`` moves parameters and buffers at any depth and keeps their dtypes.

    Inputs are not moved with the module, nor are plain tensors among its attributes.
    """
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2, dtype=torch.float16)), nn.BatchNorm1d(2))
    net[0].register_buffer("scale", torch.tensor([1.5, 2.5]), persistent=False)
    net.plain = torch.rand(2)

    net.to(device)
    assert net[0].scale.tolist() == [1.5, 2.5]

    for place in (device, "meta"):
        net.to(place)
        assert {t.device.type for t in [*net.parameters(), *net.buffers()]} == {place}
        assert [p.dtype for p in net.parameters()] == [torch.float16] * 2 + [torch.float32] * 2
        assert [b.dtype for b in net.buffers()] == [torch.float32] * 3 + [torch.int64]
        assert net.plain.device.type == "cpu"
    with pytest.raises(RuntimeError, match="Tensor on device"):
        net(torch.rand(4, 2, dtype=torch.float16))


@pytest.mark.parametrize("given", ["meta", torch.device("meta")], ids=["text", "device"])
def test_a_device_may_be_a_text(given):
    """``Module.to`` accepts a device as a :class:`torch.device` or as a string such as ``"meta"``."""
    assert nn.Linear(2, 3).to(given).weight.device == torch.device("meta")
    assert nn.Linear(2, 3).to(device=given).weight.device == torch.device("meta")


def test_a_device_and_a_dtype():
    """``Module.to`` accepts a device and a dtype together: ``to(device, dtype)`` or by keyword."""
    first = nn.BatchNorm1d(2).to("meta", torch.float64)
    second = nn.BatchNorm1d(2).to(dtype=torch.float64, device="meta")

    for tensors in (first.state_dict().values(), second.state_dict().values()):
        assert [t.device.type for t in tensors] == ["meta"] * 5
        assert [t.dtype for t in tensors] == [torch.float64] * 4 + [torch.int64]


def test_a_tensor_gives_device_and_dtype():
    """``Module.to(tensor)`` gives the module the device and dtype of the tensor."""
    like = torch.empty(1, dtype=torch.float64, device="meta")
    first, second = nn.BatchNorm1d(2), nn.BatchNorm1d(2)

    assert first.to(nn.Parameter(like)) is first
    assert second.to(tensor=like) is second
    for tensors in (first.state_dict().values(), second.state_dict().values()):
        assert [t.device.type for t in tensors] == ["meta"] * 5
        assert [t.dtype for t in tensors] == [torch.float64] * 4 + [torch.int64]


@pytest.mark.parametrize("given", [(), (None,)], ids=["nothing", "none"])
def test_nothing_given_changes_nothing(given):
    """``Module.to()`` without arguments, or with ``None``, changes no parameter or buffer."""
    net = nn.Sequential(nn.BatchNorm1d(2, dtype=torch.float64))
    before = {key: (id(value), value.data_ptr()) for key, value in net.state_dict(keep_vars=True).items()}

    assert net.to(*given) is net
    assert net.to(device=None, dtype=None) is net
    assert before == {key: (id(v), v.data_ptr()) for key, v in net.state_dict(keep_vars=True).items()}


def test_the_present_dtype_and_device_copy_nothing():
    """``Module.to``, ``cpu()`` and ``float()`` copy nothing if the module has that device and dtype already.

    A move that may be needless costs next to nothing.
    """
    norm = nn.BatchNorm1d(2)
    norm.weight.grad = torch.rand(2)
    grad, place = norm.weight.grad, norm.weight.grad.data_ptr()
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    norm.to("cpu", torch.float32)
    norm.cpu()
    norm.float()

    assert {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()} == before
    assert norm.weight.grad is grad
    assert grad.data_ptr() == place


def test_integer_buffers_keep_their_dtype():
    """``Module.to(device, dtype)`` moves integer and boolean buffers but does not cast them."""
    net = nn.Module()
    net.register_buffer("steps", torch.tensor([1, 2]))
    net.register_buffer("mask", torch.tensor([True, False]))
    net.register_buffer("mean", torch.tensor([0.5]))
    net.register_buffer("order", torch.tensor([1, 0], dtype=torch.uint8), persistent=False)

    net.to("meta", torch.float64)

    assert {name: (b.device.type, b.dtype) for name, b in net.named_buffers()} == {
        "steps": ("meta", torch.int64),
        "mask": ("meta", torch.bool),
        "mean": ("meta", torch.float64),
        "order": ("meta", torch.uint8),
    }


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_an_integer_dtype_is_refused(dtype):
    """``Module.to`` raises ``TypeError`` for an integer or boolean dtype, and casts nothing."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes") as caught:
        net.to(dtype)
    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        net.to(torch.ones(2, dtype=dtype, device="meta"))

    assert str(caught.value) == (
        f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
    )
    assert [(p.device.type, p.dtype) for p in net.parameters()] == [("cpu", torch.float32)] * 2


def test_an_unknown_device_is_refused():
    """``Module.to("gpu")`` raises ``RuntimeError`` for the unknown device and lists the known ones."""
    message = r"Expected one of cpu, cuda, .* device string: gpu"
    with pytest.raises(RuntimeError, match=message):
        nn.Linear(2, 3).to("gpu")
    with pytest.raises(RuntimeError, match=message):
        nn.Linear(2, 3).to(device="gpu", dtype=torch.float64)


def test_a_copy_cannot_be_asked_for():
    """``Module.to(copy=True)`` raises ``RuntimeError``, although ``Tensor.to(copy=True)`` works.

    A module is never copied by a move: use ``copy.deepcopy(net).to(device)``.
    """
    x = torch.rand(2)

    for given in ("cpu", torch.float64, x):
        with pytest.raises(RuntimeError, match=r"\.to\(\) does not accept copy argument"):
            nn.Linear(2, 3).to(given, copy=True)
    assert x.to("cpu", copy=True).data_ptr() != x.data_ptr()


def test_a_dtype_is_no_text():
    """``Module.to("float64")`` reads the string as a device and raises ``RuntimeError``."""
    with pytest.raises(RuntimeError, match="Invalid device string: 'float64'"):
        nn.Linear(2, 3).to("float64")


def test_a_memory_format_goes_by_keyword():
    """``Module.to(torch.channels_last)`` raises ``TypeError``: it has to be passed as ``memory_format=``."""
    conv = nn.Conv2d(3, 5, 2)

    with pytest.raises(TypeError, match=r"invalid combination of arguments - got .*memory_format"):
        conv.to(torch.channels_last)
    assert conv.to(memory_format=torch.channels_last).weight.stride() == (12, 1, 6, 3)


def test_the_type_float_means_double():
    """``Module.to(float)`` with Python's ``float`` casts to ``torch.float64``."""
    for layer in (nn.Linear(2, 3).to(float), nn.Linear(2, 3).to(dtype=float)):
        assert [p.dtype for p in layer.parameters()] == [torch.float64, torch.float64]


def test_how_each_tensor_is_moved():
    """``Module.to`` calls ``to(device, dtype, non_blocking)`` on each tensor, without a dtype for
    integers.
    """
    calls = []

    class Spy(torch.Tensor):
        def to(self, *args, **kwargs):
            calls.append((args, kwargs))
            return self

    net = nn.Module()
    net.scale = nn.Parameter(torch.tensor([2.0 + 3.0j]).as_subclass(Spy))
    net.register_buffer("mean", torch.tensor([0.5, 0.75]).as_subclass(Spy))
    net.register_buffer("steps", torch.tensor([1, 2]).as_subclass(Spy))
    net.to("meta", torch.float64, non_blocking=True)
    net.to(torch.float16)

    meta = torch.device("meta")
    assert calls == [
        ((meta, torch.float64, True), {}),
        ((meta, torch.float64, True), {}),
        ((meta, None, True), {}),
        ((None, torch.float16, False), {}),
        ((None, torch.float16, False), {}),
        ((None, None, False), {}),
    ]


def test_complex_modules_warn():
    """``Module.to(torch.complex64)`` casts the module and warns that complex modules are a new feature.

    :issue:`46374` collects what is known of them.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    layer.register_buffer("mean", torch.tensor([0.5]))

    message = "^Complex modules are a new feature under active development"
    with pytest.warns(UserWarning, match=message):
        layer.to(torch.complex64)
    with pytest.warns(UserWarning, match=message):
        layer.to("cpu", torch.complex64)

    assert [layer.weight.dtype, layer.mean.dtype] == [torch.complex64, torch.complex64]
    assert layer(torch.tensor([[1 + 2j, 5 + 7j]])).tolist() == [[18 + 27j]]


@pytest.mark.since("2.10")
def test_the_complex_warning_names_the_caller():
    """The warning of ``Module.to`` about complex modules names the file of the caller."""
    with pytest.warns(UserWarning, match="Complex modules are a new feature") as caught:
        nn.Linear(2, 3).to(torch.complex64)

    assert [warning.filename for warning in caught] == [__file__]


def test_a_real_dtype_does_not_warn():
    """``Module.to`` with a floating point dtype such as ``bfloat16`` does not warn if no parameter is
    complex.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        norm = nn.BatchNorm1d(2).to(torch.float16).to(torch.float64).to(torch.float32).to(torch.bfloat16)

    assert caught == []
    assert norm.weight.dtype == torch.bfloat16


@pytest.mark.question("Q73")
def test_a_complex_module_becomes_real():
    """``Module.to(torch.float64)`` casts complex parameters too and discards their imaginary parts.

    :meth:`~torch.nn.Module.double` and the other casts do not change them.
    """
    net = nn.Module()
    net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j, 3.5 - 4.5j]))
    net.fine = nn.Parameter(torch.tensor([5.5 + 6.5j], dtype=torch.complex128))

    net.double().float().half().bfloat16()
    assert [p.tolist() for p in net.parameters()] == [[1.5 + 2.5j, 3.5 - 4.5j], [5.5 + 6.5j]]

    net.to(torch.float64)
    assert [p.dtype for p in net.parameters()] == [torch.float64] * 2
    assert [p.tolist() for p in net.parameters()] == [[1.5, 3.5], [5.5]]


@pytest.mark.question("Q73")
def test_losing_the_imaginary_part_warns():
    """``Module.to(torch.float64)`` warns that it discards the imaginary part of complex parameters."""
    for given in ([torch.float64], ["cpu", torch.float64]):
        net = nn.Module()
        net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j]))

        with pytest.warns(UserWarning, match="Casting complex values to real discards the imaginary part"):
            net.to(*given)

        assert net.phase.dtype == torch.float64
        assert net.phase.tolist() == [1.5]


def test_a_frozen_integer_parameter_is_moved_and_not_cast():
    """``Module.to(device, dtype)`` moves a parameter of integers and keeps its dtype."""
    net = nn.Module()
    net.steps = nn.Parameter(torch.tensor([3, 5]), requires_grad=False)
    net.mask = nn.Parameter(torch.tensor([True, False]), requires_grad=False)
    net.scale = nn.Parameter(torch.tensor([2.0]))

    net.to("meta", torch.float64)

    assert [(p.device.type, p.dtype) for p in net.parameters()] == [
        ("meta", torch.int64),
        ("meta", torch.bool),
        ("meta", torch.float64),
    ]


def test_a_module_has_no_device_of_its_own():
    """A module has no ``device`` and no ``dtype``: ask a parameter, as ``next(net.parameters()).device``.

    Its tensors may lie on several devices. A module without parameters and buffers has none: a model that
    asks keeps an empty non-persistent buffer for it.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, device="meta", dtype=torch.float64), nn.ReLU())

    for module in (net, net[0], net[2]):
        for name in ("device", "dtype"):
            with pytest.raises(AttributeError, match=f"object has no attribute '{name}'"):
                getattr(module, name)

    assert next(net.parameters()).device == torch.device("cpu")
    assert next(net.parameters()).dtype == torch.float32
    assert [next(layer.parameters()).device.type for layer in net[:2]] == ["cpu", "meta"]
    assert next(net[2].parameters(), None) is None


def test_a_to_of_a_submodule_is_not_called():
    """``Module.to`` of a network does not call a ``to`` that a submodule overrides, and converts it.

    Neither does ``half()`` or ``cuda()``. What they all reach is ``_apply``: see
    :ref:`placement.identity.a_submodule_may_convert_itself`.
    """
    calls = []

    class Fixed(nn.Linear):
        def to(self, *args, **kwargs):
            calls.append(args)
            return self

    net = nn.Sequential(Fixed(2, 3))
    net.to(torch.float64)

    assert [calls, net[0].weight.dtype] == [[], torch.float64]
    net.half().double()
    assert net[0].to(torch.float32).weight.dtype is torch.float64
    assert calls == [(torch.float32,)]


def test_a_layer_assigned_later_stays_where_it_was_made():
    """A layer assigned to a module after ``Module.to`` keeps its own device and dtype.

    A new head on a model that was moved to the GPU stays on the CPU: the next call raises for tensors on two
    devices, or of two dtypes in :class:`torch.autocast`. Replace layers first, or call ``to`` once more.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).to("meta", torch.float64)
    net[1] = nn.Linear(3, 5)

    assert [(p.device.type, p.dtype) for p in net.parameters()] == [
        ("meta", torch.float64),
        ("meta", torch.float64),
        ("cpu", torch.float32),
        ("cpu", torch.float32),
    ]
