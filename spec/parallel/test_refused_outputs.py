"""Outputs that DataParallel does not put together: what ``forward`` is not to return.

:class:`~torch.nn.DataParallel` hands the outputs of its replicas to ``gather``, which knows tensors,
``None``, tuples, lists and dicts. Everything else it takes for a sequence, and rebuilds by calling its class.
"""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch.nn.parallel import gather
from torch.nn.parallel._functions import Gather


def test_dataclasses_cannot_be_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``TypeError`` for outputs that are
    dataclasses.

    Under :class:`~torch.nn.DataParallel` let ``forward`` return a dict, a tuple or a named tuple
    (:issue:`41327`).
    """

    @dataclass
    class Output:
        loss: object

    pair = namedtuple("Pair", "loss logits")(None, None)
    for outputs in ([Output(None)], [Output(None), Output(None)], [[Output(None)]], [{"y": Output(None)}]):
        with pytest.raises(TypeError, match="'Output' object is not iterable"):
            gather(outputs, 0)
    for output in ({"loss": None}, (None, None), pair):
        assert repr(gather([output, output], 0)) == repr(output)


def test_a_dict_with_a_constructor_of_its_own():
    """:func:`parallel.gather <torch.nn.parallel.gather>` makes a subclass of ``dict`` anew from pairs of key
    and value.

    So an output class of a library that is a dict is kept, unless its constructor takes something else.
    """

    class Named(OrderedDict):
        pass

    class Strict(dict):
        def __init__(self, *, loss):
            super().__init__(loss=loss)

    outputs = [Named(loss=None, logits=None), Named(logits=None, loss=None)]
    outputs[0].note = "lost"
    for gathered in (gather(outputs, 0), gather([[output] for output in outputs], 0)[0]):
        assert [type(gathered), list(gathered.items())] == [Named, [("loss", None), ("logits", None)]]
        assert hasattr(gathered, "note") is False
    for outputs in ([Strict(loss=None), Strict(loss=None)], [[Strict(loss=None)]]):
        with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
            gather(outputs, 0)


def test_strings_are_not_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` of strings returns the text of a ``map`` object.

    No error says so. Keep names and other texts out of what ``forward`` returns.
    """
    assert gather(["ab", "cd"], 0).startswith("<map object at")
    assert gather([{"name": "ab"}, {"name": "ab"}], 0)["name"].startswith("<map object at")
    assert gather([[None, ("",)], [None, ("",)]], 0)[1][0].startswith("<map object at")


def test_other_objects_cannot_be_gathered(monkeypatch):
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``TypeError`` for a plain object or a
    ``bool``.

    A flag may be returned as a tensor, which is then joined like others. Here that is done on the CPU.
    """
    for output, name in [(object(), "object"), (True, "bool"), (False, "bool")]:
        for outputs in ([output, output], [(None, output), (None, output)], [{"y": output}, {"y": output}]):
            with pytest.raises(TypeError, match=f"'{name}' object is not iterable"):
                gather(outputs, 0)

    monkeypatch.setattr(Gather, "apply", lambda place, dim, *pieces: torch.cat(pieces, dim))
    assert gather([torch.tensor([True]), torch.tensor([False])], 0).tolist() == [True, False]
