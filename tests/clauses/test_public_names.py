"""What the API that the specification covers is made of, tried on a made-up module."""

import sys
import types

import pytest

from nnspec.clauses import public_names

SOURCE = """
from collections import OrderedDict

LIMIT = 3

class Layer:
    width: int
    _hidden: int
    depth = 3

    def call(self): ...
    def _inner(self): ...

    @property
    def size(self): ...

    @classmethod
    def made(cls): ...

class Wide(Layer):
    height: int

def build(): ...
def _build(): ...

construct = build
"""


@pytest.fixture
def module(monkeypatch):
    """A module of two classes and a function, in place of torch's."""
    made = types.ModuleType("made_up")
    exec(SOURCE, vars(made))
    monkeypatch.setitem(sys.modules, "made_up", made)
    monkeypatch.setattr(public_names, "CLASSES", ("made_up.Layer", "made_up.Gone"))
    monkeypatch.setattr(public_names, "MODULES", ("made_up", "made_up.gone"))
    yield made
    public_names._found.cache_clear()


LAYER = ["made_up.Layer", *(f"made_up.Layer.{name}" for name in ("call", "made", "size", "width"))]


def test_classes_with_their_attributes_and_what_modules_define(module):
    assert public_names.public_names() == [*LAYER, "made_up.Wide", "made_up.build", "made_up.construct"]


def test_a_module_that_lists_its_names_offers_those(module):
    module.__all__ = ["OrderedDict", "build", "LIMIT", "_build"]

    assert public_names.public_names() == [*LAYER, "made_up.OrderedDict", "made_up.build"]


def test_a_name_leads_to_an_object_to_an_annotation_or_nowhere(module):
    names = (
        "made_up.Layer",
        "made_up.Wide.width",
        "made_up.Wide.weight",
        "made_up.gone.x",
        "absent",
        "made up",
    )

    assert [public_names.find(name) for name in names] == [module.Layer, None, None, None, None, None]
    assert [public_names.exists(name) for name in names] == [True, True, False, False, False, False]


def test_two_names_of_one_object(module):
    assert public_names.same_object("made_up.build", "made_up.construct")
    assert not public_names.same_object("made_up.build", "made_up.Layer")
    assert not public_names.same_object("made_up.gone", "made_up.absent")
    assert not public_names.same_object("made_up.Layer.width", "made_up.Wide.height")
