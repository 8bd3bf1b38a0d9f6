"""Which keys must match, and what is said where they do not.

By default the keys of the state dict and of the module have to be the same.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present


def test_missing_keys_raise():
    """By default ``load_state_dict`` raises ``RuntimeError`` for missing keys, those that the dict lacks.

    The error names them. They are often the sign of another prefix, another version of the class, or a layer
    that was added; ``strict=False`` leaves such parameters at their random values.

    See also :ref:`state.strict.without_strict_the_rest_is_loaded`
    """
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    layer.register_buffer("mean", torch.tensor([2, 3]))

    with pytest.raises(RuntimeError, match="Missing key") as caught:
        layer.load_state_dict({"weight": torch.rand(3, 2)})
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0\.bias", "0\.mean"'):
        nn.Sequential(layer).load_state_dict({"0.weight": torch.rand(3, 2)})

    assert str(caught.value) == (
        'Error(s) in loading state_dict for Linear:\n\tMissing key(s) in state_dict: "bias", "mean". '
    )


def test_unexpected_keys_raise():
    """By default ``load_state_dict`` raises ``RuntimeError`` for unexpected keys, those that the module
    lacks.

    The error names them.
    """
    layer = nn.Linear(2, 3, bias=False)
    layer.register_buffer("step", torch.rand(1), persistent=False)
    further = dict.fromkeys(["scale", "bias", "step", "head.weight"], torch.rand(1))

    with pytest.raises(RuntimeError, match="Unexpected key") as caught:
        layer.load_state_dict({**layer.state_dict(), **further})

    assert str(caught.value).split("\n\t") == [
        "Error(s) in loading state_dict for Linear:",
        'Unexpected key(s) in state_dict: "scale", "bias", "step", "head.weight". ',
    ]


def test_all_faults_are_told_at_once():
    """One ``RuntimeError`` of ``load_state_dict`` lists missing keys, unexpected keys and size mismatches.

    It begins with the class of the module that was loaded into.
    """

    class Net(nn.Sequential):
        pass

    state = nn.Sequential(nn.Linear(2, 4, bias=False), nn.Linear(5, 1)).state_dict()
    state["x"] = torch.rand(1)

    with pytest.raises(RuntimeError, match="size mismatch for") as caught:
        Net(nn.Linear(2, 3), nn.Linear(3, 1)).load_state_dict(state)

    assert str(caught.value).split("\n\t") == [
        "Error(s) in loading state_dict for Net:",
        'Missing key(s) in state_dict: "0.bias". ',
        'Unexpected key(s) in state_dict: "x". ',
        "size mismatch for 0.weight: copying a param with shape torch.Size([4, 2]) from checkpoint, "
        "the shape in current model is torch.Size([3, 2]).",
        "size mismatch for 1.weight: copying a param with shape torch.Size([1, 5]) from checkpoint, "
        "the shape in current model is torch.Size([1, 3]).",
    ]


def test_without_strict_the_keys_are_returned():
    """``load_state_dict(strict=False)`` returns missing and unexpected keys instead of raising.

    Look at the result: a checkpoint of which nothing fits loads as quietly as one that fits.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[1].requires_grad_(False).register_buffer("mean", torch.tensor([2, 3]))

    result = net.load_state_dict({"0.bias": torch.rand(3), "head.weight": torch.rand(1)}, strict=False)

    assert result.missing_keys == ["0.weight", "1.weight", "1.bias", "1.mean"]
    assert result.unexpected_keys == ["head.weight"]


def test_without_strict_the_rest_is_loaded():
    """``load_state_dict(strict=False)`` loads the keys that are there; missing parameters keep their
    values.
    """
    layer = nn.Linear(2, 3)
    weight = layer.weight.detach().clone()

    layer.load_state_dict({"bias": torch.tensor([1.0, 2.0, 3.0])}, False)

    assert layer.bias.tolist() == [1.0, 2.0, 3.0]
    assert torch.equal(layer.weight, weight)


def test_names_that_begin_alike_are_kept_apart():
    """``load_state_dict`` does not confuse submodules whose names begin alike, such as ``conv`` and
    ``conv1``.
    """
    net = nn.ModuleDict({"conv": nn.PReLU(), "conv1": nn.PReLU()})

    state = {"conv1.weight": torch.tensor([0.5]), "conv10.weight": torch.tensor([0.75])}
    result = net.load_state_dict(state, strict=False)

    assert result == (["conv.weight"], ["conv10.weight"])
    assert net["conv"].weight.item() == 0.25
    assert net["conv1"].weight.item() == 0.5
    assert net.load_state_dict({"conv.weight": torch.rand(1)}, strict=False) == (["conv1.weight"], [])


def test_unexpected_keys_are_found_at_any_depth():
    """``load_state_dict`` reports an unexpected key at any depth once, by its full dotted name."""
    net = nn.Sequential(nn.Sequential(nn.PReLU()))
    keys = ["0.0.weight", "0.0.bias", "0.1.weight", "gain"]

    result = net.load_state_dict({key: torch.rand(1) for key in keys}, strict=False)

    assert result.unexpected_keys == ["gain", "0.1.weight", "0.0.bias"]


@pytest.mark.since("2.4")
@pytest.mark.parametrize("key", ["0", "0.0", "0.0.weight.x", "mean.x"])
def test_a_key_must_match_as_a_whole(key):
    """``load_state_dict`` reports a submodule's name, or a key below a parameter (``weight.x``), as
    unexpected.

    Up to torch 2.3 the first part of a key was enough (:issue:`123510`, :pull:`124385`).
    """
    net = nn.Sequential(nn.Sequential(nn.PReLU()))
    net.register_buffer("mean", torch.rand(2))

    result = net.load_state_dict({**net.state_dict(), key: torch.rand(1)}, strict=False)

    assert result.unexpected_keys == [key]


@pytest.mark.before("2.4")
@pytest.mark.parametrize("key", ["0", "0.weight.x"], ids=["submodule", "behind_parameter"])
def test_the_first_part_of_a_key_is_enough(key):
    """``load_state_dict`` ignores an extra key that is a submodule's name or below a parameter
    (``weight.x``).
    """
    net = nn.Sequential(nn.PReLU())

    result = net.load_state_dict({**net.state_dict(), key: torch.rand(1)}, strict=False)

    assert result.unexpected_keys == []


def test_a_key_of_an_entry_of_none_is_unexpected():
    """``load_state_dict`` reports a key as unexpected if the parameter is ``None``, and does not create
    it.
    """
    layer = nn.Linear(2, 3, bias=False)

    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "bias"'):
        layer.load_state_dict(nn.Linear(2, 3).state_dict())
    assert layer.bias is None

    for net, other, key in (
        (layer, nn.Linear(2, 3), "bias"),
        (nn.Sequential(layer), nn.Sequential(nn.Linear(2, 3)), "0.bias"),
    ):
        assert net.load_state_dict(other.state_dict(), strict=False) == ([], [key])
        assert layer.bias is None


def test_keys_of_a_submodule_of_none_are_passed_over():
    """``load_state_dict`` ignores keys of a submodule that is ``None``, even with ``strict=True``."""
    net = nn.Module()
    net.register_module("head", None)

    result = net.load_state_dict({"head.weight": torch.rand(1), "head.0.bias": torch.rand(1)})

    assert result == ([], [])
    assert nn.Sequential(net).load_state_dict({"0.head.weight": torch.rand(1)}) == ([], [])
    assert net.head is None


def test_a_wrapper_prefix_matches_nothing():
    """``load_state_dict(strict=False)`` loads nothing from a wrapper's dict with keys such as
    ``module.weight``.

    The error disappears and the module keeps its random values. Take the prefix off with
    :func:`~torch.nn.modules.utils.consume_prefix_in_state_dict_if_present`, or save ``wrapper.module``.

    See also :ref:`state.strict.a_wrapper_prefix_can_be_taken_off`
    """
    layer = nn.Linear(2, 3)
    before = [p.tolist() for p in layer.parameters()]

    for name in ("module", "_orig_mod", "model"):
        wrapper = nn.ModuleDict({name: nn.Linear(2, 3)})
        result = layer.load_state_dict(wrapper.state_dict(), strict=False)

        assert result == (["weight", "bias"], [f"{name}.weight", f"{name}.bias"])
        assert [p.tolist() for p in layer.parameters()] == before


@pytest.mark.question("Q91")
def test_a_wrapper_prefix_can_be_taken_off():
    """``consume_prefix_in_state_dict_if_present`` strips a prefix from the keys of a dict in place.

    Keys without the prefix stay as they are. What :class:`~torch.nn.DataParallel` or DDP saved loads into the
    bare module after :func:`~torch.nn.modules.utils.consume_prefix_in_state_dict_if_present`.
    """
    state = {"module.b": 1, "epoch": 2, "module.a.module.c": 3, "module.module.d": 4, "e.module.f": 5}

    returned = consume_prefix_in_state_dict_if_present(state, "module.")

    assert returned is None
    assert state == {"b": 1, "epoch": 2, "a.module.c": 3, "module.d": 4, "e.module.f": 5}

    saved, layer = nn.DataParallel(nn.PReLU(init=0.75)).state_dict(), nn.PReLU()
    consume_prefix_in_state_dict_if_present(saved, "module.")
    layer.load_state_dict(saved)

    assert layer.weight.tolist() == [0.75]


@pytest.mark.since("2.3")
def test_a_prefix_is_taken_off_in_order():
    """``consume_prefix_in_state_dict_if_present`` keeps the order of the keys that have the prefix.

    Up to torch 2.2 the keys were sorted.
    """
    state = dict.fromkeys(["module.b.1.w", "module.b", "module.a", "c", "module.a.0"])

    consume_prefix_in_state_dict_if_present(state, "module.")

    assert [key for key in state if key != "c"] == ["b.1.w", "b", "a", "a.0"]


@pytest.mark.since("2.3")
def test_a_prefix_is_taken_off_the_metadata():
    """``consume_prefix_in_state_dict_if_present`` also strips the prefix from the names in ``_metadata``.

    Up to torch 2.2 the metadata kept it, so that versions were lost. Of a prefix of several parts, such as
    ``net.module.``, the entry of the module itself keeps its name. See
    :func:`~torch.nn.modules.utils.consume_prefix_in_state_dict_if_present`.
    """
    wrapper, outer = nn.Module(), nn.Module()
    wrapper.module = nn.Sequential(nn.BatchNorm1d(2))
    outer.net = wrapper
    state, deep = wrapper.state_dict(), outer.state_dict()

    consume_prefix_in_state_dict_if_present(state, "module.")
    consume_prefix_in_state_dict_if_present(deep, "net.module.")

    assert state._metadata == {"": {"version": 1}, "0": {"version": 2}}
    assert list(deep._metadata) == ["", "net", "net.module", "0"]


def test_other_metadata_stay():
    """``consume_prefix_in_state_dict_if_present`` does not change ``_metadata`` names without the prefix."""
    net = nn.ModuleDict({"module2": nn.ReLU(), "head": nn.ModuleDict({"module": nn.Sequential(nn.ReLU())})})
    state = net.state_dict()

    consume_prefix_in_state_dict_if_present(state, "module.")

    assert list(state._metadata) == ["", "module2", "head", "head.module", "head.module.0"]


def test_a_layer_that_the_dict_lacks_is_random():
    """With ``strict=False``, a layer that the dict lacks keeps its random weights: each new network differs.

    The head keeps the values it was built with. So it is where a checkpoint of adapters, or of a pretrained
    body, does not hold the new layer that was trained with it: results change from run to run. Save that
    layer too.
    """
    trained = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    body = {key: value for key, value in trained.state_dict().items() if key.startswith("0.")}
    nets, x = [nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)) for _ in range(2)], torch.rand(4, 2)

    for net in nets:
        assert net.load_state_dict(body, strict=False) == (["1.weight", "1.bias"], [])
    assert torch.equal(nets[0][0](x), nets[1][0](x))
    assert not torch.allclose(nets[0](x), nets[1](x))

    for net in nets:
        net.load_state_dict(trained.state_dict())
    assert torch.equal(nets[0](x), nets[1](x))


def test_the_trainable_part_may_be_saved_alone():
    """With ``strict=False``, a dict of the parameters that require grad brings a frozen network up to date.

    So small files of adapters are made. Frozen parameters and buffers are the missing keys: the statistics of
    a BatchNorm that ran in training mode are lost, unless they are saved as well. See
    :meth:`~torch.nn.Module.load_state_dict`.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    base, x = copy.deepcopy(net).eval(), torch.rand(4, 2)
    nn.init.constant_(net[2].weight, 3.0)
    net(x)

    adapter = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}
    result = base.load_state_dict(adapter, strict=False)

    assert list(adapter) == ["2.weight", "2.bias"]
    assert result.missing_keys == ["0.weight", "0.bias", "1.running_mean", "1.running_var"]
    assert torch.equal(base[2](base[0](x)), net[2](net[0](x)))
    assert not torch.allclose(base(x), net.eval()(x))
