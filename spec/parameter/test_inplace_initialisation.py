"""Writing first values into a parameter, in place.

A parameter is a leaf that requires a gradient, and autograd lets no operation write to such a tensor. There
are three ways round: :class:`torch.no_grad`, ``data``, and the functions of :mod:`torch.nn.init`, which
*init_functions* is about.
"""

import pytest
import torch
from torch import nn


@pytest.mark.claim("N2-25")
def test_writing_into_a_parameter_fails():
    """An in-place operation on an ``nn.Parameter`` that requires grad raises ``RuntimeError`` outside
    ``no_grad``.

    The message calls it "a leaf Variable that requires grad". Write under :class:`torch.no_grad`, or use
    :mod:`torch.nn.init`.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    for name, arguments in [("normal_", ()), ("zero_", ()), ("mul_", (2.0,)), ("copy_", (torch.rand(2),))]:
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-"):
            getattr(weight, name)(*arguments)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
        weight += 1.0

    assert weight.tolist() == [1.5, 2.5]


@pytest.mark.claim("N2-25")
def test_writing_into_a_slice_fails():
    """``parameter[0] = value`` outside ``torch.no_grad`` raises ``RuntimeError`` and changes nothing.

    Write it under :class:`torch.no_grad`.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5]))

    for part in (0, slice(0, 1)):
        with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
            weight[part] = 7.0

    assert weight.tolist() == [1.5, 2.5]


@pytest.mark.claim("N2-25")
def test_under_no_grad_writing_is_allowed():
    """Under :class:`torch.no_grad` a parameter can be changed in place; it remains a leaf that requires
    grad.
    """
    weight = nn.Parameter(torch.tensor([1.5, 2.5, 3.5]))

    with torch.no_grad():
        weight.fill_(4.0)
        weight[1:] = 5.0

    assert weight.tolist() == [4.0, 5.0, 5.0]
    assert (weight.requires_grad, weight.is_leaf) == (True, True)


@pytest.mark.claim("N2-27")
def test_data_needs_no_context():
    """``weight.data.normal_()`` changes a parameter in place without ``torch.no_grad``.

    Autograd does not notice: see :ref:`chapter-parameter.data`.
    """
    weight = nn.Parameter(torch.full((20, 30), 50.0))
    version = weight._version

    weight.data.normal_()

    assert weight.mean().item() == pytest.approx(0, abs=0.3)
    assert weight.std().item() == pytest.approx(1, abs=0.2)
    assert (weight.requires_grad, weight.is_leaf) == (True, True)
    assert weight._version == version


def test_a_frozen_parameter_needs_no_context():
    """A parameter with ``requires_grad=False`` can be changed in place without ``torch.no_grad``."""
    weight = before = nn.Parameter(torch.rand(2), requires_grad=False)

    weight.fill_(4.0)
    weight[1] = 5.0
    weight += 1.0

    assert weight is before
    assert weight.tolist() == [5.0, 6.0]
