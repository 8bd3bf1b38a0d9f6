"""Outputs that DataParallel does not put together: what ``forward`` is not to return.

:class:`~torch.nn.DataParallel` hands the outputs of its replicas to ``gather``, which knows tensors,
``None``, tuples, lists and dicts. Everything else it takes for a sequence, and rebuilds by calling its class.
"""

from collections import OrderedDict
from dataclasses import dataclass

import pytest
from torch.nn.parallel import gather


def test_dataclasses_cannot_be_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``TypeError`` for outputs that are
    dataclasses.

    Under :class:`~torch.nn.DataParallel` let ``forward`` return a dict, a tuple or a named tuple
    (:issue:`41327`).
    """

    @dataclass
    class Output:
        loss: object

    for outputs in ([Output(None)], [Output(None), Output(None)]):
        with pytest.raises(TypeError, match="'Output' object is not iterable"):
            gather(outputs, 0)
    assert gather([{"loss": None}, {"loss": None}], 0) == {"loss": None}


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

    gathered = gather([Named(loss=None), Named(loss=None)], 0)

    assert [type(gathered), dict(gathered)] == [Named, {"loss": None}]
    with pytest.raises(TypeError, match="takes 1 positional argument but 2 were given"):
        gather([Strict(loss=None), Strict(loss=None)], 0)


def test_strings_are_not_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` of strings returns the text of a ``map`` object.

    No error says so. Keep names and other texts out of what ``forward`` returns.
    """
    assert gather(["ab", "cd"], 0).startswith("<map object at")
    assert gather([{"name": "ab"}, {"name": "ab"}], 0)["name"].startswith("<map object at")


def test_other_objects_cannot_be_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``TypeError`` for a plain object or a
    ``bool``.

    A flag may be returned as a tensor, which is then joined like others.
    """
    for output, name in [(object(), "object"), (True, "bool")]:
        with pytest.raises(TypeError, match=f"'{name}' object is not iterable"):
            gather([output, output], 0)
