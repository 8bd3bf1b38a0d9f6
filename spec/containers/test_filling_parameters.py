"""Filling a ParameterList or a ParameterDict.

What their constructors call their argument, and which tensors a ``ParameterDict`` refuses. How a tensor
becomes a parameter is in *parameter_list* and *parameter_dict*.
"""

import pytest
import torch
from torch import nn


def test_the_argument_of_parameter_list():
    """The argument of :class:`nn.ParameterList <torch.nn.ParameterList>` is named ``values``, not
    ``parameters``.

    ``ParameterList(parameters=[...])`` raises ``TypeError``. By position it needs no name.
    """
    weight, bias = torch.rand(2, 3), torch.rand(2)

    with pytest.raises(TypeError, match="unexpected keyword argument 'parameters'"):
        nn.ParameterList(parameters=[weight, bias])

    assert [tuple(p.shape) for p in nn.ParameterList(values=[weight, bias])] == [(2, 3), (2,)]
    assert [tuple(p.shape) for p in nn.ParameterList([weight, bias])] == [(2, 3), (2,)]


def test_the_argument_of_parameter_dict():
    """The argument of :class:`nn.ParameterDict <torch.nn.ParameterDict>` is named ``parameters``, not
    ``values``.

    ``ParameterDict(values={...})`` raises ``TypeError``. Nor are keywords taken for keys, as ``dict`` does.
    """
    table = {"left": torch.rand(2), "right": torch.rand(3)}

    with pytest.raises(TypeError, match="unexpected keyword argument 'values'"):
        nn.ParameterDict(values=table)
    with pytest.raises(TypeError, match="unexpected keyword argument 'left'"):
        nn.ParameterDict(**table)

    assert list(nn.ParameterDict(parameters=table)) == ["left", "right"]


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str
)
def test_parameter_dict_refuses_integers(dtype):
    """``ParameterDict`` raises ``RuntimeError`` for an integer or bool tensor unless it is a ``Parameter``.

    That is so in its constructor, by ``table[key] = tensor`` and in ``update``. Such a tensor cannot require
    grad. ``nn.Parameter(tensor, requires_grad=False)`` is accepted.
    """
    table, tensor = nn.ParameterDict({"c": torch.tensor([1j, 2j])}), torch.tensor([0, 1], dtype=dtype)

    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
        nn.ParameterDict({"a": tensor})
    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
        table["a"] = tensor
    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
        table.update({"b": tensor})

    table["frozen"] = frozen = nn.Parameter(tensor, requires_grad=False)
    assert [name for name, _ in table.named_parameters()] == ["c", "frozen"]
    assert nn.ParameterDict({"a": frozen})["a"] is frozen


def test_setdefault_takes_a_parameter_as_it_is():
    """``ParameterDict.setdefault`` inserts a ``Parameter`` as it is; of a tensor it makes a new one.

    So take what it returns, rather than the tensor that was passed. See
    :meth:`~torch.nn.ParameterDict.setdefault`.
    """
    table, tensor = nn.ParameterDict(), torch.rand(3)
    frozen, trained = nn.Parameter(torch.rand(2), requires_grad=False), nn.Parameter(torch.rand(2))

    for key, weight in (("frozen", frozen), ("trained", trained)):
        assert table.setdefault(key, weight) is weight
        assert table[key] is weight

    made = table.setdefault("tensor", tensor)

    assert made is table["tensor"]
    assert made is not tensor
    assert isinstance(made, nn.Parameter)


def test_a_new_tensor_is_a_new_parameter():
    """Assigning a tensor to a key of ``ParameterDict`` or index of ``ParameterList`` makes a new
    ``Parameter``.

    It is trainable even where the old one was frozen, begins without ``grad``, and an optimizer goes on with
    the old one. So it is after a cast such as ``table[key] = table[key].half()``. Write
    ``table[key].data = tensor`` to keep the parameter. See :class:`~torch.nn.ParameterDict`.
    """
    for table, key in ((nn.ParameterDict({"a": torch.ones(2)}), "a"), (nn.ParameterList([torch.ones(2)]), 0)):
        old = table[key].requires_grad_(False)
        optimizer = torch.optim.SGD([old], lr=1.0)

        for tensor in (old * 2, (old * 2).half(), (old.half() * 2).requires_grad_()):
            before, table[key] = table[key], tensor
            assert table[key] is not before
            assert type(table[key]) is nn.Parameter
            assert [table[key].requires_grad, table[key].is_leaf] == [True, True]
            assert table[key].dtype is tensor.dtype
        assert optimizer.param_groups[0]["params"][0] is old

        table[key] = old
        table[key].data = (old * 2).half()
        assert table[key] is old
        assert [old.tolist(), old.requires_grad, old.dtype] == [[2.0, 2.0], False, torch.float16]
