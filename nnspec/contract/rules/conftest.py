"""What the rules are given, made of the module that is judged."""

import pytest

from nnspec.contract import tree
from nnspec.contract.outcomes import NotApplicable


@pytest.fixture
def build(target):
    """``build()`` makes a fresh module, on the CPU and in train mode, from the same seed each time."""
    return target.build


@pytest.fixture
def example(target):
    """``example()`` gives ``(args, kwargs)``: the same values each time, in tensors of their own."""
    return target.example


@pytest.fixture
def ready(build, example):
    """``ready()`` is a fresh module; one with lazy layers has been called, so that they have their shapes."""
    return lambda: tree.ready(build, example)


@pytest.fixture
def other(target, build, example):
    """``other()`` is a fresh module too, built from another seed."""
    return lambda: tree.ready(build, example, make=target.make)


@pytest.fixture
def unless():
    """``unless(obstacles)`` ends the rule as not applicable if there are any."""

    def unless(obstacles):
        if obstacles:
            raise NotApplicable(obstacles[0])

    return unless
