"""Modules on the meta device: shapes without values.

A module on the meta device takes no memory. It is given values by :meth:`~torch.nn.Module.to_empty` and
loading, or by loading with ``assign=True``.
"""

import warnings

import pytest
import torch
from torch import nn


def test_a_module_without_values():
    """Inside ``torch.device("meta")``, a module is created with shapes and dtypes but without values.

    It takes no memory and no time for initial values, which a checkpoint overwrites anyway. Load it with
    ``assign=True``, or give it memory by :meth:`~torch.nn.Module.to_empty` before.
    """
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, dtype=torch.float64))
    tensors = net.state_dict().values()
    assert [t.is_meta for t in tensors] == [True] * 7
    assert [t.shape for t in tensors] == [(3, 2)] + [(3,)] * 5 + [()]
    assert [t.dtype for t in tensors] == [torch.float32] * 2 + [torch.float64] * 4 + [torch.int64]
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        net[0].weight.tolist()


def test_a_huge_module_costs_nothing():
    """A module created with ``device="meta"`` can have more parameters than fit into memory."""
    net = nn.ModuleList(kind(10**7, 10**7, device="meta") for kind in (nn.Linear, nn.Embedding))

    assert sum(p.numel() for p in net.parameters()) == 2 * 10**14 + 10**7


def test_a_meta_module_computes_shapes():
    """A module on ``device="meta"`` computes the shape of its output from an input on meta."""
    front = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2, padding=1)]
    net = nn.Sequential(*front, nn.Flatten(), nn.Linear(4 * 3 * 3, 8), nn.ReLU(), nn.Linear(8, 5))
    shape = net(torch.rand(7, 3, 8, 8)).shape

    output = net.to("meta")(torch.empty(7, 3, 8, 8, device="meta"))

    assert output.shape == shape == (7, 5)
    assert output.device.type == "meta"


def test_a_meta_module_refuses_real_input():
    """``nn.Linear`` with a bias on the meta device raises ``RuntimeError`` for an input on the CPU.

    Without a bias it silently returns an output on the CPU, of arbitrary values, and so does ``nn.Conv2d``.
    """
    layer, bare = (nn.Linear(2, 3, bias=bias, device="meta") for bias in (True, False))

    for shape in ((2,), (4, 2), (5, 4, 2)):
        with pytest.raises(RuntimeError, match="Tensor on device meta is not on the expected device cpu"):
            layer(torch.rand(shape))
        assert bare(torch.rand(shape)).device.type == "cpu"
    assert nn.Conv2d(1, 2, 3, device="meta")(torch.rand(1, 4, 4)).device.type == "cpu"
    assert layer(torch.empty(4, 2, device="meta")).shape == (4, 3)


@pytest.mark.parametrize("cast", ["double", "half", "bfloat16", "float"])
def test_a_meta_module_can_be_cast(cast):
    """``Module.double`` and other casts work on the meta device and keep the parameter objects."""
    norm = nn.BatchNorm1d(2, device="meta", dtype=torch.float16 if cast == "float" else torch.float32)
    before = list(norm.parameters())

    getattr(nn.Sequential(norm), cast)()

    assert [id(p) for p in norm.parameters()] == [id(p) for p in before]
    assert [t.device.type for t in norm.state_dict().values()] == ["meta"] * 5
    assert [t.dtype for t in norm.state_dict().values()] == [getattr(torch, cast)] * 4 + [torch.int64]


@pytest.mark.question("Q75")
def test_there_is_nothing_to_copy():
    """``Module.to("cpu")`` raises ``NotImplementedError`` for a module on the meta device: it has no data.

    Give it memory with :meth:`~torch.nn.Module.to_empty` and load it, or load with ``assign=True``.

    See also :ref:`placement.meta.to_empty_makes_room`
    """
    for layer in (nn.Linear(2, 3, device="meta"), nn.BatchNorm1d(2, affine=False, device="meta")):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
            layer.to("cpu")
        assert {tensor.device.type for tensor in layer.state_dict().values()} == {"meta"}


@pytest.mark.question("Q75")
@pytest.mark.since("2.3")
def test_the_error_recommends_to_empty():
    """``Module.to("cpu")`` from meta raises ``NotImplementedError`` that recommends ``to_empty``.

    It does so since torch 2.3 (:issue:`119293`, :pull:`119353`).
    """
    text = "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
    text += "torch.nn.Module.to() when moving module from meta to a different device."
    for layer in (nn.Linear(2, 3), nn.BatchNorm1d(2, affine=False)):
        for dtype in (None, torch.float64):
            with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor") as caught:
                layer.to("meta").to("cpu", dtype)
            assert str(caught.value) == text
            assert caught.value.__suppress_context__ is True


@pytest.mark.question("Q75")
def test_cpu_gives_the_bare_error():
    """``Module.cpu`` of a module on meta raises ``NotImplementedError`` without naming ``to_empty``."""
    for layer in (nn.Linear(2, 3, device="meta"), nn.BatchNorm1d(2, affine=False, device="meta")):
        with pytest.raises(NotImplementedError, match=r"^Cannot copy out of meta tensor; no data!$"):
            layer.cpu()


@pytest.mark.since("2.15")
def test_the_recommendation_comes_before_a_trace():
    """In the error of ``Module.to`` for a module on meta, the advice to use ``to_empty`` precedes any C++
    trace.

    Up to torch 2.14 it was left out where the error went on (:pull:`191151`).
    """

    class Meta(torch.Tensor):
        def to(self, *args, **kwargs):
            raise NotImplementedError("Cannot copy out of meta tensor; no data! (at Copy.cpp)")

    net = nn.Module()
    net.register_buffer("mean", torch.rand(2).as_subclass(Meta))

    with pytest.raises(
        NotImplementedError, match=r"^Cannot copy .* no data! Please use .*to_empty.* device\. \(at Copy"
    ):
        net.to("cpu")


def test_other_errors_pass_through():
    """``Module.to`` passes on a tensor's ``NotImplementedError`` unchanged if it is not about the meta
    device.
    """
    error = NotImplementedError("no such device, no data!")

    class Stuck(torch.Tensor):
        def to(self, *args, **kwargs):
            raise error

    net = nn.Module()
    net.register_buffer("mean", torch.rand(2).as_subclass(Stuck))

    with pytest.raises(NotImplementedError, match=r"^no such device, no data!$") as caught:
        net.to("cpu")

    assert caught.value is error


def test_to_empty_makes_room(device):
    """:meth:`Module.to_empty() <torch.nn.Module.to_empty>` allocates memory for every tensor on a device and
    returns the module.

    Shapes, dtypes and ``requires_grad`` stay. Load or initialize all values afterwards, those of
    non-persistent buffers too.

    See also :ref:`placement.meta.loading_fills_the_room`
    """
    net = nn.Sequential(nn.Linear(2, 3, bias=False, dtype=torch.float16), nn.BatchNorm1d(3)).to("meta")
    net[0].weight.requires_grad_(False)
    net.register_buffer("mask", torch.ones(5, dtype=torch.bool, device="meta"), persistent=False)
    before = [(t.shape, t.dtype, t.requires_grad) for t in [*net.parameters(), *net.buffers()]]

    assert net.to_empty(device=device) is net
    assert {t.device.type for t in [*net.parameters(), *net.buffers()]} == {device}
    assert [(t.shape, t.dtype, t.requires_grad) for t in [*net.parameters(), *net.buffers()]] == before


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_values_after_to_empty_are_arbitrary():
    """``Module.to_empty`` leaves memory uninitialized; deterministic mode fills float tensors with NaN.

    Integers are then the largest of their dtype.
    """
    with torch.device("meta"):
        norm = nn.BatchNorm1d(2)

    torch.set_deterministic_debug_mode("error")  # fills memory that is not initialized with NaN
    try:
        norm.to_empty(device="cpu")
    finally:
        torch.set_deterministic_debug_mode("default")

    assert norm.weight.isnan().tolist() == [True, True]
    assert norm.running_mean.isnan().tolist() == [True, True]
    assert norm.num_batches_tracked.item() == torch.iinfo(torch.int64).max


def test_to_empty_forgets_values(monkeypatch):
    """``Module.to_empty`` on the module's current device also allocates new memory: values are lost."""
    norm = nn.BatchNorm1d(2)
    weight, before = norm.weight, norm.state_dict()
    monkeypatch.setattr(torch, "empty_like", lambda t, **options: torch.full_like(t, 7, **options))

    nn.Sequential(norm).to_empty(device="cpu")

    assert norm.weight is weight
    assert not any(t.data_ptr() == before[key].data_ptr() for key, t in norm.state_dict().items())
    assert [t.tolist() for t in norm.state_dict().values()] == [[7.0, 7.0]] * 4 + [7]


def test_to_empty_takes_the_device_by_keyword():
    """``Module.to_empty`` raises ``TypeError`` unless ``device`` is given as a keyword argument."""
    layer = nn.Linear(2, 3, device="meta")

    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        layer.to_empty("cpu")
    with pytest.raises(TypeError, match="required keyword-only argument: 'device'"):
        layer.to_empty()


def test_to_empty_may_keep_the_device():
    """``Module.to_empty(device=None)`` allocates new memory on each tensor's current device."""
    net = nn.Sequential(nn.BatchNorm1d(2, device="meta"), nn.BatchNorm1d(2, device="cpu"))
    before = net[1].state_dict().values()

    net.to_empty(device=None)

    assert [t.device.type for t in net.state_dict().values()] == ["meta"] * 5 + ["cpu"] * 5
    assert {t.data_ptr() for t in net[1].state_dict().values()}.isdisjoint(t.data_ptr() for t in before)


def test_to_empty_reaches_submodules():
    """``Module.to_empty`` applies to submodules at any depth."""
    net = nn.Sequential(nn.Sequential(nn.Sequential(nn.BatchNorm1d(2, device="meta"))))

    net.to_empty(device="cpu")

    assert [t.device.type for t in net.state_dict().values()] == ["cpu"] * 5


@pytest.mark.since("2.1")
def test_to_empty_may_leave_submodules_out():
    """``Module.to_empty(recurse=False)`` allocates memory for the module's own tensors, not its
    submodules'.
    """
    net = nn.Sequential(nn.PReLU(device="meta"))
    net.scale = nn.Parameter(torch.empty(3, device="meta"))
    net.register_buffer("mean", torch.empty(3, device="meta"))

    net.to_empty(device="cpu", recurse=False)

    assert [net.scale.device.type, net.mean.device.type] == ["cpu", "cpu"]
    assert net[0].weight.device.type == "meta"


def test_loading_fills_the_room(device):
    """``Module.to_empty`` followed by ``load_state_dict`` gives a module on the meta device its values."""
    net = nn.Sequential(nn.PReLU(), nn.BatchNorm1d(1, affine=False)).to("meta").to_empty(device=device)
    state = {"0.weight": [0.5], "1.running_mean": [1.5], "1.running_var": [2.5], "1.num_batches_tracked": 7}

    net.load_state_dict({key: torch.tensor(value) for key, value in state.items()})

    assert {tensor.device.type for tensor in net.state_dict().values()} == {device}
    assert {key: tensor.tolist() for key, tensor in net.state_dict().items()} == state


def test_reset_parameters_fills_the_room():
    """``Module.to_empty`` followed by ``reset_parameters()`` initializes a layer that was on the meta
    device.
    """
    norm = nn.BatchNorm1d(2, device="meta").to_empty(device="cpu")
    norm.reset_parameters()

    assert [p.tolist() for p in norm.parameters()] == [[1.0, 1.0], [0.0, 0.0]]
    assert [b.tolist() for b in norm.buffers()] == [[0.0, 0.0], [1.0, 1.0], 0]


@pytest.mark.since("2.1")
def test_loading_into_meta_does_nothing_and_warns():
    """``load_state_dict`` of CPU tensors into a meta module loads nothing and gives a ``UserWarning``.

    There is one warning for each key; load with ``assign=True``, or call ``to_empty`` before.
    """
    net = nn.Sequential(nn.BatchNorm1d(2, device="meta"))
    state = nn.Sequential(nn.BatchNorm1d(2)).state_dict()

    with pytest.warns(UserWarning, match="to a meta parameter .*, which is a no-op") as caught:
        result = net.load_state_dict(state)

    assert [str(w.message).split(":")[0] for w in caught] == [f"for {key}" for key in state]
    assert result == ([], [])
    assert [t.device.type for t in net.state_dict().values()] == ["meta"] * 5


@pytest.mark.before("2.1")
def test_loading_into_meta_does_nothing_in_silence():
    """``load_state_dict`` of CPU tensors into a module on the meta device does nothing, without a warning."""
    layer = nn.Linear(2, 3, device="meta")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer.load_state_dict(nn.Linear(2, 3).state_dict())

    assert caught == []
    assert layer.weight.device.type == "meta"


@pytest.mark.since("2.1")
def test_loading_meta_into_meta_does_not_warn():
    """``load_state_dict`` into a module on meta does not warn for meta tensors, or with ``assign=True``."""
    norm, other = nn.BatchNorm1d(2, device="meta"), nn.BatchNorm1d(2)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        norm.load_state_dict(nn.BatchNorm1d(2, device="meta").state_dict())
        norm.load_state_dict(other.state_dict(), assign=True)

    assert caught == []
    assert norm.weight.data_ptr() == other.weight.data_ptr()


def test_meta_tensors_are_not_loaded():
    """``load_state_dict`` of meta tensors into a module with values raises ``RuntimeError``.

    There are no values to copy. See :meth:`~torch.nn.Module.load_state_dict`.
    """
    layer = nn.BatchNorm1d(2)

    with pytest.raises(RuntimeError, match=r"named .weight.(.|\n)*named .running_mean."):
        layer.load_state_dict(nn.BatchNorm1d(2, device="meta").state_dict())

    assert layer.weight.device.type == "cpu"


@pytest.mark.since("2.1")
def test_assigned_meta_tensors_take_the_values_away():
    """``load_state_dict(assign=True)`` of meta tensors silently makes a module with values a meta module.

    So does a checkpoint read with ``map_location="meta"``. See :meth:`~torch.nn.Module.load_state_dict`.
    """
    norm, state = nn.BatchNorm1d(2), nn.BatchNorm1d(2, device="meta").state_dict()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert norm.load_state_dict(state, assign=True) == ([], [])

    assert [t.device.type for t in norm.state_dict().values()] == ["meta"] * 5


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_non_persistent_buffers_stay_on_meta():
    """``load_state_dict(assign=True)`` leaves a meta module's non-persistent buffers on the meta device.

    All keys match, and the module still cannot run: such buffers have to be computed again.
    """

    class Turn(nn.Linear):
        def forward(self, x):
            return super().forward(x) + self.angles

    turn, turn.inner = Turn(2, 2), Turn(2, 2)
    for layer in (turn, turn.inner):
        layer.register_buffer("angles", torch.arange(2.0), persistent=False)
    state = turn.state_dict()

    assert turn.to("meta").load_state_dict(state, assign=True) == ([], [])
    assert [t.device.type for t in (*turn.parameters(), *turn.buffers())] == ["cpu"] * 4 + ["meta"] * 2
    with pytest.raises(RuntimeError, match="device"):
        turn(torch.rand(2))


@pytest.mark.question("Q103")
@pytest.mark.since("2.1")
def test_non_persistent_buffers_are_lost_by_to_empty():
    """After ``Module.to_empty`` and ``load_state_dict``, non-persistent buffers have arbitrary values.

    Even a buffer that had its values before, on the same device, has lost them. Compute such buffers again.
    """
    net = nn.Module()
    net.register_buffer("angles", torch.tensor([0.5, 0.75]), persistent=False)

    torch.set_deterministic_debug_mode("error")  # fills memory that is not initialized with NaN
    try:
        net.to_empty(device="cpu")
    finally:
        torch.set_deterministic_debug_mode("default")

    assert net.load_state_dict({}) == ([], [])
    assert net.angles.isnan().tolist() == [True, True]


@pytest.mark.needs("torchvision")
def test_a_known_model_without_values():
    """Inside ``torch.device("meta")``, a ``torchvision`` model has all its parameters but no values."""
    import torchvision

    with torch.device("meta"):
        net = torchvision.models.resnet34()

    assert sum(p.numel() for p in net.parameters()) == 21_797_672
    assert {p.device.type for p in net.parameters()} == {"meta"}
