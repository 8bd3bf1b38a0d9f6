"""The names of the tensors given to a functional call.

A name leads to a parameter or buffer as in a state dict. How much is asked of the names depends on
``strict``.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call


def test_a_missing_name_is_allowed():
    """Without ``strict`` no name has to be given."""
    layer = nn.Linear(2, 1)
    x = torch.rand(2)

    assert torch.equal(functional_call(layer, {}, x), layer(x))


def test_an_unknown_name_becomes_an_attribute_for_the_call():
    """Without ``strict`` an unknown name is an attribute of the module during the call only.

    A misspelt name therefore goes unnoticed; ``strict=True`` finds it.
    """
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_forward_pre_hook(lambda module, _: seen.append(module.wieght.tolist()))

    functional_call(layer, {"wieght": torch.tensor([3.0])}, torch.rand(2))

    assert seen == [[3.0]]
    assert not hasattr(layer, "wieght")


def test_a_plain_tensor_attribute_is_replaced_too():
    """Without ``strict`` a given tensor takes the place of a plain tensor attribute."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.tensor(2.0)

        def forward(self):
            return self.scale.item()

    net = Net()

    assert functional_call(net, {"scale": torch.tensor(5.0)}, ()) == 5.0
    assert net() == 2.0


def test_an_attribute_that_was_none_is_none_again():
    """An attribute or parameter that is ``None`` takes the given tensor, and is ``None`` afterwards."""
    layer = nn.Linear(2, 1, bias=False)
    layer.extra = None
    nn.init.constant_(layer.weight, 2.0)

    given = {"bias": torch.tensor([7.0]), "extra": torch.rand(1)}
    out = functional_call(layer, given, torch.tensor([1.0, 10.0]))

    assert out.tolist() == [29.0]
    assert layer.bias is None
    assert layer.extra is None


def test_none_may_be_given():
    """``None`` may be given in place of a tensor."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, 2.0)

    assert functional_call(layer, {"bias": None}, torch.tensor([1.0, 10.0])).tolist() == [22.0]
    assert layer.bias.shape == (1,)


@pytest.mark.parametrize("name", ["weight", "running_mean"])
def test_an_entry_deleted_during_the_call_is_put_back(name):
    """A given name that ``forward`` deletes is there again afterwards."""

    class Net(nn.BatchNorm1d):
        def forward(self, x):
            delattr(self, name)

    net = Net(2)
    own = getattr(net, name)
    functional_call(net, {name: torch.rand(2)}, torch.rand(3, 2))

    assert getattr(net, name) is own


def test_strict_accepts_all_names():
    """With ``strict=True`` all parameters and buffers are given, and no more."""
    norm, other = nn.BatchNorm1d(2).eval(), nn.BatchNorm1d(2).eval()
    other.running_mean += 3.0
    x = torch.rand(4, 2)

    assert torch.equal(functional_call(norm, other.state_dict(), x, strict=True), other(x))


def test_strict_names_what_is_missing():
    """With ``strict=True`` a name that is not given raises ``RuntimeError`` with all of them, sorted."""
    net = nn.Sequential(nn.Linear(2, 3))

    with pytest.raises(RuntimeError) as caught:
        functional_call(net, {}, torch.rand(2), strict=True)

    assert str(caught.value) == (
        "Error(s) in reparametrizing for Sequential:\n\tMissing key(s): '0.bias', '0.weight'."
    )


def test_strict_names_what_is_unexpected():
    """With ``strict=True`` an unknown name raises ``RuntimeError`` with all of them, sorted."""
    layer = nn.Linear(2, 1, bias=False)
    given = {"weight": layer.weight, "scale": torch.rand(1), "bias": torch.rand(1)}

    with pytest.raises(RuntimeError) as caught:
        functional_call(layer, given, torch.rand(2), strict=True)

    assert str(caught.value) == (
        "Error(s) in reparametrizing for Linear:\n\tUnexpected key(s): 'bias', 'scale'."
    )


def test_strict_tells_both_at_once():
    """With ``strict=True`` unexpected names are told before missing ones, in one error."""
    with pytest.raises(RuntimeError) as caught:
        functional_call(nn.Linear(2, 1, bias=False), {"wieght": torch.rand(1, 2)}, torch.rand(2), strict=True)

    assert str(caught.value) == (
        "Error(s) in reparametrizing for Linear:\n\tUnexpected key(s): 'wieght'.\n\tMissing key(s): 'weight'."
    )


def test_strict_asks_for_non_persistent_buffers():
    """With ``strict=True`` non-persistent buffers are asked for too, unlike by a state dict."""
    net = nn.Module()
    net.register_buffer("cache", torch.rand(2), persistent=False)

    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'cache'"):
        functional_call(net, net.state_dict(), (), strict=True)


def test_a_path_through_nothing_is_an_error():
    """A name whose submodule does not exist raises ``AttributeError`` with the type of the parent."""
    net = nn.Sequential(nn.Linear(2, 1))

    with pytest.raises(AttributeError, match="Sequential has no attribute `head`"):
        functional_call(net, {"head.weight": torch.rand(1, 2)}, torch.rand(2))


def test_a_path_through_a_tensor_is_an_error():
    """A name that leads through something other than a module raises ``TypeError``."""
    net = nn.Sequential(nn.Linear(2, 1))

    with pytest.raises(
        TypeError, match=r"(?s)submodule `0\.bias`: .* is not an instance of torch\.nn\.Module"
    ):
        functional_call(net, {"0.bias.data": torch.rand(1)}, torch.rand(2))


def test_an_empty_name_is_an_error():
    """A given name that is empty, or empty after a dot, raises ``KeyError``."""
    with pytest.raises(KeyError, match=r"can.{1,2}t be empty string"):
        functional_call(nn.Linear(2, 1), {"": torch.rand(1)}, torch.rand(2))
    with pytest.raises(KeyError, match=r"can.{1,2}t be empty string"):
        functional_call(nn.Sequential(nn.Linear(2, 1)), {"0.": torch.rand(1)}, torch.rand(2))


def test_a_value_that_is_no_tensor_is_an_error():
    """A given value that is neither tensor nor ``None`` raises ``TypeError``; the module keeps its own."""
    layer = nn.Linear(2, 1)
    weight = layer.weight

    with pytest.raises(TypeError, match=r"3 is not an instance of torch\.Tensor"):
        functional_call(layer, {"weight": torch.rand(1, 2), "bias": 3}, torch.rand(2))
    assert layer.weight is weight


def test_an_attribute_that_is_no_tensor_is_an_error():
    """The name of an attribute that is no tensor raises ``TypeError``, and the attribute stays."""
    layer = nn.Linear(2, 1)

    with pytest.raises(TypeError, match=r"attribute `in_features`: 2 is not an instance of torch\.Tensor"):
        functional_call(layer, {"in_features": torch.tensor(5)}, torch.rand(2))
    assert layer.in_features == 2
