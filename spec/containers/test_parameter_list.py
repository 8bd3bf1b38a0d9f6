"""ParameterList: parameters, and other values, in a list.

A ``ParameterList`` registers the parameters that are in it. A tensor becomes a parameter on its way in; any
other value is kept as it is and is not among the parameters.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.claim("N3-05")
@pytest.mark.question("Q01")
def test_its_parameters_belong_to_the_model():
    """An :class:`nn.ParameterList <torch.nn.ParameterList>` registers its parameters; a plain list does not.

    The parameters of a plain list are not trained, moved or saved, and nothing says so.
    """
    net = nn.Module()
    net.kept = nn.ParameterList([nn.Parameter(torch.rand(2)), nn.Parameter(torch.rand(3), False)])
    net.lost = [nn.Parameter(torch.rand(4))]
    net.kept[0] = nn.Parameter(torch.rand(5))

    assert [(name, *p.shape) for name, p in net.named_parameters()] == [("kept.0", 5), ("kept.1", 3)]
    assert list(net.state_dict()) == ["kept.0", "kept.1"]


def test_a_tensor_becomes_a_parameter():
    """A ``ParameterList`` wraps a tensor in a parameter that shares its memory; a parameter is kept."""
    tensor, leaf = torch.rand(2), torch.rand(4, requires_grad=True)
    parameter = nn.Parameter(torch.rand(3), requires_grad=False)

    values = nn.ParameterList([tensor, parameter, "text"])
    values[2] = leaf
    for made, given in ((values[0], tensor), (values[2], leaf)):
        assert [type(made), made.requires_grad, made.data_ptr()] == [nn.Parameter, True, given.data_ptr()]
    assert values[1] is parameter


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_an_integer_tensor_cannot_become_a_parameter(dtype):
    """A ``ParameterList`` raises ``RuntimeError`` for an integer tensor, which cannot require grad.

    ``nn.Parameter(tensor, requires_grad=False)`` is accepted.
    """
    tensor, values = torch.tensor([1, 2], dtype=dtype), nn.ParameterList([torch.rand(2)])

    for put in (lambda x: nn.ParameterList([x]), values.append, lambda x: values.__setitem__(0, x)):
        with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
            put(tensor)

    assert nn.ParameterList([nn.Parameter(tensor, requires_grad=False)])[0].tolist() == [1, 2]


@pytest.mark.question("Q25")
def test_other_values_are_kept_as_they_are():
    """A ``ParameterList`` keeps values such as ``None``, a text or a tuple, but not as parameters.

    Such values are not in ``state_dict()`` and do not move with the model, tensors within them neither.
    """
    pair = (torch.rand(2), torch.rand(3))
    values = nn.ParameterList([nn.Parameter(torch.rand(2)), "text", None, pair, (1.5, 2.5)])

    assert list(values)[1:] == ["text", None, pair, (1.5, 2.5)]
    assert [name for name, _ in values.named_parameters()] == ["0"]
    assert list(values.state_dict()) == ["0"]

    values.to("meta")

    assert values[0].is_meta
    assert pair[0].device.type == "cpu"
    assert values[3] is pair


@pytest.mark.question("Q25")
def test_a_module_in_it_is_registered():
    """A module in a ``ParameterList`` is registered: its parameters are in ``named_parameters()``."""
    values = nn.ParameterList([nn.Linear(2, 3), nn.Parameter(torch.rand(2))])

    assert [name for name, _ in values.named_parameters()] == ["1", "0.weight", "0.bias"]


@pytest.mark.parametrize(
    "kind", [list, tuple, iter, nn.ParameterList], ids=["list", "tuple", "iterator", "ParameterList"]
)
def test_it_is_filled_from_any_iterable(kind):
    """A ``ParameterList`` built from an iterable or another ``ParameterList`` holds the same parameters."""
    parameters = [nn.Parameter(torch.rand(2)) for _ in range(12)]

    values = nn.ParameterList(kind(parameters))

    assert [id(p) for p in values] == [id(p) for p in parameters]


def test_a_list_of_nothing_is_empty():
    """``ParameterList()`` and ``ParameterList(None)`` are empty; an empty ``ParameterList`` is falsy."""
    assert [len(nn.ParameterList()), len(nn.ParameterList(None)), len(nn.ParameterList([]))] == [0, 0, 0]
    assert bool(nn.ParameterList()) is False
    assert bool(nn.ParameterList([torch.rand(2)])) is True


@pytest.mark.parametrize("value", [torch.rand(2, 3), nn.Parameter(torch.rand(3)), 3], ids=["2d", "1d", "int"])
def test_a_tensor_is_not_taken_apart(value):
    """``ParameterList(tensor)``, ``extend(tensor)`` and ``+= tensor`` raise ``TypeError``: wrap it in a list.

    Give ``list(tensor)`` for one parameter a row, or ``[tensor]`` for one.
    """
    text = f"^ParameterList.extend should be called with an iterable, but got {type(value).__name__}$"
    values = nn.ParameterList()

    with pytest.raises(TypeError, match=text):
        nn.ParameterList(value)
    with pytest.raises(TypeError, match=text):
        values.extend(value)
    with pytest.raises(TypeError, match=text):
        values += value


def test_an_index_counts_from_both_ends():
    """``values[i]`` of a ``ParameterList`` is the element at position ``i``, from the end if negative."""
    values = nn.ParameterList("abcdefghijkl")

    assert [values[i] for i in range(12)] == list("abcdefghijkl")
    assert [values[i] for i in range(-12, 0)] == list("abcdefghijkl")
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        values[1.0]


@pytest.mark.parametrize(("size", "index"), [(2, 2), (2, -3), (0, 0), (0, -1)])
def test_an_index_past_either_end_is_refused(size, index):
    """An out-of-range index of a ``ParameterList`` raises ``IndexError``, for getting and setting."""
    values = nn.ParameterList("ab"[:size])

    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        values[index]
    with pytest.raises(IndexError, match=f"^index {index} is out of range$"):
        values[index] = "c"

    assert list(values) == list("ab"[:size])


def test_a_slice_is_a_new_list():
    """A slice of a ``ParameterList`` has the same class and the same elements, renumbered from 0."""

    class Stack(nn.ParameterList):
        pass

    a, b, c = (nn.Parameter(torch.rand(size)) for size in (2, 3, 4))
    values = Stack([a, b, c])

    assert type(values[1:]) is type(values[::-2]) is Stack
    assert list(values[1:].named_parameters()) == [("0", b), ("1", c)]
    assert list(values[::-2].named_parameters()) == [("0", c), ("1", a)]
    assert [values[:] is values, len(values)] == [False, 3]


def test_an_element_is_set_by_its_index():
    """``values[i] = tensor`` sets an element of a ``ParameterList`` to a new parameter of that tensor."""
    values = nn.ParameterList([torch.rand(2), torch.rand(4)])
    old, tensor = values[1], torch.full((4,), 7.0)

    values[0] = torch.rand(3)
    values[-1] = tensor

    assert type(values[1]) is nn.Parameter
    assert values[1] is not old
    assert values[1].data_ptr() == tensor.data_ptr()
    assert [tuple(p.shape) for p in values.parameters()] == [(3,), (4,)]


@pytest.mark.question("Q25")
def test_a_parameter_does_not_give_way_to_a_value():
    """``ParameterList`` raises ``TypeError`` for replacing a parameter by anything but a tensor or ``None``.

    A value that is not a parameter can be replaced by a parameter, a tensor or ``None``.
    """
    parameter = nn.Parameter(torch.rand(4))
    values = nn.ParameterList([torch.rand(2), 7, 8, 9])

    for other in (0, nn.ReLU()):
        with pytest.raises(TypeError, match=f"cannot assign '{torch.typename(other)}' as parameter '0'"):
            values[0] = other
    values[0] = torch.rand(3)
    assert values[0].shape == (3,)
    values[0] = parameter
    assert values[0] is parameter

    values[0], values[1], values[2], values[3] = None, parameter, torch.rand(5), None
    assert type(values[2]) is nn.Parameter
    assert [values[0], values[1], values[3]] == [None, parameter, None]


def test_append_to_a_list_of_parameters():
    """:meth:`ParameterList.append <torch.nn.ParameterList.append>` adds one value and returns the list."""
    values, weight, pair = nn.ParameterList(), nn.Parameter(torch.rand(2)), ["a", "b"]
    result = values.append(torch.rand(2)).append("text").append(pair).append(weight)

    assert result is values
    assert [type(value) for value in values] == [nn.Parameter, str, list, nn.Parameter]
    assert [values[1], values[2] is pair, values[3] is weight] == ["text", True, True]


def test_extend_a_list_of_parameters():
    """:meth:`ParameterList.extend <torch.nn.ParameterList.extend>` appends values and returns the list."""
    values, weight = nn.ParameterList(["a"]), nn.Parameter(torch.rand(2))

    result = values.extend(value for value in ("b", weight, torch.rand(3)))

    assert values.extend([]) is result is values
    assert [values[0], values[1], values[2] is weight] == ["a", "b", True]
    assert [type(value) for value in values[2:]] == [nn.Parameter, nn.Parameter]


def test_plus_equals_appends_values():
    """The ``+=`` operator appends the elements of an iterable to the same ``ParameterList`` object."""
    weight = nn.Parameter(torch.rand(2))
    values = before = nn.ParameterList(["a"])
    values += ("b", weight)
    values += nn.ParameterList(["c"])

    assert [values is before, *values] == [True, "a", "b", weight, "c"]


def test_a_list_may_extend_itself():
    """Adding a ``ParameterList`` to itself with ``+=`` appends its elements: each is then in it twice."""
    weight = nn.Parameter(torch.rand(2))
    values = nn.ParameterList(["a", weight])
    values += values

    assert list(values) == ["a", weight, "a", weight]


def test_a_shared_parameter_counts_each_time():
    """A parameter put twice into a ``ParameterList`` is two elements, but ``parameters()`` yields it once."""
    weight = nn.Parameter(torch.rand(2))
    values = nn.ParameterList([weight, weight])

    assert len(values) == 2
    assert [id(value) for value in values] == [id(weight), id(weight)]
    assert [id(p) for p in values.parameters()] == [id(weight)]


def test_an_attribute_is_no_element():
    """A parameter assigned to an attribute of a ``ParameterList`` is registered, but is not an element."""
    values = nn.ParameterList(["a"])
    values.scale = nn.Parameter(torch.rand(2))

    assert len(values) == 1
    assert list(values) == ["a"]
    assert [name for name, _ in values.named_parameters()] == ["scale"]


def test_most_methods_of_a_list_are_missing():
    """Of the methods of ``list``, ``ParameterList`` has only ``append`` and ``extend``.

    To leave out an element, make a new one: ``nn.ParameterList(list(values)[:-1])``.
    """
    values = nn.ParameterList([torch.rand(2)])
    methods = [name for name in dir(list) if not name.startswith("_")]

    assert [name for name in methods if hasattr(values, name)] == ["append", "extend"]


def test_an_element_cannot_be_deleted():
    """``del values[i]`` raises ``AttributeError`` for a ``ParameterList``: elements cannot be deleted."""
    values = nn.ParameterList(["a", "b"])
    for part in (0, -1, slice(1)):
        with pytest.raises(AttributeError, match="__delitem__"):
            del values[part]

    assert list(values) == ["a", "b"]


def test_plus_makes_no_new_list():
    """``ParameterList + list`` raises ``TypeError``; ``+=`` appends the elements of the list.

    A ``ModuleList`` can be added to.
    """
    values = nn.ParameterList(["a", "b"])

    with pytest.raises(TypeError, match="unsupported operand"):
        values + ["c"]  # noqa: RUF005
    values += ["c"]

    assert list(values) == ["a", "b", "c"]


@pytest.mark.question("Q27")
def test_train_does_not_warn():
    """Building a ``ParameterList``, setting its attributes and calling ``train()`` do not warn.

    Older releases warned that setting attributes on it is not supported (:issue:`49285`, :issue:`53179`).
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = nn.ParameterList([torch.rand(2)])
        values.note = "text"
        values.train(False).train()

    assert [str(warning.message) for warning in caught] == []
    assert [values.training, values.note] == [True, "text"]


def test_calling_it_is_an_error():
    """Calling a ``ParameterList`` raises ``RuntimeError``, with or without arguments."""
    with pytest.raises(RuntimeError, match=r"^ParameterList should not be called\.$"):
        nn.ParameterList(["a", "b"])()
    with pytest.raises(RuntimeError, match=r"^ParameterList should not be called\.$"):
        nn.ParameterList(["a", "b"])(1, key="value")


def test_it_prints_kind_dtype_and_size():
    """The ``repr`` of a ``ParameterList`` shows dtype and size of tensors, and the type of other values."""
    values = nn.ParameterList([torch.rand(2, 1, 5), "text", torch.rand((), dtype=torch.float64), 7])

    assert repr(values) == (
        "ParameterList(\n"
        "    (0): Parameter containing: [torch.float32 of size 2x1x5]\n"
        "    (1): Object of type: str\n"
        "    (2): Parameter containing: [torch.float64 of size ]\n"
        "    (3): Object of type: int\n"
        ")"
    )


def test_a_list_of_one_prints_on_one_line():
    """The ``repr`` of a one-element ``ParameterList`` is one line; of an empty one, ``ParameterList()``."""
    texts = [repr(nn.ParameterList(values)) for values in ([], [7], [torch.rand(2)])]

    assert texts[:2] == ["ParameterList()", "ParameterList(  (0): Object of type: int)"]
    assert texts[2] == "ParameterList(  (0): Parameter containing: [torch.float32 of size 2])"


def test_a_plain_tensor_is_printed_as_tensor():
    """The ``repr`` of a ``ParameterList`` marks an element that is a plain tensor with "Tensor containing".

    A tensor set as an attribute stays plain. The lines come from :meth:`~torch.nn.ParameterList.extra_repr`.
    """
    values = nn.ParameterList([7])
    setattr(values, "0", torch.rand(2, 3))

    assert type(values[0]) is torch.Tensor
    assert values.extra_repr() == "  (0): Tensor containing: [torch.float32 of size 2x3]"


@pytest.mark.needs("cuda")
@pytest.mark.since("2.1")
def test_it_prints_the_cuda_device():
    """The ``repr`` of a ``ParameterList`` shows the device of an element on a GPU, such as ``cuda:0``."""
    values = nn.ParameterList([torch.rand(2, device="cuda:0")])

    assert values.extra_repr() == "  (0): Parameter containing: [torch.float32 of size 2 (cuda:0)]"


@pytest.mark.needs("cuda")
@pytest.mark.before("2.1")
def test_it_prints_the_number_of_the_gpu():
    """The ``repr`` of a ``ParameterList`` shows the number of an element's GPU, such as ``GPU 0``."""
    values = nn.ParameterList([torch.rand(2, device="cuda:0")])

    assert values.extra_repr() == "  (0): Parameter containing: [torch.float32 of size 2 (GPU 0)]"


@pytest.mark.since("2.1")
@pytest.mark.parametrize("where", ["cuda:1", "privateuseone:0"])
def test_it_prints_where_a_parameter_says_it_is(where):
    """The ``repr`` of a ``ParameterList`` shows the device of parameters on ``cuda`` and ``privateuseone``.

    The parameter here only says that it is there, so that the clause needs no such device.
    """

    class Far(nn.Parameter):
        device = torch.device(where)

    values = nn.ParameterList([Far(torch.rand(2))])

    assert values.extra_repr() == f"  (0): Parameter containing: [torch.float32 of size 2 ({Far.device})]"


@pytest.mark.parametrize("where", ["meta", "xpu:0"])
def test_it_prints_no_other_device(where):
    """The ``repr`` of a ``ParameterList`` shows no device for parameters on ``meta`` or ``xpu``."""

    class Far(nn.Parameter):
        device = torch.device(where)

    values = nn.ParameterList([Far(torch.rand(2))])

    assert values.extra_repr() == "  (0): Parameter containing: [torch.float32 of size 2]"


def test_dir_of_a_parameter_list_has_no_numbers():
    """``dir()`` of a ``ParameterList`` lists no elements, though ``getattr(values, "1")`` finds one."""
    values = nn.ParameterList([torch.rand(2), "text"])

    assert {"append", "training"} <= set(dir(values))
    assert [name for name in dir(values) if name.isdigit()] == []
    assert getattr(values, "1") == "text"
