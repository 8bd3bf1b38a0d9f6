"""Which devices DataParallel takes: all, those named, and what unequal ones lead to.

:class:`~torch.nn.DataParallel` asks torch for the kind of accelerator, the indices of its devices and, of
GPUs, their memory and cores. Where the answers are made up, this shows without any GPU.
"""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.parallel import data_parallel


@pytest.mark.parametrize(
    ("weak", "told"),
    [((74, 100), 1), ((100, 74), 1), ((74, 74), 1), ((75, 75), 0)],
    ids=["memory", "cores", "both", "three quarters"],
)
def test_unequal_gpus_are_told(weak, told, monkeypatch):
    """:class:`~torch.nn.DataParallel` warns once of a GPU with less than 75 % of the memory or cores of
    another.

    The batch is cut into equal chunks, so the weakest GPU sets the pace: leave it out of ``device_ids``.
    """
    gpus = [
        SimpleNamespace(total_memory=m, multi_processor_count=c)
        for m, c in [(1, 1), (100, 100), weak, (90, 90)]
    ]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", gpus.__getitem__)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nn.DataParallel(nn.Linear(2, 3), device_ids=[3, 2, 3, 1])

    assert [warning.category for warning in caught] == [UserWarning] * told
    for warning in caught:
        assert "exclude GPU 2 which" in str(warning.message)
        assert "has less than 75% of the memory or cores of GPU 1." in str(warning.message)


@pytest.mark.since("2.3")
def test_other_devices_may_be_unequal(monkeypatch):
    """:class:`~torch.nn.DataParallel` compares CUDA GPUs alone, not devices of another kind such as XPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name, answer in {"is_available": True, "device_count": 2, "get_device_properties": None}.items():
        monkeypatch.setattr(torch.xpu, name, lambda *args, answer=answer: answer)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrapped = nn.DataParallel(nn.Linear(2, 3))

    assert wrapped.device_ids == [0, 1]
    assert wrapped.src_device_obj == torch.device("xpu", 0)


def test_the_output_goes_to_the_first_of_the_devices(monkeypatch):
    """``output_device`` of :class:`~torch.nn.DataParallel` is by default the first of its ``device_ids``."""
    gpu = SimpleNamespace(total_memory=1, multi_processor_count=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)

    assert nn.DataParallel(nn.Linear(2, 3), device_ids=[2, 1]).output_device == 2
    assert nn.DataParallel(nn.Linear(2, 3), device_ids=[torch.device("cuda:2"), 1]).output_device == 2
    assert nn.DataParallel(nn.Linear(2, 3)).output_device == 0
    assert nn.DataParallel(nn.Linear(2, 3), device_ids=[2, 1], output_device=0).output_device == 0


def test_mps_is_taken_for_no_accelerator(monkeypatch):
    """With MPS alone, :class:`~torch.nn.DataParallel` calls the module itself, as without an accelerator."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    net, x, called = nn.Identity(), torch.rand(4, 2), []
    net.register_forward_hook(lambda module, args, output: called.append(module))

    for wrapped in (nn.DataParallel(net), nn.DataParallel(net, device_ids=[0, 1])):
        assert wrapped.device_ids == []
        assert wrapped(x) is x
    assert called == [net, net]


@pytest.mark.needs("cuda")
def test_the_function_takes_every_device_by_default():
    """:func:`~torch.nn.parallel.data_parallel` runs on all devices by default, and gathers on the first."""
    net = nn.Linear(2, 3).cuda()
    x = torch.rand(4 * torch.cuda.device_count(), 2)
    seen = []
    net.register_forward_hook(lambda module, args, output: seen.append(args[0].device.index))

    output = data_parallel(net, x)

    assert sorted(seen) == list(range(torch.cuda.device_count()))
    assert output.device == torch.device("cuda", 0)
    torch.testing.assert_close(output, net(x.cuda()))


@pytest.mark.parametrize("devices", [[0], [0, 0]], ids=["one device", "two devices"])
@pytest.mark.needs("cuda")
def test_the_function_may_have_no_inputs(devices):
    """:func:`~torch.nn.parallel.data_parallel` with ``inputs=None`` calls the module once, without
    arguments.
    """
    net = nn.Identity()
    calls = []
    net.forward = lambda *args, **kwargs: calls.append((args, kwargs))

    assert data_parallel(net, None, device_ids=devices) is None
    assert calls == [((), {})]


@pytest.mark.parametrize("devices", [[0], [0, 0]], ids=["one device", "two devices"])
@pytest.mark.needs("cuda")
def test_the_function_may_have_named_inputs_only(devices):
    """:func:`~torch.nn.parallel.data_parallel` splits ``module_kwargs`` and passes them by name."""
    net = nn.Identity()
    net.forward = lambda *, x: 2 * x
    x = torch.arange(4.0)

    output = data_parallel(net, None, device_ids=devices, module_kwargs={"x": x})

    assert output.device == torch.device("cuda", 0)
    assert output.tolist() == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("devices", [[0], [0, 0]], ids=["one device", "two devices"])
@pytest.mark.needs("cuda")
def test_the_wrapper_may_have_named_inputs_only(devices):
    """:class:`~torch.nn.DataParallel` called with keyword arguments only splits them and passes them on by
    name.
    """
    net = nn.Identity()
    net.forward = lambda *, x: 2 * x
    x = torch.arange(4.0)

    assert nn.DataParallel(net, device_ids=devices)(x=x).tolist() == [0.0, 2.0, 4.0, 6.0]


def test_its_forward_has_a_name_in_a_profile(no_accelerator):
    """``torch.profiler`` lists a call of :class:`~torch.nn.DataParallel` as ``DataParallel.forward``."""
    wrapped = nn.DataParallel(nn.Linear(2, 3))

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        wrapped(torch.rand(4, 2))
        wrapped(torch.rand(4, 2))

    assert [event.name for event in profile.events()].count("DataParallel.forward") == 2
