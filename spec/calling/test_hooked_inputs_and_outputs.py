"""Which inputs and outputs a backward hook sees, and what it does to them.

To learn the gradients, torch passes the tensors among the positional arguments and among the outputs
through a function of its own. This decides what is seen, and what may no longer be done in place.
"""

import warnings
from collections import namedtuple

import pytest
import torch
from torch import nn

Pair = namedtuple("Pair", ["first", "second"])


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_every_positional_argument_has_its_place():
    """``grad_input`` has one place for each positional argument, ``None`` for what is no tensor."""
    net = Apply(lambda x, factor, names, y: x * factor + y * 5)
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append(given[1]))
    x, y = torch.rand(2, requires_grad=True), torch.rand(2, requires_grad=True)
    net(x, 3, ["a"], y).sum().backward()

    [(of_x, of_factor, of_names, of_y)] = seen
    assert (of_x.tolist(), of_factor, of_names, of_y.tolist()) == ([3.0, 3.0], None, None, [5.0, 5.0])


def test_every_output_has_its_place():
    """``grad_output`` has one place for each output, ``None`` for what is no tensor or is unused."""
    net = Apply(lambda x: (x * 2, "text", x * 3, [x * 5]))
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append(given[2]))
    net(torch.rand(2, requires_grad=True))[2].sum().backward()

    [(of_first, of_text, of_third, of_list)] = seen
    assert (of_first, of_text, of_third.tolist(), of_list) == (None, None, [1.0, 1.0], None)


@pytest.mark.observed
@pytest.mark.parametrize("needed", [False, True], ids=["needs_no_grad", "unused"])
def test_an_input_without_gradient_has_zeros(needed):
    """``grad_input`` holds zeros for a tensor that requires no gradient, and for one that is unused."""
    net = Apply(lambda x, y: x * 3 + y.detach())
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append(given[1]))
    y = torch.tensor([5.0, 7.0], requires_grad=needed)
    net(torch.rand(2, requires_grad=True), y).sum().backward()

    assert [gradient.tolist() for gradient in seen[0]] == [[3.0, 3.0], [0.0, 0.0]]


@pytest.mark.observed
def test_an_unused_input_gets_a_gradient_of_zeros():
    """With a full backward hook, an input that forward leaves unused gets zeros as gradient."""
    net = Apply(lambda x, y: x * 3)
    x, y = torch.rand(2, requires_grad=True), torch.rand(2, requires_grad=True)
    net(x, y).sum().backward()
    assert y.grad is None

    net.register_full_backward_hook(lambda *given: None)
    net(x, y).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]


def test_what_needs_no_gradient_still_needs_none():
    """A tensor that requires no gradient requires none inside a hooked module and among its outputs."""
    inside = []
    net = Apply(lambda x, y: inside.extend([x.requires_grad, y.requires_grad]) or (x * 2, y, x.argmax()))
    net.register_full_backward_hook(lambda *given: None)
    outputs = net(torch.rand(2, requires_grad=True), torch.rand(2))

    assert inside == [True, False]
    assert [output.requires_grad for output in outputs] == [True, False, False]
    assert outputs[2].dtype == torch.int64


def test_keyword_arguments_are_no_inputs():
    """A tensor passed by keyword has no place in ``grad_input``, and its gradient flows unseen."""
    net = Apply(lambda x, scale: x * scale)
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append(given[1]))
    x, scale = torch.rand(2, requires_grad=True), torch.tensor([5.0, 7.0], requires_grad=True)
    net(x, scale=scale).sum().backward()

    assert [gradient.tolist() for gradient in seen[0]] == [[5.0, 7.0]]
    assert torch.equal(scale.grad, x)


@pytest.mark.question("Q47")
def test_without_needy_inputs_it_fires_at_the_outputs():
    """Where no input requires a gradient, a full backward hook fires at the gradients of the outputs.

    It comes before the gradients of the parameters then, and ``grad_input`` holds ``None`` only
    (:pull:`56693`).
    """
    calls = []
    net = nn.Linear(2, 3)
    net.weight.register_hook(lambda gradient: calls.append("weight"))
    net.register_full_backward_hook(lambda *given: calls.append((*given[:2], given[2][0].tolist())))
    net(torch.rand(1, 2)).sum().backward()

    assert calls == [(net, (None,), [[1.0, 1.0, 1.0]]), "weight"]


@pytest.mark.question("Q47")
def test_without_inputs_it_fires_at_the_outputs():
    """A call without positional arguments fires a full backward hook with an empty ``grad_input``."""
    net = Apply(lambda x: x * 2)
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append((given[1], given[2][0].tolist())))
    x = torch.rand(2, requires_grad=True)
    net(x=x).sum().backward()

    assert seen == [((), [1.0, 1.0])]
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.question("Q47")
@pytest.mark.since("2.8")
def test_firing_at_the_outputs_warns():
    """A full backward hook that fires at the outputs gives a ``UserWarning`` (:pull:`155339`)."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))

    with pytest.warns(UserWarning, match="^Full backward hook is firing .* since no inputs require grad"):
        output.sum().backward()


@pytest.mark.question("Q47")
@pytest.mark.before("2.8")
@pytest.mark.observed
def test_firing_at_the_outputs_is_silent():
    """A full backward hook that fires at the outputs gives no warning."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output.sum().backward()

    assert caught == []


def test_at_the_inputs_it_fires_silently():
    """A full backward hook of a module with an input that requires a gradient gives no warning."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layer(torch.rand(1, 2, requires_grad=True)).sum().backward()

    assert caught == []


@pytest.mark.question("Q47")
@pytest.mark.parametrize("wrong", ["tensor", "tuple", "list"])
def test_at_the_outputs_nothing_may_be_replaced(wrong):
    """Where no input requires a gradient, a full backward hook that returns one raises ``RuntimeError``."""
    layer = nn.Linear(2, 3)
    gradient = torch.rand(1, 2)
    returned = {"tensor": gradient, "tuple": (None, gradient), "list": [None]}[wrong]
    layer.register_full_backward_hook(lambda *given: returned)
    output = layer(torch.rand(1, 2))

    with pytest.raises(RuntimeError, match="no input requires gradient should always return None or"):
        output.sum().backward()


def test_at_the_outputs_a_tuple_of_none_is_allowed():
    """Where no input requires a gradient, a full backward hook may return a tuple of ``None`` only."""
    layer = nn.Linear(2, 3)
    calls = []
    layer.register_full_backward_hook(lambda *given: (None,))
    layer.register_full_backward_hook(lambda *given: calls.append("second"))
    layer(torch.rand(1, 2)).sum().backward()

    assert calls == ["second"]
    assert layer.bias.grad.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.question("Q47")
def test_without_needy_outputs_it_never_fires():
    """Where no output requires a gradient, no hook fires and the caller gets the very output."""
    net = Apply(lambda x: x.detach())
    calls = []
    outputs = []
    net.register_full_backward_hook(lambda *given: calls.append("hook"))
    net.register_forward_hook(lambda module, args, output: outputs.append(output))
    x = torch.rand(2, requires_grad=True)
    output = net(x)
    (output * x).sum().backward()

    assert output is outputs[0]
    assert calls == []


@pytest.mark.question("Q49")
@pytest.mark.parametrize("kind", [dict, list], ids=["dict", "list"])
def test_a_dict_or_list_silences_it(kind):
    """For a module that returns a dict or a list, a full backward hook warns and never fires.

    Only a tensor, or a tuple of tensors, is looked into.
    """
    net = Apply(lambda x: kind([("a", x * 2)]))
    calls = []
    net.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    message = f"a Tensor or a tuple of Tensors but received <class '{kind.__name__}'>$"
    with pytest.warns(UserWarning, match="^For backward hooks to be called, .*" + message):
        [(key, value)] = dict(net(x)).items()
    value.sum().backward()

    assert (key, calls, x.grad.tolist()) == ("a", [], [2.0, 2.0])


@pytest.mark.question("Q49")
def test_a_tuple_is_looked_into_once():
    """A tensor nested inside a tuple of outputs is not seen: it counts as no tensor."""
    net = Apply(lambda x: (x * 2, (x * 3,)))
    seen = []
    net.register_full_backward_hook(lambda *given: seen.append(given[1:]))
    first, (nested,) = net(torch.rand(2, requires_grad=True))
    (first.sum() + nested.sum()).backward()

    [((of_x,), (of_first, of_nested))] = seen
    assert (of_x.tolist(), of_first.tolist(), of_nested) == ([5.0, 5.0], [1.0, 1.0], None)


@pytest.mark.since("2.2")
def test_a_named_tuple_stays_one():
    """With a full backward hook a module still returns the named tuple that its forward returns."""
    net = Apply(lambda x: Pair(x * 2, x * 3))
    net.register_full_backward_hook(lambda *given: None)
    outputs = net(torch.rand(2, requires_grad=True))

    assert type(outputs) is Pair
    assert outputs.second.grad_fn.name() == "BackwardHookFunctionBackward"


@pytest.mark.before("2.2")
@pytest.mark.observed
def test_a_named_tuple_becomes_a_tuple():
    """With a full backward hook a named tuple that forward returns becomes a plain tuple."""
    net = Apply(lambda x: Pair(x * 2, x * 3))
    net.register_full_backward_hook(lambda *given: None)

    assert type(net(torch.rand(2, requires_grad=True))) is tuple


def test_plain_tuples_and_tensors_stay_so():
    """A hooked module returns a tensor or a tuple as its forward does, and warns of neither."""
    single, several = Apply(lambda x: x * 2), Apply(lambda x: (x * 2,))
    single.register_full_backward_hook(lambda *given: None)
    several.register_full_backward_hook(lambda *given: None)
    x = torch.rand(2, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kinds = [type(single(x)), type(several(x))]

    assert (kinds, caught) == ([torch.Tensor, tuple], [])


@pytest.mark.question("Q45")
def test_forward_gets_views_and_returns_one():
    """With a full backward hook, forward gets a view of its input and the caller one of the output."""
    inside = []
    net = Apply(lambda x: inside.append(x) or x * 2)
    net.register_full_backward_hook(lambda *given: None)
    x = torch.rand(2, requires_grad=True)
    output = net(x)

    assert inside[0] is not x
    assert inside[0]._base is x
    assert output._is_view()
    assert output.grad_fn.name() == "BackwardHookFunctionBackward"


@pytest.mark.question("Q45")
@pytest.mark.parametrize("kind", ["backward_hook", "backward_pre_hook"])
@pytest.mark.parametrize("hooked", [0, 1], ids=["module_before", "module_itself"])
def test_in_place_changes_are_refused(kind, hooked):
    """With a full backward hook or pre-hook, changing an input or output in place raises ``RuntimeError``.

    A ``ReLU(inplace=True)`` fails if it, or the module before it, is hooked (:issue:`61519`).
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    getattr(net[hooked], f"register_full_{kind}")(lambda *given: None)

    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        net(torch.rand(1, 2))


@pytest.mark.question("Q45")
def test_a_copy_may_be_changed_in_place():
    """The output of a hooked module may be changed in place once it is cloned."""
    layer = nn.Linear(2, 3)
    seen = []
    layer.register_full_backward_hook(lambda *given: seen.append(given[2][0].tolist()))
    x = torch.rand(1, 2, requires_grad=True)
    layer(x).clone().mul_(5).sum().backward()

    assert seen == [[[5.0, 5.0, 5.0]]]
