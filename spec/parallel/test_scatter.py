"""Scatter and gather: how arguments are split over devices and outputs put together.

Both walk through tuples, lists and dicts. Tensors are split and joined; anything else is passed on as it is,
which needs no device and shows how the walk goes.
"""

import warnings
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch.nn.parallel import gather, scatter
from torch.nn.parallel._functions import Gather, Scatter
from torch.nn.parallel.scatter_gather import is_namedtuple, scatter_kwargs

Pair = namedtuple("Pair", "left right")


def test_other_objects_go_to_every_device():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` gives every device the same object if it is not a
    tensor or container.
    """
    for value in (object(), "text", {1, 2}, None, 7, range(3), iter([1]), torch.float16):
        assert [piece is value for piece in scatter(value, [0, 1, 2])] == [True, True, True]


@pytest.mark.parametrize(
    "value",
    [(1, "b"), (1,), [1, "b"], {"a": 1}, Pair(1, "b"), OrderedDict(a=1), ([1], OrderedDict(b=Pair(2, 3)))],
)
def test_containers_are_rebuilt_for_each_device(value):
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` creates new tuples, lists, dicts and named tuples
    for each device.

    A dict keeps its class, such as ``OrderedDict``.
    """
    first, second = scatter(value, [0, 1])

    assert repr(first) == repr(second) == repr(value)
    assert len({id(each) for each in (value, first, second)}) == 3


def test_copies_are_shallow_only_at_the_leaves():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` gives each device its own nested containers, with
    the same objects in them.
    """
    leaf = object()
    value = [{"a": [leaf], "b": {"c": leaf}}]

    first, second = scatter(value, [0, 1])
    first[0]["a"].append(3)
    first[0]["b"]["d"] = 4
    first[0]["e"] = 5

    assert value == second == [{"a": [leaf], "b": {"c": leaf}}]


@pytest.mark.parametrize("empty", [(), [], {}, OrderedDict()], ids=["tuple", "list", "dict", "OrderedDict"])
def test_an_empty_container_is_shared(empty):
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` passes the same empty tuple, list or dict to all
    devices.
    """
    assert [piece is empty for piece in scatter(empty, [0, 1])] == [True, True]
    assert [piece[1] is empty for piece in scatter([1, empty], [0, 1])] == [True, True]
    assert [piece["a"][0] is empty for piece in scatter({"a": (empty,)}, [0, 1])] == [True, True]


def test_no_device_no_piece():
    """For an object without tensors and an empty list of devices, :func:`parallel.scatter
    <torch.nn.parallel.scatter>` returns an empty list.
    """
    for value in ("x", None, [1], (2, "b"), {"a": 1}, Pair(1, "b"), [{"a": 1}, (2, "b")]):
        assert scatter(value, []) == []


def test_positional_and_named_arguments_are_matched(monkeypatch):
    """``scatter_kwargs`` returns a tuple of arguments and a dict of keyword arguments for each device.

    Here tensors are split on the CPU.
    """
    monkeypatch.setattr(Scatter, "apply", lambda places, sizes, dim, x: x.chunk(len(places), dim))

    args, kwargs = scatter_kwargs((torch.tensor([1, 2]), 3), {"a": torch.tensor([4, 5])}, [0, 1])

    assert args == ((torch.tensor([1]), 3), (torch.tensor([2]), 3))
    assert kwargs == ({"a": torch.tensor([4])}, {"a": torch.tensor([5])})


@pytest.mark.parametrize("named", [None, {}])
def test_missing_named_arguments_are_empty_dicts(named):
    """With only positional arguments ``scatter_kwargs`` also returns an empty dict for each device."""
    args, kwargs = scatter_kwargs((1, "b"), named, [0, 1, 2])

    assert (args, kwargs) == (((1, "b"),) * 3, ({}, {}, {}))
    assert len({id(each) for each in kwargs}) == 3


@pytest.mark.parametrize("given", [(), None])
def test_missing_arguments_are_empty_tuples(given):
    """With only keyword arguments ``scatter_kwargs`` also returns an empty tuple for each device."""
    assert scatter_kwargs(given, {"a": 2}, [0, 1, 2]) == (((), (), ()), ({"a": 2}, {"a": 2}, {"a": 2}))


def test_without_arguments_there_is_no_piece():
    """Without any argument ``scatter_kwargs`` returns two empty tuples, however many devices there are."""
    for devices in ([], [0], [0, 1, 2]):
        assert scatter_kwargs((), {}, devices) == scatter_kwargs((), None, devices) == ((), ())


def test_none_is_gathered_to_none():
    """:func:`parallel.gather <torch.nn.parallel.gather>` of outputs that are all ``None`` returns a single
    ``None``.
    """
    assert gather([None, None], 0) is None


@pytest.mark.parametrize(
    "output", [(None, None), [None], {"a": None}, Pair(None, (None,)), OrderedDict(a=[Pair(None, {})])]
)
def test_outputs_keep_their_structure(output, monkeypatch):
    """:func:`parallel.gather <torch.nn.parallel.gather>` joins tuples, lists, dicts and named tuples element
    by element.

    Here tensors are joined on the CPU.
    """
    joined = gather([output, output, output], 0)

    assert repr(joined) == repr(output)

    monkeypatch.setattr(Gather, "apply", lambda place, dim, *pieces: torch.cat(pieces, dim))
    pieces = [[torch.tensor([x + y]) for y in (0, 10, 20)] for x in (1.0, 2.0, 3.0)]
    left, right = gather([Pair(a, {"a": [b, (c, None)]}) for a, b, c in pieces], 0)
    assert left.tolist() == [1.0, 2.0, 3.0]
    inner = right["a"][0].tolist(), right["a"][1][0].tolist(), right["a"][1][1]
    assert inner == ([11.0, 12.0, 13.0], [21.0, 22.0, 23.0], None)


def test_dicts_of_different_size_are_refused():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``ValueError`` for dicts with different
    numbers of keys.
    """
    with pytest.raises(ValueError, match="All dicts must have the same number of keys"):
        gather([{"a": None}, {"a": None, "b": None}], 0)
    with pytest.raises(ValueError, match="All dicts must have the same number of keys"):
        gather([{"a": None, "b": None}, {"a": None, "b": None}, {"a": None}], 0)


def test_dicts_with_different_keys_are_refused():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``KeyError`` if a dict lacks a key of the
    first one.

    The order of the keys is that of the first dict.
    """
    with pytest.raises(KeyError, match="'a'"):
        gather([{"a": None}, {"b": None}], 0)
    with pytest.raises(KeyError, match="'a'"):
        gather([{"a": None}, {"a": None}, {"b": None}], 0)
    assert list(gather([{"b": None, "a": None}, {"a": None, "b": None}], 0)) == ["b", "a"]


@pytest.mark.since("2.10")
def test_lists_of_different_length_are_refused():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``ValueError`` for tuples or lists of
    different length.
    """
    for lists, told in (
        ([[None], [None, None]], "2 is longer than argument 1"),
        ([(None, None), (None,)], "2 is shorter than argument 1"),
        ([Pair(None, None), (None,)], "2 is shorter than argument 1"),
        ([{"a": [None]}, {"a": [None]}, {"a": [None, None]}], "3 is longer than arguments 1-2"),
    ):
        with pytest.raises(ValueError, match=rf"zip\(\) argument {told}"):
            gather(lists, 0)


@pytest.mark.before("2.10")
def test_longer_lists_are_cut():
    """:func:`parallel.gather <torch.nn.parallel.gather>` silently drops the extra elements of longer tuples
    or lists.
    """
    assert gather([[None], [None, None]], 0) == [None]
    assert gather([(None, None), (None,)], 0) == (None,)
    assert gather([{"a": [None]}, {"a": [None]}, {"a": [None, None]}], 0) == {"a": [None]}


def test_numbers_cannot_be_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``TypeError`` for numbers, also inside
    containers.

    Under :class:`~torch.nn.DataParallel` ``forward`` therefore returns a number as a tensor.
    """
    for number, name in ((1, "int"), (2.5, "float"), (3j, "complex")):
        for output in (number, {"loss": number}, (None, [number]), Pair(None, number)):
            with pytest.raises(TypeError, match=f"'{name}' object is not iterable"):
                gather([output, output], 0)


def test_tensors_on_the_cpu_cannot_be_gathered():
    """:func:`parallel.gather <torch.nn.parallel.gather>` raises ``AssertionError`` for tensors on the CPU."""
    for outputs in ([torch.rand(2), torch.rand(3)], [{"y": [torch.tensor([1])]}, {"y": [torch.tensor([2])]}]):
        for place in ("cpu", 0):
            with pytest.raises(AssertionError, match="Gather function not implemented for CPU tensors"):
                gather(outputs, place)


@pytest.mark.since("2.4")
def test_is_namedtuple_is_deprecated():
    """``scatter_gather.is_namedtuple`` gives its deprecation warning as a ``FutureWarning``.

    It still recognizes named tuples.
    """
    for value, expected in ((Pair(1, 2), True), ((1, 2), False), ({"_fields": ()}, False)):
        with pytest.warns(FutureWarning, match="is_namedtuple. is deprecated"):
            assert is_namedtuple(value) is expected


@pytest.mark.before("2.4")
def test_is_namedtuple_warned_users():
    """``scatter_gather.is_namedtuple`` gives its deprecation warning as a ``UserWarning``.

    It still recognizes named tuples.
    """
    with pytest.warns(UserWarning, match="is_namedtuple is deprecated"):
        found = [is_namedtuple(value) for value in (Pair(1, 2), (1, 2), {"_fields": ()})]

    assert found == [True, False, False]


@pytest.mark.needs("cuda")
def test_a_tensor_is_cut_into_pieces():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` splits a tensor along dimension 0 and moves each
    chunk to its device.
    """
    pieces = scatter(torch.arange(5.0), [0, 0])

    assert [piece.tolist() for piece in pieces] == [[0.0, 1.0, 2.0], [3.0, 4.0]]
    assert [str(piece.device) for piece in pieces] == ["cuda:0", "cuda:0"]


@pytest.mark.needs("cuda")
def test_dim_says_where_to_cut():
    """``dim`` of :func:`parallel.scatter <torch.nn.parallel.scatter>` and ``gather`` is the dimension along
    which tensors are split and joined.
    """
    x = torch.arange(6.0).view(2, 3).cuda()

    pieces = scatter(x, [0, 0], 1)

    assert [piece.tolist() for piece in pieces] == [[[0.0, 1.0], [3.0, 4.0]], [[2.0], [5.0]]]
    assert gather(pieces, 0, 1).tolist() == x.tolist()


@pytest.mark.needs("cuda")
def test_fewer_rows_fewer_pieces():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` returns fewer chunks than devices if a tensor has
    fewer rows than devices.

    Other tensors in the same tuple, list or dict lose their further chunks.
    """
    alone = scatter(torch.tensor([[1.0, 2.0]]), [0, 0])
    beside = scatter((torch.tensor([[1.0, 2.0]]), torch.tensor([3.0, 4.0, 5.0])), [0, 0])

    assert [piece.tolist() for piece in alone] == [[[1.0, 2.0]]]
    assert [[piece.tolist() for piece in pair] for pair in beside] == [[[[1.0, 2.0]], [3.0, 4.0]]]


@pytest.mark.needs("cuda")
@pytest.mark.since("2.1")
def test_too_few_named_pieces_are_left_alone():
    """``scatter_kwargs`` pads keyword chunks with ``{}`` only if they are fewer than the positional
    arguments.

    It compares with the number of arguments, not with that of their chunks: one argument in two chunks goes
    with one keyword chunk.
    """
    x, scale = torch.rand(2, 3), torch.rand(1)

    args, named = scatter_kwargs((x,), {"scale": scale}, [0, 0])
    assert (len(args), len(named)) == (2, 1)

    args, named = scatter_kwargs((x, x), {"scale": scale}, [0, 0])
    assert len(args) == 2
    assert [list(piece) for piece in named] == [["scale"], []]


@pytest.mark.needs("cuda")
@pytest.mark.before("2.1")
def test_too_few_named_pieces_were_padded():
    """``scatter_kwargs`` pads keyword chunks with empty dicts up to the number of positional chunks."""
    args, named = scatter_kwargs((torch.rand(2, 3),), {"scale": torch.rand(1)}, [0, 0])

    assert len(args) == 2
    assert [list(piece) for piece in named] == [["scale"], []]


@pytest.mark.needs("cuda")
def test_too_few_positional_pieces_are_padded():
    """``scatter_kwargs`` pads positional chunks with empty tuples up to the number of keyword chunks."""
    args, named = scatter_kwargs((torch.rand(1),), {"scale": torch.rand(2)}, [0, 0])

    assert [len(piece) for piece in args] == [1, 0]
    assert [list(piece) for piece in named] == [["scale"], ["scale"]]


@pytest.mark.needs("cuda")
@pytest.mark.since("2.11")
def test_complex_tensors_stay_complex():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` and ``gather`` split and join complex tensors as
    complex ones.
    """
    values = [1 + 2j, 3 + 4j, 5 + 6j]

    pieces = scatter(torch.tensor(values), [0, 0])

    assert [piece.tolist() for piece in pieces] == [values[:2], values[2:]]
    assert gather(pieces, 0).tolist() == values
    assert gather(pieces[:1], 0).tolist() == values[:2]


@pytest.mark.needs("cuda")
@pytest.mark.before("2.11")
def test_complex_tensors_became_real():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` splits a complex tensor into real tensors of pairs
    (:issue:`55375`).
    """
    pieces = scatter(torch.tensor([1 + 2j, 3 + 4j, 5 + 6j]), [0, 0])

    assert [piece.tolist() for piece in pieces] == [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]


@pytest.mark.needs("cuda")
def test_gradients_flow_back_through_scatter():
    """Gradients of the chunks of :func:`parallel.scatter <torch.nn.parallel.scatter>` flow back to the input,
    on its device.
    """
    x = torch.arange(3.0, requires_grad=True)

    first, second = scatter(x, [0, 0])
    (first.sum() * 2 + second.sum() * 5).backward()

    assert x.grad.device.type == "cpu"
    assert x.grad.tolist() == [2.0, 2.0, 5.0]


@pytest.mark.needs("cuda")
def test_gradients_flow_back_through_gather():
    """The gradient of the result of :func:`parallel.gather <torch.nn.parallel.gather>` is split back to its
    inputs.
    """
    first = torch.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    second = torch.tensor([3.0], device="cuda", requires_grad=True)

    joined = gather([first, second], 0)
    (joined * torch.tensor([2.0, 3.0, 5.0], device="cuda")).sum().backward()

    assert first.grad.tolist() == [2.0, 3.0]
    assert second.grad.tolist() == [5.0]


@pytest.mark.needs("cuda")
def test_outputs_can_be_gathered_on_the_cpu():
    """With ``"cpu"`` as ``target_device``, :func:`parallel.gather <torch.nn.parallel.gather>` returns a
    tensor on the CPU.
    """
    joined = gather([torch.tensor([1.0]).cuda(), torch.tensor([2.0, 3.0]).cuda()], "cpu")

    assert joined.device.type == "cpu"
    assert joined.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.needs("cuda")
def test_only_minus_one_gives_a_warning():
    """:func:`parallel.gather <torch.nn.parallel.gather>` warns of ``-1`` as ``target_device``, but not of
    ``"cpu"``; both join on the CPU.
    """
    pieces = [torch.tensor([1.0]).cuda(), torch.tensor([2.0, 3.0]).cuda()]

    with pytest.warns((UserWarning, FutureWarning), match="Using -1 to represent CPU tensor is deprecated"):
        joined = gather(pieces, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named = gather(pieces, "cpu")

    assert [joined.device.type, named.device.type] == ["cpu", "cpu"]
    assert [joined.tolist(), named.tolist()] == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]


def test_a_named_tuple_is_known_by_its_attributes():
    """:func:`parallel.scatter <torch.nn.parallel.scatter>` keeps the class of a tuple only if it has both
    ``_fields`` and ``_asdict``.

    Other tuples become plain ones, and what is not a tuple goes to all devices as it is.
    """
    fields, by_dict = type("Fields", (tuple,), {"_fields": ()}), type("ByDict", (tuple,), {"_asdict": dict})
    alike = type("Alike", (), {"_fields": (), "_asdict": dict, "__iter__": lambda self: iter([1])})()

    assert [type(piece) for piece in scatter(Pair(1, 2), [0, 1])] == [Pair, Pair]
    assert [type(piece) for piece in scatter(fields([1]), [0, 1])] == [tuple, tuple]
    assert [type(piece) for piece in scatter(by_dict([1]), [0, 1])] == [tuple, tuple]
    assert scatter(alike, [0, 1]) == [alike, alike]
