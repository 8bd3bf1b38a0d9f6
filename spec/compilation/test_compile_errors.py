"""Errors on the way through torch.compile.

Some come at once, from :func:`torch.compile` itself, some at the first call, from the compiler or the
backend, and some from ``forward``, which may raise what it likes.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
def test_an_unknown_backend_is_refused_at_once():
    """:func:`torch.compile` raises ``InvalidBackend`` at once if ``backend`` is a name it does not know.

    As a decorator, ``torch.compile(backend="...")`` raises when it is applied.
    ``torch._dynamo.list_backends()`` lists the names there are.
    """
    net = nn.Linear(2, 3)
    decorate = torch.compile(backend="best")

    for compile_it in (lambda: torch.compile(net, backend="best"), lambda: decorate(net)):
        with pytest.raises(torch._dynamo.exc.InvalidBackend, match="Invalid backend: 'best'"):
            compile_it()


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_module_compile_refuses_an_unknown_backend_too():
    """:meth:`Module.compile <torch.nn.Module.compile>` raises ``InvalidBackend`` for an unknown backend.

    The module stays as it was, and a second ``compile`` with a backend that exists works.
    """
    net = nn.Sequential(nn.Linear(2, 3))
    net.forward = lambda x: net[0](x) * 2

    with pytest.raises(torch._dynamo.exc.InvalidBackend, match="Invalid backend: 'best'"):
        net.compile(backend="best")
    assert net(torch.ones(2)).shape == (3,)

    graphs = []
    net.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    assert net(torch.ones(2)).shape == (3,)
    assert len(graphs) == 1


@pytest.mark.needs("compile")
def test_what_is_no_backend_is_noticed_by_the_call():
    """A ``backend`` of ``torch.compile`` that is not a function, or returns none, fails at the first call.

    The error is a ``BackendCompilerFailed``. A backend gets a graph and inputs, and returns what computes it.
    """
    net, x = nn.Linear(2, 3), torch.ones(2)

    for backend, message in ((3, "not callable"), (lambda graph, inputs: None, "did not return callable")):
        compiled = torch.compile(net, backend=backend)
        with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match=message):
            compiled(x)
    assert torch.equal(torch.compile(net, backend=lambda graph, inputs: graph)(x), net(x))


@pytest.mark.needs("compile")
def test_an_error_of_the_backend_is_wrapped():
    """``BackendCompilerFailed`` of ``torch.compile`` has the backend's error as ``inner_exception``.

    Nothing is kept of the failure: the next call hands the backend the graph again.
    """
    tries = []

    def backend(graph, inputs):
        tries.append(len(tries))
        if tries == [0]:
            raise KeyError("no such pass")
        return graph.forward

    net, x = nn.Linear(2, 3), torch.ones(2)
    compiled = torch.compile(net, backend=backend)
    with pytest.raises(RuntimeError, match="backend='backend' raised") as caught:
        compiled(x)

    assert type(caught.value) is torch._dynamo.exc.BackendCompilerFailed
    assert repr(caught.value.inner_exception) == "KeyError('no such pass')"
    assert torch.equal(compiled(x), net(x))
    assert torch.equal(compiled(x), net(x))
    assert tries == [0, 1]


@pytest.mark.needs("compile")
def test_mode_and_options_exclude_each_other():
    """:func:`torch.compile` raises ``RuntimeError`` at once if both ``mode`` and ``options`` are given.

    What a mode sets can be given as options.
    """
    for mode in ("default", "max-autotune"):
        with pytest.raises(RuntimeError, match="Either mode or options can be specified"):
            torch.compile(nn.Linear(2, 3), mode=mode, options={"max_autotune": True})


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_what_cannot_be_called_cannot_be_compiled():
    """:func:`torch.compile` raises ``AssertionError`` for what cannot be called, such as a state dict.

    ``torch.load`` returns one if that was saved: build the model, load the state into it, and compile that.
    """
    state = nn.Linear(2, 3).state_dict()

    with pytest.raises(
        AssertionError, match=r"A callable function is expected, but .*OrderedDict.* is provided"
    ):
        torch.compile(state, backend="eager")

    net = nn.Linear(2, 3)
    net.load_state_dict(state)
    assert torch.equal(torch.compile(net, backend="eager")(torch.ones(2)), net(torch.ones(2)))


@pytest.mark.needs("compile")
def test_an_exception_of_ones_own_arrives():
    """An exception of your own class in a compiled ``forward`` arrives; with ``fullgraph`` it does not.

    With ``fullgraph=True``, :func:`torch.compile` raises ``Unsupported`` in its place. Other calls are not
    affected.
    """

    class Empty(ValueError):
        pass

    class Net(nn.Module):
        def forward(self, x):
            if x.shape[0] == 0:
                raise Empty("no rows")
            return x * 2

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"call_function|Observed exception"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.ones(0, 2))
    compiled = torch.compile(Net(), backend="eager")
    with pytest.raises(Empty, match=r"^no rows$"):
        compiled(torch.ones(0, 2))
    assert compiled(torch.ones(1)).tolist() == [2.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("error", [KeyError, AttributeError])
def test_errors_of_python_arrive(error):
    """A ``KeyError`` or ``AttributeError`` in a compiled ``forward`` arrives as it is.

    With ``fullgraph=True``, :func:`torch.compile` raises ``Unsupported`` instead, whatever the error was.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * ({"a": 2.0}["b"] if error is KeyError else self.missing)

    with pytest.raises(torch._dynamo.exc.Unsupported, match="Observed exception"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.ones(1))
    with pytest.raises(error, match=r"^'b'$|'Net' object has no attribute 'missing'$"):
        torch.compile(Net(), backend="eager")(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.since("2.8")
def test_an_index_error_arrives():
    """An ``IndexError`` in a compiled ``forward`` arrives as it is; with ``fullgraph``, as ``Unsupported``.

    See :func:`torch.compile`
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * [2.0, 3.0][2]

    with pytest.raises(torch._dynamo.exc.Unsupported, match="Observed exception"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.ones(1))
    with pytest.raises(IndexError, match=r"^list index out of range$"):
        torch.compile(Net(), backend="eager")(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.before("2.8")
def test_an_index_error_was_internal():
    """An ``IndexError`` in a compiled ``forward`` arrives as ``InternalTorchDynamoError``.

    It looks like a defect of :func:`torch.compile`, and is one of ``forward``.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * [2.0, 3.0][2]

    with pytest.raises(torch._dynamo.exc.InternalTorchDynamoError, match="list index out of range"):
        torch.compile(Net(), backend="eager")(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.before("2.5")
def test_errors_of_python_were_internal():
    """An ``AttributeError`` in a compiled ``forward`` arrives as ``InternalTorchDynamoError``.

    So it looks like a defect of :func:`torch.compile`. Run the module eagerly to see the error.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * self.missing

    with pytest.raises(torch._dynamo.exc.InternalTorchDynamoError, match="missing"):
        torch.compile(Net(), backend="eager")(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("kind", [nn.Linear, nn.LSTM])
def test_a_layer_made_inside_breaks_a_full_graph(kind):
    """``torch.compile(fullgraph=True)`` raises ``Unsupported`` if ``forward`` makes an ``nn.Linear`` or
    ``LSTM``.

    Without ``fullgraph`` there is a graph break. Make the layer in ``__init__`` (:issue:`128556`). See also
    :ref:`compilation.compiled_modules.a_layer_is_made_on_the_way`
    """

    class Net(nn.Module):
        def forward(self, x):
            kind(2, 2)
            return x * 3

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"nn_parameter construction|nn\.Parameter\(\)"):
        torch.compile(Net(), backend="eager", fullgraph=True)(torch.ones(2))
    assert torch.compile(Net(), backend="eager")(torch.ones(2)).tolist() == [3.0, 3.0]


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_a_second_graph_may_be_an_error():
    """With ``torch._dynamo.config.error_on_recompile=True`` a second graph is a ``RecompileError``.

    The message names what differed. A call that fits a graph still runs. See :func:`torch.compile`
    """
    compiled = torch.compile(nn.Linear(2, 3), backend="eager", dynamic=False)
    compiled(torch.ones(4, 2))

    with torch._dynamo.config.patch(error_on_recompile=True):
        assert compiled(torch.ones(4, 2)).shape == (4, 3)
        with pytest.raises(torch._dynamo.exc.RecompileError, match="size mismatch at index 0"):
            compiled(torch.ones(5, 2))
    assert compiled(torch.ones(5, 2)).shape == (5, 3)


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_a_stance_forbids_a_second_graph():
    """``torch.compiler.set_stance("fail_on_recompile")`` makes calls that need a graph raise
    ``RuntimeError``.

    So does the first call. Where a graph fits, it runs.
    """
    compiled = torch.compile(nn.Linear(2, 3), backend="eager", dynamic=False)
    compiled(torch.ones(4, 2))

    with torch.compiler.set_stance("fail_on_recompile"):
        assert compiled(torch.ones(4, 2)).shape == (4, 3)
        with pytest.raises(RuntimeError, match=r"Detected recompile when torch.compile stance is"):
            compiled(torch.ones(5, 2))
        with pytest.raises(RuntimeError, match=r"Detected recompile when torch.compile stance is"):
            torch.compile(nn.PReLU(), backend="eager")(torch.ones(2))
    assert compiled(torch.ones(5, 2)).shape == (5, 3)
