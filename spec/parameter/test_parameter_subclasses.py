"""Parameters of other tensor types.

A tensor of a subclass stays of that subclass when it becomes a parameter: it is marked by a flag, and
``isinstance`` looks at the flag.
"""

import copy

import pytest
import torch
from torch import nn


class Tagged(torch.Tensor):
    """A tensor subclass that changes nothing."""


def tagged():
    return torch.tensor([1.5, 2.5]).as_subclass(Tagged)


def test_keeps_the_type_of_its_tensor():
    """``p = nn.Parameter(x)`` keeps the tensor subclass of ``x``, and ``isinstance(p, nn.Parameter)`` is
    true.

    Use ``isinstance`` to recognize parameters: ``type(p)`` is not ``nn.Parameter`` here.
    """
    for requires_grad in (True, False):
        weight = nn.Parameter(tagged(), requires_grad)

        assert type(weight) is Tagged
        assert isinstance(weight, nn.Parameter)
        assert weight.tolist() == [1.5, 2.5]
        assert (weight.requires_grad, weight.is_leaf) == (requires_grad, True)


def test_a_module_registers_it():
    """A module registers an ``nn.Parameter`` of a tensor subclass, but not a plain tensor of the subclass."""
    net = nn.Module()

    net.scale, net.frozen = nn.Parameter(tagged()), nn.Parameter(tagged(), requires_grad=False)
    net.shift = tagged()

    assert [(name, type(p)) for name, p in net.named_parameters()] == [("scale", Tagged), ("frozen", Tagged)]


def test_subclass_takes_requires_grad():
    """``nn.Parameter`` of a tensor subclass uses the given ``requires_grad``, ``True`` by default."""
    assert nn.Parameter(tagged(), requires_grad=False).requires_grad is False
    assert nn.Parameter(tagged().requires_grad_(), requires_grad=False).requires_grad is False
    assert nn.Parameter(tagged()).requires_grad is True


def test_subclass_source_is_left_alone():
    """``nn.Parameter(x)`` of a tensor subclass shares memory with ``x`` and does not make ``x`` a
    parameter.
    """
    for requires_grad in (True, False):
        values = tagged()

        weight = nn.Parameter(values, requires_grad)

        assert isinstance(values, nn.Parameter) is False
        assert values.requires_grad is False
        assert weight.data_ptr() == values.data_ptr()


def test_any_tensor_with_the_flag_passes():
    """``isinstance(x, nn.Parameter)`` is true for any tensor ``x`` whose ``_is_param`` is true."""
    flagged, unflagged, other = torch.rand(2), torch.rand(2), tagged()
    flagged._is_param, unflagged._is_param, other._is_param = True, False, True
    counts = torch.arange(2)
    counts._is_param = True

    assert [isinstance(t, nn.Parameter) for t in (flagged, other, counts)] == [True, True, True]
    assert [isinstance(t, nn.Parameter) for t in (unflagged, torch.rand(2), tagged())] == [False] * 3


def test_the_flag_is_for_tensors_only():
    """``isinstance(x, nn.Parameter)`` is false for a non-tensor, even if ``x._is_param`` is true."""

    class Impostor:
        _is_param = True

    class TensorLike(Impostor):
        __torch_function__ = torch.Tensor.__torch_function__

    flagged = torch.rand(2)
    flagged._is_param = True

    assert torch.overrides.is_tensor_like(TensorLike())
    assert [isinstance(x, nn.Parameter) for x in (Impostor(), TensorLike())] == [False, False]
    assert isinstance(flagged, nn.Parameter) is True


@pytest.mark.since("2.5")
def test_the_flag_makes_no_subclass():
    """A tensor with ``_is_param=True`` is an instance of ``nn.Parameter``, but not of its subclasses."""

    class Scale(nn.Parameter):
        pass

    weight = nn.Parameter(tagged())

    kinds = (nn.Parameter, Scale, nn.parameter.UninitializedParameter)
    assert [isinstance(weight, kind) for kind in kinds] == [True, False, False]


@pytest.mark.before("2.5")
def test_the_flag_made_every_subclass():
    """A tensor with ``_is_param=True`` passes ``isinstance`` for every subclass of ``nn.Parameter``."""

    class Scale(nn.Parameter):
        pass

    weight = nn.Parameter(tagged())

    kinds = (nn.Parameter, Scale, nn.parameter.UninitializedParameter)
    assert [isinstance(weight, kind) for kind in kinds] == [True, True, True]


def test_prints_like_its_own_type():
    """``nn.Parameter`` of a tensor subclass prints it in ``Parameter(...)``, unless it has its own
    ``__repr__``.
    """

    class Silent(Tagged):
        def __repr__(self, **options):
            return "Silent"

    silent = nn.Parameter(torch.rand(2).as_subclass(Silent))

    assert repr(nn.Parameter(tagged())) == "Parameter(Tagged([1.5000, 2.5000], requires_grad=True))"
    assert repr(nn.Parameter(tagged(), requires_grad=False)) == "Parameter(Tagged([1.5000, 2.5000]))"
    assert repr(silent) == "Silent"


def test_copies_like_its_own_type():
    """``copy.deepcopy`` of an ``nn.Parameter`` of a tensor subclass calls the subclass's ``__deepcopy__``."""

    class Noted(Tagged):
        def __deepcopy__(self, memo):
            return "copied by Noted"

    for requires_grad in (True, False):
        weight = nn.Parameter(torch.rand(2).as_subclass(Noted), requires_grad)

        assert type(weight) is Noted
        assert copy.deepcopy(weight) == "copied by Noted"


def test_detach_keeps_the_type_or_it_fails():
    """``nn.Parameter`` of a tensor subclass raises ``RuntimeError`` if ``detach()`` returns another type."""

    class Forgetful(torch.Tensor):
        __torch_function__ = torch._C._disabled_torch_function_impl

    class Restless(Tagged):
        def detach(self):
            return super().detach().as_subclass(Settled)

    class Settled(Restless):
        pass

    for kind, found in [(Forgetful, "Tensor"), (Restless, "Settled")]:
        told = f"from an instance of type {kind.__name__} .*type {found} was found instead"
        for requires_grad in (True, False):
            with pytest.raises(RuntimeError, match=told):
                nn.Parameter(torch.rand(2).as_subclass(kind), requires_grad)

    assert isinstance(nn.Parameter(tagged()), nn.Parameter)


def test_a_subclass_of_parameter_is_a_parameter():
    """A subclass of :class:`~torch.nn.parameter.Parameter` can be built from a tensor, from a parameter or
    without arguments.
    """

    class Scale(nn.Parameter):
        pass

    scales = [Scale(torch.rand(2)), Scale(nn.Parameter(torch.rand(2)), False), Scale()]

    assert [type(scale) for scale in scales] == [Scale, Scale, Scale]
    assert [scale.requires_grad for scale in scales] == [True, False, True]
    assert [scale.shape for scale in scales] == [(2,), (2,), (0,)]


def test_no_parameter_from_a_subclass_of_parameter():
    """``nn.Parameter(x)`` raises ``RuntimeError`` if ``x`` is of a Parameter subclass whose ``detach()``
    returns a ``Tensor``.

    ``detach()`` of a parameter gives a plain tensor, so this holds for a subclass that changes nothing. Use
    ``nn.Parameter(x.data)``.
    """

    class Scale(nn.Parameter):
        pass

    for trained in (True, False):
        scale = Scale(torch.tensor([1.5, 2.5]), trained)
        for wanted in (True, False):
            with pytest.raises(RuntimeError, match="a Parameter from an instance of type Scale requires"):
                nn.Parameter(scale, wanted)

        assert nn.Parameter(scale.data).tolist() == [1.5, 2.5]


def test_loading_copies_by_the_class_of_the_dict():
    """``load_state_dict`` of a tensor subclass into a plain parameter calls the ``copy_`` of the subclass.

    Quantized weights may have none for that: the error names the key and what the subclass raised. Where it
    copies, the parameter keeps its own type. ``assign=True`` takes the tensor as it is.
    """

    class Packed(Tagged):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.Tensor.copy_:
                raise NotImplementedError("nobody unpacked it")
            return super().__torch_function__(function, types, args, kwargs or {})

    net = nn.ParameterList([torch.tensor([7.0, 9.0])])

    with pytest.raises(RuntimeError, match=r'copying the parameter named "0",.*nobody unpacked it'):
        net.load_state_dict({"0": tagged().as_subclass(Packed)})
    assert net[0].tolist() == [7.0, 9.0]

    net.load_state_dict({"0": tagged()})
    assert (type(net[0]), net[0].tolist()) == (nn.Parameter, [1.5, 2.5])


@pytest.mark.since("2.1")
def test_assigning_changes_the_class_both_ways():
    """``load_state_dict(assign=True)`` makes a parameter of the type that the dict has, subclass or plain.

    So a plain checkpoint undoes what quantized the weights before: load first, quantize then. With
    ``assign=False`` the parameter keeps its type.
    """
    plain, special = (nn.ParameterList([nn.Parameter(x)]) for x in (torch.zeros(2), tagged()))

    kept = nn.ParameterList([nn.Parameter(tagged())])
    kept.load_state_dict({"0": torch.tensor([3.5, 4.5])})
    plain.load_state_dict({"0": tagged()}, assign=True)
    special.load_state_dict({"0": torch.tensor([3.5, 4.5])}, assign=True)

    assert [type(net[0]) for net in (kept, plain, special)] == [Tagged, Tagged, nn.Parameter]
    assert isinstance(plain[0], nn.Parameter)
    assert [net[0].tolist() for net in (kept, plain, special)] == [[3.5, 4.5], [1.5, 2.5], [3.5, 4.5]]
