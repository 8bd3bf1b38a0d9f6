"""Subclasses of lists: what slicing and adding make of them.

A class derived from ``nn.ModuleList`` or ``nn.ParameterList`` may have an ``__init__`` of its own, which
slicing calls. What slices hold otherwise is in *module_list* and *parameter_list*.
"""

import copy

import pytest
import torch
from torch import nn


def test_slicing_calls_the_constructor():
    """Slicing a subclass of ``nn.ModuleList`` calls its ``__init__``, with a list of the same modules.

    A subclass whose ``__init__`` expects something else cannot be sliced: use ``list(layers)[1:]``. See
    :issue:`121008`.
    """
    given = []

    class Stack(nn.ModuleList):
        def __init__(self, *args):
            given.append(args)
            super().__init__(*args)

    class Tower(nn.ModuleList):
        def __init__(self, width, depth):
            super().__init__(nn.Linear(width, width) for _ in range(depth))

    tanh, relu = nn.Tanh(), nn.ReLU()
    rest = Stack([tanh, relu])[::-2]

    assert type(rest) is Stack
    assert given == [([tanh, relu],), ([relu],)]
    assert rest[0] is relu
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'depth'"):
        Tower(3, depth=2)[1:]


def test_slicing_parameters_gives_no_arguments():
    """Slicing a subclass of ``nn.ParameterList`` calls its ``__init__`` without arguments, then fills it.

    So an ``__init__`` with required arguments forbids slices; use ``list(parameters)[1:]``.
    """

    class Stack(nn.ParameterList):
        def __init__(self, *args):
            given.append(args)
            super().__init__(*args)

    given = []
    parameters = [nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3))]
    stack = Stack(parameters)

    for rest in (stack[1:], stack[::-2]):
        assert type(rest) is Stack
        assert len(rest) == 1
        assert rest[0] is parameters[1]
    assert given == [(parameters,), (), ()]


def test_a_sum_is_a_plain_list():
    """``layers + others`` of a subclass of ``nn.ModuleList`` is a plain ``nn.ModuleList``; ``+=`` keeps it.

    ``layers += others`` changes the list in place.
    """

    class Stack(nn.ModuleList):
        pass

    tanh, relu = nn.Tanh(), nn.ReLU()
    layers = before = Stack([tanh])

    for others in (nn.ModuleList([relu]), Stack([relu])):
        joined = layers + others
        assert type(joined) is nn.ModuleList
        assert list(joined) == [tanh, relu]

    layers += [relu]

    assert layers is before
    assert type(layers) is Stack
    assert layers[1] is relu


def test_copying_calls_no_constructor():
    """``copy.deepcopy`` of a subclass of ``nn.ModuleList`` does not call its ``__init__``, unlike a slice."""

    class Tower(nn.ModuleList):
        def __init__(self, width, depth):
            super().__init__(nn.Linear(width, width) for _ in range(depth))
            self.width = width

    tower = copy.deepcopy(Tower(3, depth=2))

    assert type(tower) is Tower
    assert (len(tower), tower.width) == (2, 3)
    assert type(copy.deepcopy(Tower(3, depth=0))) is Tower
    with pytest.raises(TypeError, match="'depth'"):
        tower[:1]
