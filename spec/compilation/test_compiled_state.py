"""State dicts of compiled modules: names with a prefix and without.

The module that :func:`torch.compile` returns holds the original as its only submodule, and so each name gets
longer. What saves and loads a model has to know.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_every_name_gets_the_prefix():
    """State dict keys and module names of ``torch.compile(net)`` begin with ``_orig_mod``.

    ``net`` itself, which is ``compiled._orig_mod``, keeps its names: save its state dict, or compile in place
    with :meth:`Module.compile <torch.nn.Module.compile>`.
    """
    net = nn.Sequential(nn.Linear(2, 3, bias=False))
    net.register_buffer("scale", torch.rand(2))

    compiled = torch.compile(net, backend="eager")

    assert list(compiled.state_dict()) == ["_orig_mod.scale", "_orig_mod.0.weight"]
    assert [name for name, _ in compiled.named_modules()] == ["", "_orig_mod", "_orig_mod.0"]
    assert list(net.state_dict()) == ["scale", "0.weight"]
    missing = compiled.load_state_dict(net.state_dict(), strict=False).missing_keys
    assert missing == ["_orig_mod.scale", "_orig_mod.0.weight"]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_state_that_is_assigned_is_used():
    """A compiled module uses parameters that ``load_state_dict(assign=True)`` puts in place of its own."""
    layer, net = nn.Linear(2, 1, bias=False), nn.Sequential(nn.Linear(2, 1, bias=False))
    x, weight = torch.tensor([2.0, 3.0]), nn.Parameter(torch.tensor([[5.0, 7.0]]))

    for module, name in ((layer, "weight"), (net, "0.weight")):
        compiled = torch.compile(module, backend="eager")
        compiled(x)
        module.load_state_dict({name: weight}, assign=True)

        assert module.get_parameter(name) is weight
        assert compiled(x).tolist() == [31.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.3")
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "a layer"])
def test_get_model_state_dict_drops_the_prefix(whole):
    """``get_model_state_dict`` of a module from ``torch.compile`` has the keys of the original.

    It is a function of ``torch.distributed.checkpoint.state_dict``. It drops ``_orig_mod`` in the middle of a
    key as well, and does so before and after ``set_model_state_dict`` (:issue:`158519`).
    """
    from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    net[0].register_buffer("scale", torch.tensor(5.0))
    if whole:
        model = torch.compile(net, backend="eager")
    else:
        model = net
        model[0] = torch.compile(net[0], backend="eager")

    before = list(get_model_state_dict(model))
    set_model_state_dict(model, {"0.weight": torch.tensor([[3.0]]), "0.scale": torch.tensor(7.0)})

    assert [before, list(get_model_state_dict(model))] == [["0.weight", "0.scale"]] * 2
    assert model(torch.tensor([2.0])).item() == 6.0
    assert get_model_state_dict(model)["0.scale"].item() == 7.0
    assert [name.count("_orig_mod") for name in model.state_dict()] == [1, 1]


@pytest.mark.needs("compile")
def test_a_plain_module_beside_the_compiled_one():
    """A module that keeps both ``layer`` and ``torch.compile(layer)`` saves each value under two names.

    It is one parameter, and walked once. Keep the compiled one out of the submodules, by
    ``object.__setattr__``, or compile in place with :meth:`Module.compile <torch.nn.Module.compile>`.
    """
    net = nn.Module()
    net.layer = nn.Linear(2, 1, bias=False)
    net.layer.register_buffer("scale", torch.tensor(5.0))
    net.fast = torch.compile(net.layer, backend="eager")

    names = ["layer.weight", "layer.scale", "fast._orig_mod.weight", "fast._orig_mod.scale"]
    assert list(net.state_dict()) == names
    assert [name for name, _ in net.named_parameters()] == ["layer.weight"]

    del net.fast
    object.__setattr__(net, "fast", torch.compile(net.layer, backend="eager"))
    assert list(net.state_dict()) == names[:2]


@pytest.mark.needs("compile")
def test_a_layer_alone_gets_the_prefix():
    """After ``net[0] = torch.compile(net[0])``, keys of ``net.state_dict()`` begin with ``0._orig_mod.``.

    Those of other layers, and ``net`` itself, have no prefix. What unwraps a model has to look at each
    submodule: ``net[0]`` is no longer an instance of its class. If ``net`` is compiled too, both prefixes are
    there. See :func:`torch.compile`.
    """
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.PReLU())
    net[0] = layer = torch.compile(net[0], backend="eager")

    assert list(net.state_dict()) == ["0._orig_mod.weight", "1.weight"]
    whole = torch.compile(net, backend="eager")
    assert list(whole.state_dict()) == ["_orig_mod.0._orig_mod.weight", "_orig_mod.1.weight"]
    assert [hasattr(net, "_orig_mod"), hasattr(layer, "_orig_mod")] == [False, True]
    assert [isinstance(layer, nn.Linear), isinstance(layer._orig_mod, nn.Linear)] == [False, True]
    assert [list(net._modules), list(layer._modules), "_orig_mod" in vars(layer)] == [
        ["0", "1"],
        ["_orig_mod"],
        False,
    ]
