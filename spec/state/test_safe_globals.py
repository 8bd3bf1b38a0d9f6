"""What was declared safe to load, and what is found in a file without loading it.

With ``weights_only=True`` a file may name only what torch itself allows and what was declared. The names are
those that pickle wrote down, which are not always those one expects.
"""

import argparse
import datetime
import fractions
import io
import operator
import os
import pickle
import pydoc
import sys

import numpy as np
import pytest
import torch


@pytest.mark.since("2.5")
def test_a_safe_function_is_called():
    """``torch.load(weights_only=True)`` calls a function from the file if it is declared in ``safe_globals``.

    Declare safe only what may run with any arguments.
    """

    class Sum:
        def __reduce__(self):
            return operator.add, (3, 4)

    file = io.BytesIO()
    torch.save(Sum(), file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"operator\.add"):
        torch.load(file, weights_only=True)
    file.seek(0)

    with torch.serialization.safe_globals([operator.add]):
        assert torch.load(file, weights_only=True) == 7


@pytest.mark.since("2.5")
@pytest.mark.parametrize(
    "function", [os.getcwd, os.get_exec_path, sys.getrecursionlimit], ids=["built in", "os", "sys"]
)
def test_functions_of_the_system_stay_refused(function):
    """``torch.load(weights_only=True)`` raises for functions of ``os``, even those in ``safe_globals``.

    Those of ``sys`` likewise. No error says so at the declaration.
    """

    class Where:
        def __reduce__(self):
            return function, ()

    file = io.BytesIO()
    torch.save(Where(), file)
    file.seek(0)

    with torch.serialization.safe_globals([function]):
        assert function in torch.serialization.get_safe_globals()
        with pytest.raises(pickle.UnpicklingError, match=r"whose module (posix|nt|os|sys) is blocked"):
            torch.load(file, weights_only=True)


@pytest.mark.since("2.6")
def test_a_class_may_stand_in_for_a_name():
    """``safe_globals([(cls, "module.Name")])`` makes ``torch.load`` use ``cls`` for that name in the file.

    So a file survives that a class was moved or renamed.
    """

    class Moved:
        def __init__(self, *given):
            self.given = given

    file = io.BytesIO()
    torch.save(datetime.timedelta(days=3), file)
    file.seek(0)
    with torch.serialization.safe_globals([(Moved, "datetime.timedelta")]):
        loaded = torch.load(file, weights_only=True)
    file.seek(0)

    assert type(loaded) is Moved
    assert loaded.given == (3, 0, 0)
    with (
        torch.serialization.safe_globals([(datetime.timedelta, "datetime.Moved")]),
        pytest.raises(pickle.UnpicklingError, match=r"datetime\.timedelta"),
    ):
        torch.load(file, weights_only=True)


@pytest.mark.since("2.6")
@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (argparse.HelpFormatter._Section, argparse.HelpFormatter),
        (fractions.Fraction.limit_denominator, fractions.Fraction),
    ],
    ids=["class", "function"],
)
def test_a_nested_class_is_reached_by_getattr(inner, outer):
    """``torch.load(weights_only=True)`` needs a nested class's outer class and ``getattr`` in
    ``safe_globals()``.

    The file names it by these two, so ``safe_globals([cls])`` alone does not help with ``weights_only=True``.
    To declare ``getattr`` safe opens the door to nearly everything. Move the class to the top of its module.
    """
    file = io.BytesIO()
    torch.save(inner, file)
    file.seek(0)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert sorted(names) == sorted([f"{outer.__module__}.{outer.__name__}", "builtins.getattr"])

    for declared, refused in ([inner], "getattr"), ([outer], "getattr"), ([inner, getattr], outer.__name__):
        file.seek(0)
        with (
            torch.serialization.safe_globals(declared),
            pytest.raises(pickle.UnpicklingError, match=f"{refused} was not an allowed global"),
        ):
            torch.load(file, weights_only=True)
    file.seek(0)
    with torch.serialization.safe_globals([outer, getattr]):
        assert torch.load(file, weights_only=True) is inner


@pytest.mark.since("2.5")
def test_the_end_of_a_block_undoes_an_earlier_declaration():
    """Leaving ``safe_globals([cls])`` also takes back an earlier ``add_safe_globals([cls])``.

    A library that uses the context manager may so undo what the program declared for good.
    """
    torch.serialization.add_safe_globals([fractions.Fraction])
    with torch.serialization.safe_globals([datetime.timedelta]):
        pass
    assert fractions.Fraction in torch.serialization.get_safe_globals()

    with torch.serialization.safe_globals([fractions.Fraction]):
        pass
    assert fractions.Fraction not in torch.serialization.get_safe_globals()


@pytest.mark.since("2.6")
@pytest.mark.needs("distributed")
def test_torch_declares_classes_itself():
    """:func:`torch.serialization.get_safe_globals` also lists what torch added, such as ``DTensor`` if
    imported.

    To find what the program added, compare with the list from before.
    """
    from torch.distributed.tensor import DTensor

    assert DTensor in torch.serialization.get_safe_globals()


@pytest.mark.since("2.6")
def test_what_is_safe_is_not_listed():
    """``get_unsafe_globals_in_checkpoint()`` omits what ``add_safe_globals()``, ``safe_globals`` or torch
    allows.

    See :func:`torch.serialization.get_unsafe_globals_in_checkpoint`.
    """
    file = io.BytesIO()
    torch.save([torch.rand(2), datetime.timedelta(days=3), fractions.Fraction(3, 4)], file)
    torch.serialization.add_safe_globals([datetime.timedelta])
    file.seek(0)

    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    file.seek(0)
    with torch.serialization.safe_globals([fractions.Fraction, datetime.timedelta]):
        none = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    file.seek(0)

    assert names == ["fractions.Fraction"]
    assert none == []
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert sorted(names) == ["datetime.timedelta", "fractions.Fraction"]


@pytest.mark.since("2.6")
def test_listing_runs_nothing(tmp_path):
    """:func:`torch.serialization.get_unsafe_globals_in_checkpoint` runs no code of the file."""

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save(Attack(), tmp_path / "model.pt")

    names = torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / "model.pt")

    assert names == [f"{os.mkdir.__module__}.mkdir"]
    assert os.listdir(tmp_path) == ["model.pt"]


@pytest.mark.since("2.6")
def test_the_old_format_cannot_be_listed():
    """``get_unsafe_globals_in_checkpoint`` raises ``ValueError`` for a file of the old format.

    ``UnpicklingError`` for one that was saved with ``pickle_protocol=4``. Both are files of ``torch.save``.
    """
    old, new = io.BytesIO(), io.BytesIO()
    torch.save(fractions.Fraction(3, 4), old, _use_new_zipfile_serialization=False)
    torch.save(fractions.Fraction(3, 4), new, pickle_protocol=4)
    old.seek(0)
    new.seek(0)

    with pytest.raises(ValueError, match=r"Expected input to be a checkpoint returned by torch\.save"):
        torch.serialization.get_unsafe_globals_in_checkpoint(old)
    with pytest.raises(pickle.UnpicklingError, match="Unsupported operand 149"):
        torch.serialization.get_unsafe_globals_in_checkpoint(new)


@pytest.mark.since("2.6")
def test_numpy_values_take_several_names():
    """``torch.load`` raises ``UnpicklingError`` for NumPy values unless several names are declared safe.

    Those of a file are listed by :func:`torch.serialization.get_unsafe_globals_in_checkpoint`; the class of
    the dtype is needed besides. Save ``float(value)`` and :func:`torch.from_numpy` of an array instead.
    """
    file = io.BytesIO()
    torch.save({"best": np.float64(1.5), "order": np.array([2, 3])}, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"numpy\._?core\.multiarray\.scalar was not an allowed"):
        torch.load(file)

    file.seek(0)
    names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    assert sorted(name.replace("_core", "core") for name in names) == [
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.dtype",
        "numpy.ndarray",
    ]

    listed = [pydoc.locate(name) for name in names]
    file.seek(0)
    with torch.serialization.safe_globals(listed), pytest.raises(pickle.UnpicklingError, match="DType"):
        torch.load(file)
    file.seek(0)
    with torch.serialization.safe_globals([*listed, np.dtypes.Float64DType, np.dtypes.Int64DType]):
        loaded = torch.load(file)
    assert [loaded["best"], loaded["order"].tolist()] == [1.5, [2, 3]]


@pytest.mark.since("2.5")
@pytest.mark.parametrize("function", [torch.nn.functional.gelu, torch.nn.functional.relu])
def test_a_function_may_be_declared_safe(function):
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for a function unless it is declared safe.

    ``torch.serialization.safe_globals([function])`` allows it, as it does a class.
    """
    file = io.BytesIO()
    torch.save({"activation": function}, file)

    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=f"{function.__name__} was not an allowed global"):
        torch.load(file, weights_only=True)

    file.seek(0)
    with torch.serialization.safe_globals([function]):
        assert torch.load(file, weights_only=True) == {"activation": function}
