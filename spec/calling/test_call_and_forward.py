"""Calling a module, and the forward that it runs.

``forward`` says what a module computes. It is run by calling the module, because the call runs the
hooks as well.
"""

import contextlib

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_call_runs_forward(requires_grad):
    """Without hooks, ``net(x)`` runs ``forward`` once and returns what ``forward`` returns.

    Write :meth:`Module.forward <torch.nn.Module.forward>` and call the module: ``net.forward(x)`` computes
    the same but leaves out every hook, without a warning.
    """
    made = []

    class Scale(nn.Module):
        def forward(self, x, factor):
            made.append((x * factor, None) if factor < 0 else x * factor)
            return made[-1]

    result = Scale()(torch.tensor([2.0, 5.0], requires_grad=requires_grad), 3)

    assert [id(output) for output in made] == [id(result)]
    assert result.tolist() == [6.0, 15.0]
    assert Scale()(torch.tensor([2.0], requires_grad=requires_grad), -1) is made[1]
    assert Scale().eval()(torch.tensor([2.0], requires_grad=requires_grad), 5) is made[2]


@pytest.mark.parametrize("training", [True, False])
def test_every_argument_is_passed_on(training):
    """Without hooks, ``net(...)`` passes positional and keyword arguments to ``forward`` unchanged.

    Pre-hooks may replace them, and a full backward hook makes ``forward`` see views of the tensors.
    """

    class Echo(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    x, y, anything, names = torch.rand(2, requires_grad=True), torch.rand(2), [3.5], {"a": 1}
    with torch.set_grad_enabled(training):
        args, kwargs = Echo().train(training)(x, y, anything, None, scale=x, names=names, flag=False)

    assert args[0] is x
    assert args[1] is y
    assert args[2] is anything
    assert args[3:] == (None,)
    assert list(kwargs) == ["scale", "names", "flag"]
    assert kwargs["scale"] is x
    assert kwargs["names"] is names
    assert kwargs["flag"] is False


@pytest.mark.parametrize(
    "value",
    [None, 3, 2.5, True, "text", [torch.rand(2)], {"a": 1}],
    ids=["none", "int", "float", "bool", "str", "list", "dict"],
)
def test_forward_may_return_anything(value):
    """A module's ``forward`` may return anything: ``None``, a number, a string, a list or a dict."""

    class Answer(nn.Module):
        def forward(self):
            return value

    answer = Answer()
    assert answer() is value

    answer.register_forward_hook(lambda *given: None)
    assert answer() is value


def test_forward_itself_runs_no_hooks():
    """``net.forward(x)`` skips the hooks of ``net`` itself, unlike ``net(x)``.

    Whoever calls ``forward`` by hand gets the right numbers, but what lives in hooks is left out: features
    taken out of a layer, weights computed before each call (:func:`torch.nn.utils.weight_norm`), profilers.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    calls = []
    net.register_forward_pre_hook(lambda module, args: calls.append("pre"))
    net.register_forward_hook(lambda module, args, output: calls.append("post"))
    net.register_full_backward_pre_hook(lambda *given: calls.append("backward pre"))
    net.register_full_backward_hook(lambda *given: calls.append("backward"))
    net[0].register_forward_hook(lambda module, args, output: calls.append("inner"))
    x = torch.rand(1, 2, requires_grad=True)

    by_hand = net.forward(x)
    by_hand.sum().backward()
    calls.append("by hand")
    called = net(x)
    called.sum().backward()

    assert calls == ["inner", "by hand", "pre", "inner", "post", "backward pre", "backward"]
    assert torch.equal(by_hand, called)


def test_a_missing_forward_raises():
    """Calling a module that does not define ``forward`` raises ``NotImplementedError`` with its class
    name.
    """

    class Empty(nn.Module):
        pass

    for kind in (Empty, nn.Module):
        message = rf'^Module \[{kind.__name__}\] is missing the required "forward" function$'
        with pytest.raises(NotImplementedError, match=message):
            kind()(torch.rand(2), 3)


def test_a_missing_forward_refuses_keywords():
    """With keyword arguments, calling a module that does not define ``forward`` raises ``TypeError``."""
    with pytest.raises(TypeError, match="unexpected keyword argument 'scale'"):
        nn.Module()(scale=2)


def test_forward_may_be_replaced_on_one_module():
    """After ``net.forward = function``, ``net(x)`` runs the function; other modules of the class do not."""
    patched, other = nn.ReLU(), nn.ReLU()
    patched.forward = lambda x: x * 10
    x = torch.tensor([-1.0, 2.0])

    assert patched(x).tolist() == [-10.0, 20.0]
    assert other(x).tolist() == [0.0, 2.0]

    patched.register_forward_hook(lambda *given: None)
    patched.register_full_backward_hook(lambda *given: None)
    assert patched(x).tolist() == [-10.0, 20.0]
    assert nn.Sequential(patched, other)(x).tolist() == [0.0, 20.0]


def test_call_assigned_to_one_module_is_ignored():
    """Assigning ``net.__call__`` has no effect on ``net(x)``: Python looks up ``__call__`` on the class."""
    layer = nn.ReLU()
    layer.__call__ = lambda x: "mine"
    net = nn.Sequential(layer, nn.Identity())

    assert layer(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    assert net(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]


def test_an_error_in_forward_reaches_the_caller():
    """An exception raised in ``forward`` reaches the caller of ``net(x)`` unchanged, without notes."""
    error = KeyError("inside")

    class Failing(nn.Module):
        def forward(self, x):
            raise error

    failing = Failing()
    failing.register_forward_hook(lambda module, args, output: None)
    with pytest.raises(KeyError, match="inside") as caught:
        nn.Sequential(failing)(torch.rand(2))

    assert caught.value is error
    assert error.args == ("inside",)
    assert [vars(error), error.__cause__, error.__context__] == [{}, None, None]


def test_a_module_without_init_cannot_be_called():
    """Calling a module whose ``__init__`` does not call ``super().__init__()`` raises ``AttributeError``."""

    class Forgetful(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    forgetful, message = Forgetful(), "'Forgetful' object has no attribute '_backward_hooks'"
    with pytest.raises(AttributeError, match=message):
        forgetful(torch.rand(2))
    with pytest.raises(AttributeError, match=message):
        forgetful(x=3)


def test_a_call_reaches_submodules_through_forward():
    """``net(x)`` runs the hooks of a submodule only if ``forward`` calls that submodule.

    A hook that never fires often sits on a layer that ``forward`` bypasses: it uses the weight of the layer,
    or calls the layer's ``forward`` by hand.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.ReLU()
            self.bypassed = nn.ReLU()
            self.unused = nn.ReLU()

        def forward(self, x):
            return self.used(self.used(self.bypassed.forward(x)))

    net = Net()
    calls = []
    net.used.register_forward_hook(lambda module, args, output: calls.append("used"))
    net.bypassed.register_forward_hook(lambda module, args, output: calls.append("bypassed"))
    net.unused.register_forward_hook(lambda module, args, output: calls.append("unused"))
    net(torch.rand(2))

    assert calls == ["used", "used"]


@pytest.mark.since("2.1")
def test_a_compiled_call_takes_the_place_of_the_call():
    """If ``_compiled_call_impl`` is set, ``net(x)`` calls it instead of running hooks and ``forward``.

    :meth:`Module.compile <torch.nn.Module.compile>` sets it.
    """
    calls = []

    class Net(nn.Module):
        def forward(self, *args, **kwargs):
            calls.append("forward")

    def compiled(*args, **kwargs):
        calls.append("compiled")
        return args, kwargs

    net = Net()
    net.register_forward_pre_hook(lambda module, args: calls.append("pre-hook"))
    net.register_forward_hook(lambda module, args, output: calls.append("hook"))
    net.register_full_backward_hook(lambda *given: calls.append("backward hook"))
    net._compiled_call_impl = compiled

    assert net(5, scale=2) == ((5,), {"scale": 2})
    assert net.eval()(3) == ((3,), {})
    assert calls == ["compiled", "compiled"]


@pytest.mark.parametrize("hooked", [False, True], ids=["without_hooks", "with_hooks"])
def test_tracing_names_the_scopes(hooked):
    """In a ``torch.jit.trace`` graph, ``scopeName()`` of an operation is the path of the submodule that ran
    it.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.ReLU(), nn.Tanh())

        def forward(self, x):
            return self.inner(input=x).neg()

    net = Net()
    if hooked:
        net.inner[0].register_forward_hook(lambda module, args, output: None)
    graph = torch.jit.trace(net, torch.rand(2), check_trace=False).inlined_graph
    scopes = {node.kind(): node.scopeName() for node in graph.nodes() if node.kind().startswith("aten")}

    assert scopes == {
        "aten::relu": "__module.inner/__module.inner.0",
        "aten::tanh": "__module.inner/__module.inner.1",
        "aten::neg": "",
    }


def test_a_failed_call_leaves_its_scope():
    """In ``torch.jit.trace`` graphs, ``scopeName()`` leaves out unregistered modules and calls that
    raised.
    """

    class Failing(nn.Module):
        def forward(self, x):
            raise ValueError

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.failing = Failing()
            self.unregistered = [nn.Tanh()]

        def forward(self, x):
            with contextlib.suppress(ValueError):
                self.failing(x)
            return self.unregistered[0](x).neg()

    graph = torch.jit.trace(Net(), torch.rand(2), check_trace=False).inlined_graph
    scopes = {node.kind(): node.scopeName() for node in graph.nodes() if node.kind().startswith("aten")}

    assert scopes == {"aten::tanh": "", "aten::neg": ""}
