"""Modules on the meta device: shapes without values.

A module on the meta device takes no memory. It is given values by :meth:`~torch.nn.Module.to_empty` and
loading, or by loading with ``assign=True``.
"""

import warnings

import pytest
import torch
from torch import nn


def test_a_module_without_values():
    """Inside ``torch.device("meta")`` a module is built with shapes and dtypes and without values."""
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    assert {t.device.type for t in net.state_dict().values()} == {"meta"}
    assert (net[0].weight.shape, net[0].weight.is_meta) == ((3, 2), True)


def test_a_huge_module_costs_nothing():
    """A module on the meta device may be larger than any memory."""
    layer = nn.Linear(10**7, 10**7, device="meta")

    assert sum(p.numel() for p in layer.parameters()) == 10**14 + 10**7


def test_a_meta_module_computes_shapes():
    """A module on the meta device maps the shape of its input to that of its output."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4, 8), nn.ReLU(), nn.Linear(8, 5)).to("meta")

    output = net(torch.empty(7, 3, 4, device="meta"))

    assert (output.shape, output.device.type) == ((7, 5), "meta")


def test_a_meta_module_refuses_real_input():
    """A linear layer on the meta device refuses an input that has values."""
    with pytest.raises(RuntimeError, match="Tensor on device meta is not on the expected device cpu"):
        nn.Linear(2, 3, device="meta")(torch.rand(4, 2))


@pytest.mark.parametrize("cast", ["double", "half"])
def test_a_meta_module_can_be_cast(cast):
    """A module on the meta device can be cast, and its parameters stay the same objects."""
    layer = nn.Linear(2, 3, device="meta")
    weight = layer.weight

    getattr(layer, cast)()

    assert layer.weight is weight
    assert (weight.device.type, weight.dtype) == ("meta", getattr(torch, cast))


@pytest.mark.question("Q75")
def test_there_is_nothing_to_copy():
    """Moving a module off the meta device raises ``NotImplementedError``: there is no data to copy."""
    layer = nn.Linear(2, 3, device="meta")

    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
        layer.to("cpu")

    assert layer.weight.device.type == "meta"


@pytest.mark.question("Q75")
@pytest.mark.since("2.3")
def test_the_error_recommends_to_empty():
    """The error of ``to`` from the meta device recommends :meth:`~torch.nn.Module.to_empty`.

    It does so since torch 2.3 (:issue:`119293`, :pull:`119353`).
    """
    with pytest.raises(NotImplementedError) as caught:
        nn.Linear(2, 3, device="meta").to("cpu")

    assert str(caught.value) == (
        "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
        "torch.nn.Module.to() when moving module from meta to a different device."
    )
    assert caught.value.__suppress_context__ is True


@pytest.mark.question("Q75")
@pytest.mark.observed
def test_cpu_gives_the_bare_error():
    """``cpu()`` on a module on the meta device gives the error without a recommendation."""
    with pytest.raises(NotImplementedError) as caught:
        nn.Linear(2, 3, device="meta").cpu()

    assert str(caught.value) == "Cannot copy out of meta tensor; no data!"


@pytest.mark.since("2.15")
@pytest.mark.observed
def test_the_recommendation_comes_before_a_trace():
    """Where the error goes on, with a trace of C++ say, the recommendation stands before that.

    Up to torch 2.14 it was then left out (:pull:`191151`).
    """

    class Meta(torch.Tensor):
        def to(self, *args, **kwargs):
            raise NotImplementedError("Cannot copy out of meta tensor; no data! (at Copy.cpp)")

    net = nn.Module()
    net.register_buffer("mean", torch.rand(2).as_subclass(Meta))

    with pytest.raises(
        NotImplementedError, match=r"^Cannot copy .* no data! Please use .* device\. \(at Copy"
    ):
        net.to("cpu")


def test_other_errors_pass_through():
    """Another ``NotImplementedError`` of a tensor comes through ``to`` unchanged."""
    error = NotImplementedError("no such device, no data!")

    class Stuck(torch.Tensor):
        def to(self, *args, **kwargs):
            raise error

    net = nn.Module()
    net.register_buffer("mean", torch.rand(2).as_subclass(Stuck))

    with pytest.raises(NotImplementedError) as caught:
        net.to("cpu")

    assert caught.value is error


def test_to_empty_makes_room(device):
    """:meth:`~torch.nn.Module.to_empty` gives every tensor memory on a device, and returns the module.

    Shapes, dtypes and ``requires_grad`` stay; the values are whatever was in memory.
    """
    net = nn.Sequential(nn.Linear(2, 3, dtype=torch.float16), nn.BatchNorm1d(3)).to("meta")
    net[0].bias.requires_grad_(False)
    before = [(t.shape, t.dtype, t.requires_grad) for t in net.state_dict(keep_vars=True).values()]

    returned = net.to_empty(device=device)

    assert returned is net
    assert {t.device.type for t in net.state_dict().values()} == {device}
    assert [(t.shape, t.dtype, t.requires_grad) for t in net.state_dict(keep_vars=True).values()] == before


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_values_after_to_empty_are_arbitrary():
    """After ``to_empty`` parameters and buffers are uninitialised; deterministic mode shows them as NaN."""
    with torch.device("meta"):
        norm = nn.BatchNorm1d(2)
    torch.set_deterministic_debug_mode("error")

    try:
        norm.to_empty(device="cpu")
    finally:
        torch.set_deterministic_debug_mode("default")

    assert [norm.weight.isnan().all(), norm.running_mean.isnan().all()] == [True, True]
    assert norm.num_batches_tracked.item() == torch.iinfo(torch.int64).max


def test_to_empty_forgets_values():
    """``to_empty`` on the module's own device gives it new memory too: the values are lost."""
    layer = nn.Linear(2, 3)
    weight, values = layer.weight, layer.weight.data

    layer.to_empty(device="cpu")

    assert layer.weight is weight
    assert layer.weight.data_ptr() != values.data_ptr()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cpu",), "takes 1 positional argument but 2 were given"),
        ((), "required keyword-only argument: 'device'"),
    ],
    ids=["position", "none"],
)
def test_to_empty_takes_the_device_by_keyword(arguments, text):
    """``to_empty`` must be told the device, by keyword."""
    with pytest.raises(TypeError, match=text):
        nn.Linear(2, 3, device="meta").to_empty(*arguments)


def test_to_empty_may_keep_the_device():
    """``to_empty(device=None)`` gives new memory on the device where each tensor is."""
    assert nn.Linear(2, 3, device="meta").to_empty(device=None).weight.device.type == "meta"


def test_to_empty_reaches_submodules():
    """``to_empty`` reaches the submodules unless told otherwise."""
    net = nn.Sequential(nn.Sequential(nn.PReLU(device="meta")))

    net.to_empty(device="cpu")

    assert net[0][0].weight.device.type == "cpu"


@pytest.mark.since("2.1")
def test_to_empty_may_leave_submodules_out():
    """``to_empty(recurse=False)`` makes room for the module's own tensors only."""
    net = nn.Sequential(nn.PReLU(device="meta"))
    net.scale = nn.Parameter(torch.empty(3, device="meta"))

    net.to_empty(device="cpu", recurse=False)

    assert (net.scale.device.type, net[0].weight.device.type) == ("cpu", "meta")


def test_loading_fills_the_room(device):
    """``to_empty`` and then loading gives a module on the meta device its values."""
    layer = nn.Linear(2, 1, device="meta").to_empty(device=device)

    layer.load_state_dict({"weight": torch.tensor([[1.5, 2.5]]), "bias": torch.tensor([0.5])})

    assert (layer.weight.device.type, layer.weight.tolist(), layer.bias.tolist()) == (
        device,
        [[1.5, 2.5]],
        [0.5],
    )


def test_reset_parameters_fills_the_room():
    """``to_empty`` and then the layer's own ``reset_parameters`` initialises it afresh."""
    norm = nn.BatchNorm1d(2, device="meta").to_empty(device="cpu")

    norm.reset_parameters()

    assert [norm.weight.tolist(), norm.running_mean.tolist()] == [[1.0, 1.0], [0.0, 0.0]]


@pytest.mark.since("2.1")
def test_loading_into_meta_does_nothing_and_warns():
    """Loading values into a module on the meta device does nothing, and warns for every key."""
    layer = nn.Linear(2, 3, device="meta")

    with pytest.warns(
        UserWarning, match="to a meta parameter in the current model, which is a no-op"
    ) as caught:
        result = layer.load_state_dict(nn.Linear(2, 3).state_dict())

    assert [str(w.message).split(":")[0] for w in caught] == ["for weight", "for bias"]
    assert (result, layer.weight.device.type) == (([], []), "meta")


@pytest.mark.before("2.1")
def test_loading_into_meta_does_nothing_in_silence():
    """Loading values into a module on the meta device does nothing, and says nothing."""
    layer = nn.Linear(2, 3, device="meta")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.load_state_dict(nn.Linear(2, 3).state_dict())

    assert (caught, layer.weight.device.type) == ([], "meta")


@pytest.mark.since("2.1")
def test_loading_meta_into_meta_does_not_warn():
    """Neither loading values that are themselves meta nor assigning real ones gives that warning."""
    layer, other = nn.Linear(2, 3, device="meta"), nn.Linear(2, 3)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.load_state_dict(nn.Linear(2, 3, device="meta").state_dict())
        layer.load_state_dict(other.state_dict(), assign=True)

    assert caught == []
    assert layer.weight.data_ptr() == other.weight.data_ptr()


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_non_persistent_buffers_stay_on_meta():
    """After a load with ``assign=True`` buffers that are not in the state dict are still on meta.

    All keys match, and the module still cannot run: such buffers have to be computed again.
    """

    class Turn(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([1.5, 2.5]))
            self.register_buffer("angles", torch.arange(2.0), persistent=False)

    with torch.device("meta"):
        turn = Turn()

    result = turn.load_state_dict(Turn().state_dict(), assign=True)

    assert str(result) == "<All keys matched successfully>"
    assert (turn.scale.device.type, turn.angles.device.type) == ("cpu", "meta")


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_non_persistent_buffers_are_lost_by_to_empty():
    """After ``to_empty`` and a complete load non-persistent buffers hold arbitrary values.

    Even a buffer that had its values before, on the same device, has lost them.
    """
    net = nn.Module()
    net.register_buffer("angles", torch.tensor([0.5, 0.75]), persistent=False)
    torch.set_deterministic_debug_mode("error")

    try:
        net.to_empty(device="cpu")
    finally:
        torch.set_deterministic_debug_mode("default")

    assert net.load_state_dict({}) == ([], [])
    assert net.angles.isnan().tolist() == [True, True]


@pytest.mark.needs("torchvision")
def test_a_known_model_without_values():
    """A large model of torchvision is built on the meta device with all its parameters."""
    import torchvision

    with torch.device("meta"):
        net = torchvision.models.resnet34()

    assert sum(p.numel() for p in net.parameters()) == 21_797_672
    assert {p.device.type for p in net.parameters()} == {"meta"}
