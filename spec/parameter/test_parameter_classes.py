"""Classes of one's own made from ``nn.Parameter``: what a move, a copy and a state dict leave of them.

Libraries that quantize keep a scale beside the values this way. The values survive everything; the class and
what was set on the parameter survive some of it.
"""

import copy
import pickle

import pytest
import torch
from torch import nn


def test_conversions_of_ones_own_are_called():
    """``Module.to`` and ``half`` call the method of that name that a ``Parameter`` subclass defines.

    Each calls its own: ``net.double()`` does not ask ``to``. So a parameter may quantize itself when the
    module is moved by ``cuda()`` and stay as it is under ``to("cuda")``.
    """
    calls = []

    class Watched(nn.Parameter):
        def to(self, *args):
            calls.append(("to", args[1]))
            return super().to(*args)

        def half(self):
            calls.append("half")
            return super().half()

    net = nn.ParameterList(Watched(torch.tensor([1.5, 2.5]), trained) for trained in (True, False))

    net.to(torch.float64).half().double()

    assert calls == [("to", torch.float64)] * 2 + ["half"] * 2
    assert [(weight.dtype, weight.tolist()) for weight in net] == [(torch.float64, [1.5, 2.5])] * 2


def test_a_conversion_takes_the_values_alone():
    """If a ``Parameter`` subclass overrides ``to``, ``Module.to`` takes only the values of what that returns.

    The parameter stays the object that it was: class and attributes of the new one are lost. What ``to``
    finds out it has to set on ``self``.
    """

    class Halving(nn.Parameter):
        def to(self, *args):
            moved = nn.Parameter(super().to(*args).detach() / 2)
            moved.scale = 16
            return moved

    net = nn.Module()
    net.weight = weight = Halving(torch.tensor([3.0, 5.0]))
    weight.scale = 8

    net.to(torch.float64)

    assert net.weight is weight
    assert (type(weight), weight.scale) == (Halving, 8)
    assert (weight.dtype, weight.tolist()) == (torch.float64, [1.5, 2.5])


def test_casts_keep_the_class():
    """``Module.double`` and other casts keep the class of a ``Parameter`` subclass, and its attributes.

    Where a new parameter has to be made they do not.

    See also :ref:`parameter.parameter_classes.a_new_parameter_is_a_plain_one`
    """

    class Scaled(nn.Parameter):
        pass

    net = nn.ParameterList(Scaled(torch.tensor([1.5, 2.5]), trained) for trained in (True, False))
    net[0].scale = net[1].scale = 8

    net.double()
    nn.Sequential(net).to(dtype=torch.bfloat16)

    for weight in net:
        assert (type(weight), weight.scale, weight.dtype) == (Scaled, 8, torch.bfloat16)


def test_a_new_parameter_is_a_plain_one():
    """``Module.to("meta")`` makes a plain ``nn.Parameter`` of a ``Parameter`` subclass, without attributes.

    So does any cast after :func:`torch.__future__.set_overwrite_module_params_on_conversion`: where a move
    makes new parameters, it makes them of ``nn.Parameter``.

    See also :ref:`placement.identity.a_move_to_meta_makes_new_parameters`
    """

    class Scaled(nn.Parameter):
        pass

    net, other = (nn.ParameterList(Scaled(torch.rand(2), trained) for trained in (True, False)) for _ in "ab")
    for weight in (*net, *other):
        weight.scale = 8

    nn.Sequential(net).to("meta")
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        other.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)

    for weight in (*net, *other):
        assert (type(weight), hasattr(weight, "scale")) == (nn.Parameter, False)


def test_results_are_plain_tensors():
    """``to()``, ``clone()``, ``detach()`` and ``data`` of a ``Parameter`` subclass are plain tensors.

    They lack what was set on the parameter. ``to()`` that changes nothing returns the parameter itself.
    """

    class Scaled(nn.Parameter):
        pass

    for trained in (True, False):
        weight = Scaled(torch.tensor([1.5, 2.5]), trained)
        weight.scale = 8

        results = [weight.to(torch.float64), weight.to("meta"), weight.clone(), weight.detach(), weight.data]

        assert [type(result) for result in results] == [torch.Tensor] * 5
        assert [hasattr(result, "scale") for result in results] == [False] * 5
        assert weight.to(torch.float32) is weight


def test_a_deep_copy_calls_the_class():
    """``copy.deepcopy`` of a ``Parameter`` subclass calls the class with the values and ``requires_grad``.

    What else comes second in the constructor silently receives ``requires_grad``: define ``__deepcopy__``.

    See also :ref:`parameter.parameter_copies.a_deep_copy_drops_attributes`
    """

    class Scaled(nn.Parameter):
        def __new__(cls, values, scale, requires_grad=True):
            weight = super().__new__(cls, values, requires_grad)
            weight.scale = scale
            return weight

    class Copied(Scaled):
        def __deepcopy__(self, memo):
            return memo.setdefault(id(self), type(self)(self.data.clone(), self.scale, self.requires_grad))

    plain = copy.deepcopy(Scaled(torch.tensor([1.5]), 8, False))
    copied = copy.deepcopy(nn.ParameterList([Copied(torch.tensor([1.5]), 8)]))[0]

    assert (type(plain), plain.tolist(), plain.scale) == (Scaled, [1.5], False)
    assert (type(copied), copied.scale) == (Copied, 8)


@pytest.mark.parametrize(
    "copied", [copy.copy, lambda weight: pickle.loads(pickle.dumps(weight))], ids=["copy", "pickle"]
)
def test_other_copies_forget_the_class(copied):
    """``copy.copy`` and ``pickle`` make a plain ``nn.Parameter`` of a ``Parameter`` subclass.

    Attributes that were set on it are kept, the other way round than in a deep copy. :func:`torch.save`
    pickles. With a ``__reduce_ex__`` of its own a class decides for itself.

    See also :ref:`parameter.parameter_copies.a_deep_copy_keeps_a_subclass`
    """

    class Scaled(nn.Parameter):
        pass

    weight, bare = Scaled(torch.tensor([1.5, 2.5])), Scaled(torch.rand(2))
    weight.scale = 8

    twin = copied(weight)

    assert (type(twin), twin.scale, twin.tolist()) == (nn.Parameter, 8, [1.5, 2.5])
    assert type(copied(bare)) is nn.Parameter


def test_a_state_dict_holds_the_values_alone():
    """``state_dict()`` holds a ``Parameter`` subclass as a plain tensor, without its attributes.

    A scale that is kept on the parameter is therefore not saved: make it a buffer, or extra state. With
    ``keep_vars=True`` the parameter itself is there.
    """

    class Scaled(nn.Parameter):
        pass

    net = nn.ParameterList(Scaled(torch.tensor([1.5, 2.5]), trained) for trained in (True, False))
    net[0].scale = net[1].scale = 8

    for value in (*net.state_dict().values(), *nn.Sequential(net).state_dict().values()):
        assert (type(value), hasattr(value, "scale")) == (torch.Tensor, False)
    assert list(net.state_dict(keep_vars=True).values()) == [net[0], net[1]]


def test_loading_fills_the_values_alone():
    """``load_state_dict`` copies into a ``Parameter`` subclass: class and attributes stay what they are."""

    class Scaled(nn.Parameter):
        pass

    for kind in (nn.Parameter, Scaled):
        net, other = nn.ParameterList([Scaled(torch.tensor([1.5, 2.5]))]), kind(torch.tensor([3.5, 4.5]))
        net[0].scale, other.scale = 8, 16

        net.load_state_dict({"0": other})
        assert (type(net[0]), net[0].scale, net[0].tolist()) == (Scaled, 8, [3.5, 4.5])

        nn.Sequential(net).load_state_dict({"0.0": other * 2})
        assert (type(net[0]), net[0].scale, net[0].tolist()) == (Scaled, 8, [7.0, 9.0])


@pytest.mark.since("2.1")
def test_assigning_takes_what_the_dict_holds():
    """``load_state_dict(assign=True)`` registers a ``Parameter`` subclass of the dict as it is.

    A plain tensor of the dict becomes a plain ``nn.Parameter``, whatever class was there before.
    """

    class Scaled(nn.Parameter):
        pass

    net = nn.ParameterList([Scaled(torch.tensor([1.5, 2.5])), nn.Parameter(torch.rand(2))])
    weight = Scaled(torch.tensor([5.5, 6.5]))

    net.load_state_dict({"0": torch.tensor([3.5, 4.5]), "1": weight}, assign=True)

    assert type(net[0]) is nn.Parameter
    assert net[1] is weight

    nn.Sequential(net).load_state_dict({"0.0": weight, "0.1": torch.tensor([3.5, 4.5])}, assign=True)

    assert net[0] is weight
    assert type(net[1]) is nn.Parameter
