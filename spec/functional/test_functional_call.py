"""Calling a module with other tensors instead of its own.

For the time of one call the module computes with the tensors it is given; afterwards it has its own again.
"""

from collections import OrderedDict, deque
from types import MappingProxyType

import pytest
import torch
from torch import nn
from torch.func import functional_call


def test_it_computes_with_the_given_tensors(device):
    """``functional_call(module, params, x)`` calls the module with the given tensors as its parameters.

    It is what function transforms and meta-learning need: a module as a function of its parameters.
    """
    layer, x = nn.Linear(2, 1, device=device), torch.tensor([10.0, 100.0]).to(device)
    weight, bias = torch.tensor([[2.0, 3.0]]).to(device), torch.tensor([5.0]).to(device)

    for net, path in ((layer, ""), (nn.Sequential(nn.Sequential(layer)), "0.0.")):
        given = {f"{path}weight": weight, f"{path}bias": bias}
        assert functional_call(net, given, x).tolist() == [325.0]
        given = {name: value.bfloat16() for name, value in given.items()}
        assert functional_call(net, given, x.bfloat16()).dtype is torch.bfloat16


def test_the_module_has_its_own_tensors_afterwards():
    """After ``functional_call`` an ``nn.Linear`` has its original parameters again, unchanged.

    There are two exceptions: a parametrized tensor given by its plain name, in *given_names*, and a submodule
    held under two names, in *ties*.
    """
    layer = nn.Linear(2, 1)
    weight, bias = layer.weight, layer.bias
    before = [weight.tolist(), bias.tolist()]

    functional_call(layer, {"weight": torch.rand(1, 2), "bias": torch.rand(1)}, torch.rand(2))

    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert (layer.weight is weight, layer.bias is bias) == (True, True)
    assert [weight.tolist(), bias.tolist()] == before


def test_also_after_an_exception():
    """``functional_call`` restores the module's parameters even if ``forward`` raises."""
    layer = nn.Linear(2, 1)
    weight = layer.weight

    def stop(x):
        raise KeyboardInterrupt("stop")

    for forward, error in ((layer.forward, RuntimeError), (stop, KeyboardInterrupt)):
        layer.forward = forward
        for net, name in ((layer, "weight"), (nn.Sequential(layer), "0.weight")):
            with pytest.raises(error, match=r"shape|stop"):
                functional_call(net, {name: torch.rand(1, 2)}, torch.rand(5))
            assert layer.weight is weight


def test_what_is_not_given_stays():
    """``functional_call`` uses the module's own value for a parameter that is not given."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.bias, 7.0)

    out = functional_call(layer, {"weight": torch.tensor([[2.0, 3.0]])}, torch.tensor([10.0, 100.0]))

    assert out.tolist() == [327.0]


def test_buffers_are_replaced_too():
    """``functional_call`` replaces given buffers too, such as ``running_mean``.

    With the parameters alone, running statistics of the module itself are changed: give its buffers as well.
    """
    norm = nn.BatchNorm1d(2, eps=3.0).eval()
    norm.register_buffer("running_var", own := torch.ones(2), persistent=False)
    mean, variance = torch.tensor([3.0, 4.0]), torch.tensor([1.0, 13.0])
    for net, at in ((norm, ""), (nn.Sequential(norm), "0.")):
        given = {f"{at}running_mean": mean, f"{at}running_var": variance}
        assert functional_call(net, given, torch.tensor([[10.0, 20.0]])).tolist() == [[3.5, 4.0]]
    assert norm.running_var is own

    parameters = dict(norm.train().named_parameters())
    functional_call(norm, parameters, torch.tensor([[10.0, 20.0], [30.0, 40.0]]))
    assert norm.running_mean.tolist() == [2.0, 3.0]


def test_names_reach_into_submodules():
    """``functional_call`` accepts tensors of submodules under dotted names, such as ``1.0.weight``."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sequential(nn.Linear(2, 1, bias=False)))
    given = {"1.0.weight": torch.tensor([[2.0, 3.0]]), "0.weight": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}

    assert functional_call(net, given, torch.tensor([10.0, 100.0])).tolist() == [230.0]


def test_one_argument_needs_no_tuple():
    """``functional_call(module, params, x)`` passes ``x`` as a single argument unless ``x`` is a tuple."""

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, 3) == (3,)
    assert functional_call(Net(), {}, [3, 4]) == ([3, 4],)
    assert functional_call(Net(), {}, {"a": 3}) == ({"a": 3},)
    assert functional_call(Net(), {}, torch.Size([3, 4])) == (3, 4)


def test_a_tuple_is_several_arguments():
    """``functional_call(module, params, (a, b))`` passes ``a`` and ``b`` as two positional arguments.

    If the only argument is itself a tuple, wrap it in another: ``((a, b),)``.
    """

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, (3, 4)) == (3, 4)
    assert functional_call(Net(), {}, ()) == ()
    assert functional_call(Net(), {}, ((3, 4),)) == ((3, 4),)


def test_keyword_arguments_are_a_dict():
    """``functional_call(module, params, args, kwargs)`` passes the dict ``kwargs`` as keyword arguments."""

    class Net(nn.Module):
        def forward(self, a, b=0, c=0):
            return a, b, c

    assert functional_call(Net(), {}, (3,), {"b": 4, "c": 6}) == (3, 4, 6)
    assert functional_call(Net(), {}, args=(3,), kwargs={"b": 5}) == (3, 5, 0)
    assert functional_call(Net(), {}, torch.tensor(3), {"c": 7}) == (3, 0, 7)


def test_the_keyword_for_the_tensors():
    """``torch.func.functional_call`` takes its tensors as the keyword ``parameter_and_buffer_dicts``.

    Torch's documentation writes ``parameters_and_buffer_dicts``, which raises ``TypeError``.
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([10.0, 100.0])
    given = {"weight": torch.tensor([[2.0, 3.0]])}

    assert functional_call(layer, parameter_and_buffer_dicts=given, args=x).tolist() == [320.0]
    with pytest.raises(TypeError, match="unexpected keyword argument 'parameters_and_buffer_dicts'"):
        functional_call(layer, parameters_and_buffer_dicts=given, args=x)


@pytest.mark.since("2.6")
def test_arguments_may_be_left_out():
    """``functional_call`` with ``args=None``, or without ``args``, passes no positional arguments."""

    class Net(nn.Module):
        def forward(self, *args, scale=1):
            return args, scale

    assert functional_call(Net(), {}, None) == ((), 1)
    assert functional_call(Net(), {}, kwargs={"scale": 3}) == ((), 3)


@pytest.mark.before("2.6")
def test_none_was_an_argument():
    """``functional_call`` with ``args=None`` passes ``None`` to the module as an argument."""

    class Net(nn.Module):
        def forward(self, *args):
            return args

    assert functional_call(Net(), {}, None) == (None,)


def test_hooks_of_the_module_run():
    """``functional_call`` runs the forward hooks and forward pre-hooks of the module."""
    layer = nn.Linear(2, 1, bias=False)
    for _ in range(2):
        layer.register_forward_pre_hook(lambda module, inputs: 10 * inputs[0])
        layer.register_forward_hook(lambda module, inputs, output: output + 1000.0)

    out = functional_call(layer, {"weight": torch.tensor([[2.0, 3.0]])}, torch.tensor([1.0, 2.0]))
    assert out.tolist() == [2800.0]


def test_gradients_flow_to_the_given_tensors():
    """Gradients flow to the tensors given to ``functional_call``, not to the parameters they replace."""
    layer, x = nn.Linear(2, 1), torch.tensor([10.0, 100.0])
    weight = torch.tensor([[2.0, 3.0]], requires_grad=True)
    for given in ({"weight": weight}, ({"weight": 3.0 * weight}, {})):
        functional_call(layer, given, x).backward()
    functional_call(nn.Sequential(layer), {"0.weight": 5.0 * weight}, x).backward()

    assert weight.grad.tolist() == [[90.0, 900.0]]
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [3.0]


def test_inside_the_call_parameters_may_be_plain_tensors():
    """During ``functional_call`` a parameter attribute is the given tensor itself, even if a plain tensor."""
    seen = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.rand(2))

        def forward(self, *args):
            seen.append(self.scale)

    given = torch.rand(3), torch.rand(3, requires_grad=True)
    for net, name in ((Net(), "scale"), (nn.Sequential(Net()), "0.scale")):
        for tensor in given:
            functional_call(net, {name: tensor}, 0)
    assert [id(tensor) for tensor in seen] == [id(tensor) for tensor in given] * 2


def test_in_place_changes_reach_the_given_tensors():
    """An in-place change during ``functional_call`` changes the given tensor, not the module's own tensor."""

    class Net(nn.BatchNorm1d):
        def forward(self, x):
            self.weight.mul_(3.0)
            return super().forward(x)

    net, mean, weight = Net(1, momentum=0.5), torch.tensor([10.0]), torch.tensor([2.0])
    functional_call(net, {"running_mean": mean, "weight": weight}, torch.tensor([[2.0], [6.0]]))

    assert [mean.tolist(), weight.tolist()] == [[7.0], [6.0]]
    assert [net.running_mean.tolist(), net.weight.tolist()] == [[0.0], [1.0]]


def test_new_tensors_reach_the_given_dict():
    """A buffer assigned in ``forward`` during ``functional_call`` is written into the given dict.

    If several dicts are given, none is written to, and the assigned tensor is lost.
    """

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.tensor(2))

        def forward(self, *args):
            self.count = self.count + 1

    counter = Counter()
    for net, name in ((counter, "count"), (nn.Sequential(counter), "0.count")):
        given = {name: torch.tensor(40)}
        functional_call(net, given, 0)
        assert given[name].item() == 41
        functional_call(net, ({}, given), 0)
        assert given[name].item() == 41
        assert counter.count.item() == 2


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_dicts_are_put_together(kind):
    """``torch.func.functional_call`` accepts a tuple or list of dicts, such as parameters and buffers."""
    norm, value = nn.BatchNorm1d(1, eps=3.0).eval(), torch.tensor([5.0])
    given = kind([{"weight": 2 * value}, {}, {"bias": 3 * value, "running_mean": value}])
    assert functional_call(norm, given, torch.tensor([[9.0]])).tolist() == [[35.0]]


def test_an_ordered_dict_is_one_dict():
    """``functional_call`` accepts the ``OrderedDict`` that :meth:`~torch.nn.Module.state_dict` returns.

    Its tensors are detached: for gradients, give ``dict(module.named_parameters())``.
    """
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    x = torch.rand(2)

    assert type(other.state_dict()) is OrderedDict
    assert functional_call(layer, other.state_dict(), x).tolist() == other(x).tolist()
    assert functional_call(layer, other.state_dict(), x).requires_grad is False


def test_a_name_in_two_dicts_is_an_error():
    """``torch.func.functional_call`` raises ``ValueError`` if two of the given dicts contain the same
    name.
    """
    first = {"weight": torch.rand(1, 2), "bias": torch.rand(1)}

    for second in ({"bias": torch.rand(1)}, {"bias": first["bias"]}):
        for tie, dicts in ((True, (first, second)), (False, [first, second]), (True, (first, {}, second))):
            with pytest.raises(ValueError, match=r"\['bias'\] appeared in multiple dictionaries"):
                functional_call(nn.Linear(2, 1), dicts, torch.rand(2), tie_weights=tie)


def test_elements_are_dicts():
    """``torch.func.functional_call`` raises ``ValueError`` for a tuple with an element that is not a dict."""
    given = {"bias": torch.rand(1)}

    for other in (torch.rand(1, 2), None, given.items(), MappingProxyType({}), ({},)):
        for dicts in ((given, other), (other, given), [given, other]):
            with pytest.raises(ValueError, match="Expected all elements of parameter_and_buffer_dicts"):
                functional_call(nn.Linear(2, 1), dicts, torch.rand(2))


@pytest.mark.parametrize(
    "given",
    [{}.items(), MappingProxyType({}), None, iter([{}]), {"weight", "bias"}],
    ids=["items", "mapping", "None", "iterator", "set"],
)
def test_neither_dict_nor_sequence_is_an_error(given):
    """``torch.func.functional_call`` raises ``ValueError`` if the tensors are in neither dict nor sequence.

    A sequence is what ``collections.abc`` calls one: a ``deque`` of dicts is accepted like a list.
    """
    layer, x = nn.Linear(2, 1), torch.rand(2)

    with pytest.raises(ValueError, match=f"list/tuple of dicts, but got {type(given)}"):
        functional_call(layer, given, x)

    assert torch.equal(functional_call(layer, deque([{"bias": layer.bias + 1}]), x), layer(x) + 1)


@pytest.mark.question("Q87")
def test_references_kept_in_a_list_are_not_replaced():
    """``functional_call`` does not replace a parameter that ``forward`` reads from a plain Python list.

    References made in ``__init__``, in a list, dict or closure, go on to lead to the parameter itself,
    without an error. Read ``self.scale`` in forward, or keep them in a :class:`~torch.nn.ParameterList`.

    See also :ref:`containers.module_list.what_is_in_it_is_registered`
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))
            self.scales, self.kept = [self.scale], nn.ParameterList([self.scale])

        def forward(self):
            return self.scale.item(), self.scales[0].item(), self.kept[0].item()

    assert functional_call(Net(), {"scale": torch.tensor(5.0)}, ()) == (5.0, 2.0, 5.0)


def test_a_scripted_module_is_refused():
    """``functional_call`` raises ``RuntimeError`` for a module made by :func:`torch.jit.trace`."""
    layer, x = nn.Linear(2, 1), torch.rand(2)
    assert functional_call(layer, {}, x).tolist() == layer(x).tolist()

    for traced in (torch.jit.trace(layer, x), torch.jit.trace(torch.neg, x)):
        with pytest.raises(RuntimeError, match="stateless API can't be used with Jitted modules"):
            functional_call(traced, {}, x)


@pytest.mark.parametrize("training", [True, False])
def test_it_cannot_be_traced(training):
    """``functional_call`` raises ``RuntimeError`` in a function that :func:`torch.jit.trace` is tracing."""
    layer = nn.Linear(2, 1).train(training)

    with pytest.raises(RuntimeError, match="stateless API can't be used with Jitted modules"):
        torch.jit.trace(lambda bias: functional_call(layer, {"bias": bias}, torch.rand(2)), torch.rand(1))


@pytest.mark.parametrize("kind", [nn.DataParallel, type("Own", (nn.DataParallel,), {})])
@pytest.mark.since("2.1")
def test_data_parallel_is_refused(kind):
    """``functional_call`` raises ``RuntimeError`` for an :class:`nn.DataParallel <torch.nn.DataParallel>`
    module.

    Its replicas would not get the given tensors (:issue:`77576`, :pull:`107403`).
    """
    net = kind(nn.Linear(2, 1))

    with pytest.raises(RuntimeError, match=r"can't be used with nn\.DataParallel module"):
        functional_call(net, {"module.bias": torch.rand(1)}, torch.rand(2))


@pytest.mark.before("2.1")
def test_data_parallel_was_not_refused():
    """``functional_call`` of an :class:`nn.DataParallel <torch.nn.DataParallel>` on one device uses the
    given tensors.
    """
    place = "cuda" if torch.cuda.is_available() else "cpu"
    net = nn.DataParallel(nn.Linear(2, 1, bias=False).to(place), device_ids=[0])
    given = {"module.weight": torch.tensor([[2.0, 3.0]], device=place)}

    out = functional_call(net, given, torch.tensor([10.0, 100.0], device=place))

    assert out.tolist() == [320.0]


def test_a_scripted_layer_within_is_accepted():
    """``functional_call`` can replace parameters of a ``torch.jit.script`` layer inside an ordinary module.

    Only a scripted or traced module itself is refused: put it into a container.
    """
    net, x = nn.Sequential(torch.jit.script(nn.Linear(2, 1))), torch.tensor([[2.0, 3.0]])
    before = net(x).tolist()
    given = {"0.weight": torch.tensor([[5.0, 7.0]]), "0.bias": torch.tensor([1.0])}

    assert functional_call(net, given, x).tolist() == [[32.0]]
    assert net(x).tolist() == before
    gradients = torch.func.grad(lambda tensors: functional_call(net, tensors, x).sum())(given)
    assert gradients["0.weight"].tolist() == [[2.0, 3.0]]
