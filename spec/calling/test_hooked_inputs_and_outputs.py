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
    """In a full backward hook, ``grad_input`` has an entry per positional argument, ``None`` for
    non-tensors.
    """
    net = Apply(lambda x, factor, y, names: x * factor + y * 5)
    seen = []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    x, y = torch.rand(2, requires_grad=True), torch.rand(2, requires_grad=True)
    net(x, 3, y, [x]).sum().backward()

    [(of_x, of_factor, of_y, of_names)] = seen
    assert of_x.tolist() == [3.0, 3.0]
    assert of_factor is None
    assert of_names is None
    assert of_y.tolist() == [5.0, 5.0]


def test_every_output_has_its_place():
    """In a full backward hook, ``grad_output`` has an entry per output, ``None`` for unused and non-tensor
    ones.
    """
    weight, seen = torch.rand(2, requires_grad=True), []
    net = Apply(lambda x: (x * weight, "text", x + weight, [x * 5]))
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output))
    for requires_grad in (True, False):
        net(torch.rand(2, requires_grad=requires_grad))[2].sum().backward()

    found = [[None if grad is None else grad.tolist() for grad in grads] for grads in seen]
    assert found == [[None, None, [1.0, 1.0], None]] * 2


@pytest.mark.parametrize("needed", [False, True], ids=["needs_no_grad", "unused"])
def test_an_input_without_gradient_has_zeros(needed):
    """If one input requires grad, a full backward hook's ``grad_input`` is zeros for inputs that do not.

    It is zeros also for an input that requires grad and is not used. If no input requires grad, all entries
    are ``None``.
    """
    weight, seen = torch.tensor([3.0, 4.0], requires_grad=True), []
    net = Apply(lambda x, y: x * weight + y.detach())
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    y = torch.tensor([5.0, 7.0], requires_grad=needed)
    net(torch.rand(2, requires_grad=True), y).sum().backward()
    net(torch.rand(2), torch.rand(2)).sum().backward()

    [(of_x, of_y), without] = seen
    assert of_x.tolist() == [3.0, 4.0]
    assert of_y.tolist() == [0.0, 0.0]
    assert without == (None, None)


def test_an_unused_input_gets_a_gradient_of_zeros():
    """With a full backward hook, an input that ``forward`` does not use gets a ``grad`` of zeros, not
    ``None``.
    """
    net = Apply(lambda x, y: x * 3)
    x, y = torch.rand(2, requires_grad=True), torch.rand(2, requires_grad=True)
    net(x, y).sum().backward()
    assert y.grad is None

    net.register_full_backward_hook(lambda *given: None)
    net(x, y).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]


def test_what_needs_no_gradient_still_needs_none():
    """A full backward hook does not change ``requires_grad`` of the inputs and outputs of ``forward``."""
    inside = []

    class Net(nn.Module):
        def forward(self, x, y):
            inside.extend([x.requires_grad, y.requires_grad])
            return x * 2, y, x.argmax()

    net = Net()
    net.register_full_backward_hook(lambda *given: None)
    outputs = net(torch.rand(2, requires_grad=True), torch.rand(2))

    assert inside == [True, False]
    assert [output.requires_grad for output in outputs] == [True, False, False]
    assert outputs[2].dtype == torch.int64


def test_keyword_arguments_are_no_inputs():
    """A tensor passed by keyword is not in a full backward hook's ``grad_input``, but gets its ``grad``."""
    net = Apply(lambda x, scale: x * scale)
    seen = []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_input))
    x, scale = torch.rand(2, requires_grad=True), torch.tensor([5.0, 7.0], requires_grad=True)
    net(x, scale=scale).sum().backward()
    net(x=x, scale=scale).sum().backward()

    assert [[of_x.tolist() for of_x in grad_input] for grad_input in seen] == [[[5.0, 7.0]], []]
    assert torch.equal(scale.grad, x * 2)


@pytest.mark.question("Q47")
def test_without_needy_inputs_it_fires_at_the_outputs():
    """If no input requires grad, a full backward hook fires as soon as ``grad_output`` is computed.

    It comes before the gradients of the parameters then, and ``grad_input`` holds ``None`` only
    (:pull:`56693`). So it does on the first layer of most nets. For gradients of parameters use
    :meth:`torch.Tensor.register_hook`; for those of the input call ``x.requires_grad_()`` first.
    """
    net, calls = nn.Linear(2, 3), []
    net.weight.register_hook(lambda gradient: calls.append("weight"))
    for i in (1, 2):
        net.register_full_backward_hook(lambda *seen, i=i: calls.append((i, *seen[:2], seen[2][0].tolist())))
    net(torch.rand(1, 2)).sum().backward()

    assert calls == [(1, net, (None,), [[1.0] * 3]), (2, net, (None,), [[1.0] * 3]), "weight"]


@pytest.mark.question("Q47")
def test_without_inputs_it_fires_at_the_outputs():
    """If a module is called without positional arguments, its full backward hook gets an empty
    ``grad_input``.

    So does ``net(input=x)``: the hook sees positional arguments alone.
    """
    net, seen = Apply(lambda x: x * 2), []
    for i in (1, 2):
        net.register_full_backward_hook(lambda *given, i=i: seen.append((i, given[1], given[2][0].tolist())))
    x = torch.rand(2, requires_grad=True)
    net(x=x).sum().backward()

    assert seen == [(1, (), [1.0, 1.0]), (2, (), [1.0, 1.0])]
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.question("Q47")
@pytest.mark.since("2.8")
def test_firing_at_the_outputs_warns():
    """A full backward hook causes a ``UserWarning`` in ``backward()`` if no input requires grad.

    It says that the hook fires at the outputs (:pull:`155339`).
    """
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))

    with pytest.warns(
        UserWarning, match="^Full backward hook is firing .* module outputs since no inputs require grad"
    ):
        output.sum().backward()


@pytest.mark.question("Q47")
@pytest.mark.before("2.8")
def test_firing_at_the_outputs_is_silent():
    """A full backward hook does not warn in ``backward()`` if no input requires grad."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    output = layer(torch.rand(1, 2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output.sum().backward()

    assert caught == []


def test_at_the_inputs_it_fires_silently():
    """A full backward hook does not warn in ``backward()`` if an input requires grad."""
    layer = nn.Bilinear(2, 2, 3)
    layer.register_full_backward_hook(lambda *given: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for needy in (0, 1):
            layer(*[torch.rand(1, 2, requires_grad=place == needy) for place in (0, 1)]).sum().backward()

    assert caught == []


@pytest.mark.question("Q47")
@pytest.mark.parametrize(
    "returned",
    [torch.tensor([[2.0, 3.0]]), (torch.tensor([[2.0, 3.0]]),), (None, torch.tensor([[2.0, 3.0]]))],
    ids=["tensor", "tuple", "after None"],
)
def test_at_the_outputs_nothing_may_be_replaced(returned):
    """If no input requires grad, a full backward hook that returns a gradient raises ``RuntimeError``."""
    layer = nn.Linear(2, 3)
    layer.register_full_backward_hook(lambda *given: returned)
    output = layer(torch.rand(1, 2))

    with pytest.raises(RuntimeError, match="no input requires gradient should always return None or"):
        output.sum().backward()


def test_at_the_outputs_a_tuple_of_none_is_allowed():
    """If no input requires grad, a full backward hook may return ``(None,)``, but no ``[None]``."""
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    calls = []
    layer.register_full_backward_hook(lambda *given: (None,))
    layer.register_full_backward_hook(lambda *given: calls.append("second"))
    layer(torch.rand(1, 2)).sum().backward()
    assert calls == ["second"]
    assert layer.bias.grad.tolist() == [1.0, 1.0, 1.0]

    other.register_full_backward_hook(lambda *given: [None])
    with pytest.raises(RuntimeError, match="no input requires gradient should always return None or"):
        other(torch.rand(1, 2)).sum().backward()


@pytest.mark.question("Q47")
def test_without_needy_outputs_it_never_fires():
    """If no output requires grad, a full backward hook never fires, and ``net(x)`` returns the output itself.

    The caller gets the very object that ``forward`` returned.
    """
    net, calls = Apply(lambda x: (x.detach(), 3) if x.dim() else x.detach()), []
    net.register_full_backward_hook(lambda *given: calls.append("hook"))
    net.register_forward_hook(lambda module, args, output: calls.append(output))
    x, y = torch.rand(2, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    outputs = net(x), net(y)
    ((outputs[0][0] * x).sum() * outputs[1] * y).backward()

    assert [id(output) for output in calls] == [id(output) for output in outputs]


@pytest.mark.question("Q49")
@pytest.mark.parametrize(("kind", "wrap"), [("dict", lambda y: {0: y}), ("list", lambda y: [y])])
def test_a_dict_or_list_silences_it(kind, wrap):
    """A full backward hook on a module that returns a ``dict`` or a ``list`` warns and never fires.

    Only a tensor or a tuple of tensors is supported as output. Return a tuple, or hook a module inside that
    returns a tensor, or the tensor itself with :meth:`torch.Tensor.register_hook`.
    """
    calls = []
    net = Apply(lambda x: wrap(x * 2))
    net.register_full_backward_hook(lambda *given: calls.append("hook"))
    x = torch.rand(2, requires_grad=True)
    x.register_hook(lambda gradient: calls.append(gradient.tolist()))
    message = f"a Tensor or a tuple of Tensors but received <class '{kind}'>$"
    with pytest.warns(UserWarning, match="^For backward hooks to be called, .*" + message):
        output = net(x)
    output[0].sum().backward()

    assert calls == [[2.0, 2.0]]


@pytest.mark.question("Q49")
def test_a_tuple_is_looked_into_once():
    """In a full backward hook, ``grad_output`` is ``None`` for a tuple nested in the tuple of outputs."""
    net = Apply(lambda x: (x * 2, (x * 3,)))
    seen = []
    net.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output))
    x = torch.rand(2, requires_grad=True)
    first, (nested,) = net(x)
    (first.sum() + nested.sum()).backward()

    [(of_first, of_nested)] = seen
    assert of_first.tolist() == [1.0, 1.0]
    assert of_nested is None
    assert x.grad.tolist() == [5.0, 5.0]


@pytest.mark.since("2.2")
def test_a_named_tuple_stays_one():
    """With a full backward hook, a module still returns the ``namedtuple`` type that ``forward`` returns.

    What ``torch.max(x, 0)`` returns is none, though it has names: to return it raises ``TypeError``.
    """
    net, named = Apply(lambda x: Pair(x * 2, x * 3)), Apply(lambda x: torch.max(x, 0))
    for module in (net, named):
        module.register_full_backward_hook(lambda *given: None)
    outputs = net(torch.tensor([5.0, 7.0], requires_grad=True))

    assert type(outputs) is Pair
    assert outputs.first.tolist() == [10.0, 14.0]
    assert outputs.second.tolist() == [15.0, 21.0]
    with pytest.raises(TypeError, match="constructor requires a sequence"):
        named(torch.tensor([5.0, 7.0], requires_grad=True))


@pytest.mark.before("2.2")
def test_a_named_tuple_becomes_a_tuple():
    """With a full backward hook, a ``namedtuple`` returned by ``forward`` becomes a plain ``tuple``."""
    net = Apply(lambda x: Pair(x * 2, x * 3))
    net.register_full_backward_hook(lambda *given: None)

    assert type(net(torch.rand(2, requires_grad=True))) is tuple


@pytest.mark.parametrize("needed", [True, False], ids=["requires_grad", "needs_no_grad"])
def test_plain_tuples_and_tensors_stay_so(needed):
    """A full backward hook does not change whether a module returns a tensor or a ``tuple``."""
    single, several = Apply(lambda x: x * 2), Apply(lambda x: (x * 2,))
    single.register_full_backward_hook(lambda *given: None)
    several.register_full_backward_hook(lambda *given: None)
    x = torch.tensor([5.0, 7.0], requires_grad=needed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output, outputs = single(x), several(x)

    assert caught == []
    assert type(output) is torch.Tensor
    assert output.tolist() == [10.0, 14.0]
    assert type(outputs) is tuple
    assert [output.tolist() for output in outputs] == [[10.0, 14.0]]


@pytest.mark.question("Q45")
def test_forward_gets_views_and_returns_one():
    """With a full backward hook, ``forward`` gets views of its positional tensors if one requires grad.

    The others arrive as views too, keyword arguments as they are, and the caller gets a view of the output.
    This is why in-place operations fail, and why ``is`` does not find the tensor that was passed.
    """
    inside = []

    class Net(nn.Module):
        def forward(self, x, y, scale):
            inside.extend([x, y, scale])
            return x * y * scale, x * y

    net = Net()
    net.register_full_backward_hook(lambda *given: None)
    x, y, scale = torch.rand(2, requires_grad=True), torch.rand(2), torch.rand(2, requires_grad=True)
    outputs = net(x, y, scale=scale)

    assert [tensor._is_view() for tensor in inside] == [True, True, False]
    assert inside[0]._base is x
    assert inside[1]._base is y
    assert inside[2] is scale
    assert [output._is_view() for output in outputs] == [True, True]
    assert [output.grad_fn.name() for output in outputs] == ["BackwardHookFunctionBackward"] * 2


@pytest.mark.question("Q45")
def test_the_very_tensors_arrive_without_needy_ones():
    """With a full backward hook, ``forward`` gets the original tensors if no positional one requires grad."""
    inside = []
    net = Apply(lambda x, y, scale: (x, y, scale))
    net.register_full_backward_hook(lambda *given: None)
    net.register_forward_hook(lambda module, args, output: inside.extend(output))
    x, y, scale = torch.rand(2), torch.rand(2), torch.rand(2, requires_grad=True)
    net(x, y, scale=scale)

    assert inside[0] is x
    assert inside[1] is y
    assert inside[2] is scale


@pytest.mark.question("Q45")
@pytest.mark.parametrize("kind", ["backward_hook", "backward_pre_hook"])
@pytest.mark.parametrize("hooked", [0, 1], ids=["module_before", "module_itself"])
def test_in_place_changes_are_refused(kind, hooked):
    """``ReLU(inplace=True)`` raises ``RuntimeError`` with a full backward hook on it or before, if grad is
    needed.

    A full backward pre-hook is enough (:issue:`61519`). The ``RuntimeError`` says that a view is modified.
    Set ``inplace=False`` in a net that is to be hooked; models of torchvision mostly have ``True``.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True))
    getattr(net[hooked], f"register_full_{kind}")(lambda *given: None)

    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        net(torch.rand(1, 2))
    with torch.no_grad():
        assert net(torch.rand(1, 2)).shape == (1, 3)
    assert net.requires_grad_(False)(torch.rand(1, 2)).shape == (1, 3)


@pytest.mark.question("Q45")
def test_a_copy_may_be_changed_in_place():
    """A ``clone()`` of the output of a module with a full backward hook may be modified in place."""
    layer = nn.Linear(2, 3)
    seen = []
    layer.register_full_backward_hook(
        lambda module, grad_input, grad_output: seen.append(grad_output[0].tolist())
    )
    x = torch.rand(1, 2, requires_grad=True)
    layer(x).clone().mul_(5).sum().backward()

    assert seen == [[[5.0, 5.0, 5.0]]]
