"""Moving and casting with :meth:`~torch.nn.Module.to`.

It takes a device, a dtype, both, or a tensor to take them from, and changes the module in place.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.claim("N5-26")
def test_a_module_is_changed_in_place():
    """:meth:`~torch.nn.Module.to` changes the module itself and returns it."""
    layer = nn.Linear(2, 3)

    returned = layer.to(torch.float64)

    assert returned is layer
    assert (layer.weight.dtype, layer.bias.dtype) == (torch.float64, torch.float64)


@pytest.mark.claim("N5-26")
def test_a_tensor_is_copied():
    """:meth:`~torch.Tensor.to` of a tensor returns a copy and leaves the tensor as it was.

    The result has to be kept: ``x = x.to(device)``.
    """
    x = torch.tensor([1.5, 2.5])

    returned = x.to(torch.float64)

    assert (x.dtype, returned.dtype) == (torch.float32, torch.float64)
    assert returned is not x


def test_a_device_moves_parameters_and_buffers(device):
    """With a device, parameters and buffers at any depth are moved there; dtypes stay."""
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 2, dtype=torch.float16)), nn.BatchNorm1d(2))
    mean = net[1].running_mean.tolist()

    net.to(device)

    assert {t.device.type for t in net.state_dict().values()} == {device}
    assert [t.dtype for t in net.state_dict().values()] == [torch.float16] * 2 + [torch.float32] * 4 + [
        torch.int64
    ]
    assert net[1].running_mean.tolist() == mean


@pytest.mark.parametrize("given", ["meta", torch.device("meta")], ids=["text", "device"])
def test_a_device_may_be_a_text(given):
    """A device is given as a :class:`torch.device` or as its name."""
    assert nn.Linear(2, 3).to(given).weight.device == torch.device("meta")


def test_a_device_and_a_dtype():
    """Device and dtype may be given together, in this order or by keyword."""
    first = nn.Linear(2, 3).to("meta", torch.float64)
    second = nn.Linear(2, 3).to(dtype=torch.float64, device="meta")

    assert [(p.device.type, p.dtype) for net in (first, second) for p in net.parameters()] == [
        ("meta", torch.float64)
    ] * 4


@pytest.mark.parametrize("keyword", [False, True], ids=["position", "keyword"])
def test_a_tensor_gives_device_and_dtype(keyword):
    """With a tensor, the module takes the tensor's device and dtype."""
    like = torch.empty(1, dtype=torch.float64, device="meta")
    layer = nn.Linear(2, 3)

    returned = layer.to(tensor=like) if keyword else layer.to(like)

    assert returned is layer
    assert (layer.weight.device.type, layer.weight.dtype) == ("meta", torch.float64)


@pytest.mark.parametrize("given", [(), (None,)], ids=["nothing", "none"])
def test_nothing_given_changes_nothing(given):
    """Without arguments, or with ``None``, every parameter and buffer stays as it is."""
    norm = nn.BatchNorm1d(2)
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    assert norm.to(*given) is norm
    assert before == {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()}


def test_the_present_dtype_and_device_copy_nothing(device):
    """Asked for the dtype and device it has, the module keeps all its tensors."""
    norm = nn.BatchNorm1d(2, device=device, dtype=torch.float16)
    before = {key: (id(value), value.data_ptr()) for key, value in norm.state_dict(keep_vars=True).items()}

    norm.to(device, torch.float16)

    assert before == {key: (id(v), v.data_ptr()) for key, v in norm.state_dict(keep_vars=True).items()}


def test_integer_buffers_keep_their_dtype():
    """A dtype is applied to floating point tensors; integers and booleans are moved and not cast."""
    net = nn.Module()
    net.register_buffer("steps", torch.tensor([1, 2]))
    net.register_buffer("mask", torch.tensor([True, False]))
    net.register_buffer("mean", torch.tensor([0.5]))

    net.to("meta", torch.float64)

    assert {name: (b.device.type, b.dtype) for name, b in net.named_buffers()} == {
        "steps": ("meta", torch.int64),
        "mask": ("meta", torch.bool),
        "mean": ("meta", torch.float64),
    }


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_an_integer_dtype_is_refused(dtype):
    """An integer or boolean dtype raises a ``TypeError`` that names it, and nothing is cast."""
    layer = nn.Linear(2, 3)

    with pytest.raises(TypeError) as caught:
        layer.to(dtype)

    assert str(caught.value) == (
        f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
    )
    assert layer.weight.dtype == torch.float32


def test_an_unknown_device_is_refused():
    """An unknown name of a device raises a ``RuntimeError`` that lists the known ones."""
    with pytest.raises(RuntimeError, match=r"Expected one of cpu, cuda, .* device string: gpu"):
        nn.Linear(2, 3).to("gpu")


def test_a_copy_cannot_be_asked_for():
    """``copy=True``, which a tensor accepts, raises ``RuntimeError``: a module is never copied."""
    with pytest.raises(RuntimeError, match=r"\.to\(\) does not accept copy argument"):
        nn.Linear(2, 3).to("cpu", copy=True)


def test_a_dtype_is_no_text():
    """A dtype given as a text is taken for a device and refused."""
    with pytest.raises(RuntimeError, match="Invalid device string: 'float64'"):
        nn.Linear(2, 3).to("float64")


def test_a_memory_format_goes_by_keyword():
    """A memory format by position raises ``TypeError``; it goes by the keyword ``memory_format``."""
    with pytest.raises(TypeError, match=r"invalid combination of arguments - got .*memory_format"):
        nn.Conv2d(3, 5, 2).to(torch.channels_last)


@pytest.mark.observed
def test_the_type_float_means_double():
    """Python's own ``float`` stands for 64-bit floating point."""
    assert nn.Linear(2, 3).to(float).weight.dtype == torch.float64


@pytest.mark.observed
def test_how_each_tensor_is_moved():
    """Each tensor is asked ``to(device, dtype, non_blocking)``, with no dtype where it holds integers."""
    calls = []

    class Spy(torch.Tensor):
        def to(self, *args, **kwargs):
            calls.append((args, kwargs))
            return self

    net = nn.Module()
    net.register_buffer("mean", torch.tensor([0.5, 0.75]).as_subclass(Spy))
    net.register_buffer("steps", torch.tensor([1, 2]).as_subclass(Spy))
    net.to("meta", torch.float64, non_blocking=True)
    net.to(torch.float16)

    meta = torch.device("meta")
    assert calls == [
        ((meta, torch.float64, True), {}),
        ((meta, None, True), {}),
        ((None, torch.float16, False), {}),
        ((None, None, False), {}),
    ]


def test_complex_modules_warn():
    """A complex dtype casts the module, with a warning that complex modules are new.

    :issue:`46374` collects what is known of them.
    """
    layer = nn.Linear(2, 3)

    with pytest.warns(UserWarning, match="Complex modules are a new feature under active development"):
        layer.to(torch.complex64)

    assert layer.weight.dtype == torch.complex64
    assert layer(torch.ones(1, 2, dtype=torch.complex64)).dtype == torch.complex64


@pytest.mark.since("2.10")
@pytest.mark.observed
def test_the_complex_warning_names_the_caller():
    """The warning about complex modules names the line that called ``to``."""
    with pytest.warns(UserWarning, match="Complex modules are a new feature") as caught:
        nn.Linear(2, 3).to(torch.complex64)

    assert [warning.filename for warning in caught] == [__file__]


def test_a_real_dtype_does_not_warn():
    """A floating point dtype gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.BatchNorm1d(2).to(torch.bfloat16)

    assert caught == []


@pytest.mark.question("Q73")
def test_a_complex_module_becomes_real():
    """With a real dtype :meth:`~torch.nn.Module.to` casts complex parameters to it: the rest is lost."""
    net = nn.Module()
    net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j, 3.5 - 4.5j]))

    net.to(torch.float64)

    assert (net.phase.dtype, net.phase.tolist()) == (torch.float64, [1.5, 3.5])


@pytest.mark.question("Q73")
def test_losing_the_imaginary_part_warns():
    """Casting complex parameters to a real dtype warns that the imaginary part is discarded."""
    net = nn.Module()
    net.phase = nn.Parameter(torch.tensor([1.5 + 2.5j]))

    with pytest.warns(UserWarning, match="Casting complex values to real discards the imaginary part"):
        net.to(torch.float64)
