"""Training and evaluating a compiled module: dropout, checkpoints, autocast, casts, steps and errors.

The backends here are those that need no compiler, ``eager``, ``aot_eager`` and one's own: they show what
``torch.compile`` captures. ``inductor``, the default, may draw other random numbers.
"""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@pytest.mark.needs("compile")
def test_nothing_is_compiled_before_the_first_call():
    """:func:`torch.compile` of a module compiles nothing until it is called.

    Errors of the backend come then, and a first call may take minutes.
    """
    graphs, net = [], nn.Sequential(nn.Linear(1, 1))
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    assert graphs == []
    compiled(torch.ones(1))
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_dropout_drops_the_same(backend):
    """With ``backend="eager"`` or ``"aot_eager"`` a compiled Dropout drops what the module drops from a seed.

    A difference from the module is one of ``inductor``, where
    ``torch._inductor.config.fallback_random = True`` draws the same numbers.
    """
    net, x = nn.Sequential(nn.Dropout(0.5)), torch.ones(64)
    compiled = torch.compile(net, backend=backend)
    compiled(x)

    results = []
    for module in (net, compiled, compiled):
        torch.manual_seed(3)
        results.append(module(x))

    assert all(torch.equal(results[0], result) for result in results[1:])
    assert not torch.equal(results[0], compiled(x))


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_is_compiled(use_reentrant):
    """A ``forward`` compiled by ``torch.compile`` may use ``checkpoint``, in one graph, with the same
    gradients.

    The two forms make no difference here (:issue:`97436`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return checkpoint(self.layer, x.sin(), use_reentrant=use_reentrant).cos()

    graphs, net, grads = [], Net(), []
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    for module in (net, compiled):
        x = torch.ones(3, 2, requires_grad=True)
        net.zero_grad()
        module(x).sum().backward()
        grads.append([x.grad, net.layer.weight.grad])

    torch.testing.assert_close(*grads)
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_autocast_has_a_graph_of_its_own():
    """A compiled module called inside ``torch.autocast`` and outside has a graph for each, with its
    dtype.
    """
    graphs, dtypes, net, x = [], [], nn.Sequential(nn.Linear(2, 2)), torch.ones(2)
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    for enabled in (False, True, True, False):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            dtypes.append(compiled(x).dtype)

    assert dtypes == [torch.float32, torch.bfloat16, torch.bfloat16, torch.float32]
    assert len(graphs) == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_a_step_may_be_compiled(kind):
    """A function that calls ``optimizer.step()`` can be compiled; a new number as ``lr`` makes another graph.

    It steps as the optimizer does. With ``lr`` as a tensor the graph stays.
    """
    graphs, weight, plain = [], nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer, usual = torch.optim.SGD([weight], lr=0.5), torch.optim.SGD([plain], lr=0.5)
    weight.grad, plain.grad = torch.tensor([3.0]), torch.tensor([3.0])
    step = torch.compile(
        lambda: optimizer.step(), backend=lambda graph, inputs: graphs.append(graph) or graph.forward
    )
    counts = []
    for rate in (0.5, 0.5, 0.5, 0.25):
        optimizer.param_groups[0]["lr"] = usual.param_groups[0]["lr"] = kind(rate)
        step()
        usual.step()
        assert torch.equal(weight, plain)
        counts.append(len(graphs))

    assert counts[1] == counts[2] == counts[3] - (kind is float)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_a_cast_is_followed():
    """Casting a module that :func:`torch.compile` wraps makes another graph at the next call, in the new
    dtype.

    ``compiled.double()`` casts the original.
    """
    graphs, net = [], nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    compiled(torch.rand(3, 2))
    compiled.double()

    x = torch.rand(3, 2, dtype=torch.float64)
    assert {net[0].weight.dtype, net[1].running_mean.dtype, compiled(x).dtype} == {torch.float64}
    assert torch.equal(compiled(x), net(x))
    assert len(graphs) == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_an_error_of_forward_is_another():
    """An operation that fails in a compiled ``forward`` raises ``TorchRuntimeError``; ``raise`` keeps its
    class.

    It is found on stand-ins while compiling: the shapes are in the message, the values are not.
    """

    class Wrong(nn.Module):
        def forward(self, x):
            return x @ torch.ones(5, 5)

    class Raising(nn.Module):
        def forward(self, x):
            raise ValueError("not this one")

    with pytest.raises(torch._dynamo.exc.TorchRuntimeError, match="must have same reduction dim"):
        torch.compile(Wrong(), backend="eager")(torch.ones(2, 3))
    with pytest.raises(ValueError, match="not this one"):
        torch.compile(Raising(), backend="eager")(torch.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied"):
        Wrong()(torch.ones(2, 3))


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
@pytest.mark.parametrize("in_place", [True, False])
def test_compilation_may_be_suspended(in_place):
    """Inside ``torch.compiler.set_stance("force_eager")`` a compiled module runs eagerly; then as before.

    With ``"fail_on_recompile"`` a call that needs a new graph raises ``RuntimeError``.
    """
    graphs, net = [], nn.Sequential(nn.Linear(2, 1))
    net.forward = lambda x: net[0](x)
    options = {"backend": lambda graph, inputs: graphs.append(graph) or graph.forward}
    compiled = net.compile(**options) or net if in_place else torch.compile(net, **options)

    with torch.compiler.set_stance("force_eager"):
        compiled(torch.ones(2))
        assert graphs == []
    compiled(torch.ones(2))
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled(torch.zeros(2))
        with pytest.raises(RuntimeError, match=r"Detected recompile when torch.compile stance is"):
            compiled(torch.ones(3, 2))

    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
@pytest.mark.parametrize(
    ("forward", "value"),
    [
        (lambda self, x: x * 2 if x.sum() > 0 else x * 3, -3.0),
        (lambda self, x: (x + 1, print("", end=""), x * 3)[2], -3.0),
    ],
    ids=["if", "print"],
)
def test_what_breaks_a_graph_still_works(forward, value):
    """An ``if`` on a value, and ``print``, break a compiled ``forward`` into graphs, and still work.

    With ``fullgraph=True`` they raise an error at the first call.
    """
    net = type("Net", (nn.Module,), {"forward": forward})()
    compiled = torch.compile(net, backend="eager")

    for x in (torch.ones(1), -torch.ones(1)):
        assert torch.equal(compiled(x), net(x))
    assert compiled(-torch.ones(1)).item() == value
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"[Dd]ata-dependent|[Dd]ynamic control flow|print"):
        torch.compile(net, backend="eager", fullgraph=True)(torch.ones(1))


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM], ids=lambda layer: layer.__name__)
def test_recurrent_layers_are_left_out(layer):
    """``torch.compile`` leaves ``nn.RNN`` and ``LSTM`` eager; ``fullgraph=True`` raises ``Unsupported``.

    ``torch._dynamo.config.allow_rnn`` lets them in.
    """
    graphs, net, x = [], nn.Sequential(layer(2, 3)), torch.rand(4, 1, 2)
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    assert torch.equal(compiled(x)[0], net(x)[0])
    assert graphs == []
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"RNN|function call|graph break"):
        torch.compile(net, backend="eager", fullgraph=True)(x)


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_breaks_are_counted():
    """``torch._dynamo.explain(net)(x)`` counts the graphs of ``net`` and the breaks between them."""

    class Net(nn.Module):
        def forward(self, x):
            x = x + 1
            print("", end="")
            x = x * 2
            print("", end="")
            return x - 3

    explained = torch._dynamo.explain(Net())(torch.ones(1))
    whole = torch._dynamo.explain(nn.Sequential(nn.Linear(1, 1)))(torch.ones(1))

    assert [(each.graph_count, each.graph_break_count) for each in (explained, whole)] == [(3, 2), (1, 0)]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_an_input_that_requires_grad_is_another():
    """``torch.compile`` makes a second graph of a module once an input requires grad.

    Equal blocks that are compiled one by one have two: the first gets data, the others what a block computed
    (:issue:`141039`). ``x.requires_grad_()`` on the data leaves one.
    """
    graphs, counts, net = [], [], nn.Sequential(nn.Linear(2, 2))
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    for requires_grad in (False, True, False, True):
        compiled(torch.ones(2, requires_grad=requires_grad))
        counts.append(len(graphs))

    assert counts == [1, 2, 2, 2]


@pytest.mark.needs("compile")
@pytest.mark.since("2.1")
def test_freezing_is_followed():
    """After ``torch.compile`` and a first call, a layer that is frozen gets no gradient until it is thawed.

    ``requires_grad_()`` of the layer or of the whole is enough.
    """
    net, x, seen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), torch.ones(2), []
    compiled = torch.compile(net, backend="aot_eager")

    for requires_grad in (True, False, True):
        net.zero_grad()
        net[0].requires_grad_(requires_grad)
        compiled(x).sum().backward()
        seen.append([p.grad is not None for p in net.parameters()])

    assert seen == [[True] * 4, [False, False, True, True], [True] * 4]


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_thawing_is_followed():
    """A layer that is frozen when ``torch.compile`` first runs gets gradients once it is thawed.

    And none after it is frozen again. See :func:`torch.compile` (:issue:`139476`).
    """
    net, seen = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)), []
    compiled = torch.compile(net, backend="aot_eager")

    for requires_grad in (False, True, False):
        net.zero_grad()
        net[0].requires_grad_(requires_grad)
        compiled(torch.ones(2)).sum().backward()
        seen.append([p.grad is not None for p in net.parameters()])

    assert seen == [[False, False, True, True], [True] * 4, [False, False, True, True]]


@pytest.mark.needs("compile")
@pytest.mark.before("2.12")
def test_thawing_was_not_noticed():
    """A layer that is frozen when ``torch.compile`` first runs silently gets no gradient once it is thawed.

    Call the module once with all layers trainable, or compile it again.
    """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    compiled = torch.compile(net, backend="aot_eager")
    compiled(torch.ones(2)).sum().backward()

    net[0].requires_grad_()
    compiled(torch.ones(2)).sum().backward()

    assert net[0].weight.grad is None


@pytest.mark.needs("compile")
@pytest.mark.since("2.2")
def test_an_inner_output_may_be_made_a_leaf():
    """A ``forward`` compiled by ``torch.compile`` may call ``requires_grad_()`` on what a layer returned.

    Under ``no_grad`` that is a leaf, and gets a gradient (:issue:`123713`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(1, 2), nn.Linear(2, 1)

        def forward(self, x):
            with torch.no_grad():
                inner = self.first(x)
            inner.requires_grad_()
            return self.last(inner), inner, inner.requires_grad

    net = Net()
    output, inner, required = torch.compile(net, backend="aot_eager")(torch.ones(1))
    output.backward()

    assert required is True
    assert torch.equal(inner.grad, net.last.weight[0])
    assert net.first.weight.grad is None


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_checkpointed_dropout_keeps_its_mask():
    """With the backend ``"aot_eager"``, a compiled ``checkpoint`` of a Dropout keeps its mask in backward.

    So gradients fit the output. See :func:`torch.compile` and :func:`torch.utils.checkpoint.checkpoint`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.full((100,), 3.0))

        def forward(self, x):
            return checkpoint(lambda x: nn.functional.dropout(x * self.weight, 0.5), x, use_reentrant=False)

    net, x = Net(), torch.ones(100)
    output = torch.compile(net, backend="aot_eager")(x)
    output.sum().backward()

    assert set(output.tolist()) == {0.0, 6.0}
    assert torch.equal(net.weight.grad * 3, output)


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_a_checkpoint_drops_anew_with_the_eager_backend():
    """With the backend ``"eager"``, a compiled ``checkpoint`` of a Dropout drops other elements in backward.

    Gradients do not fit the output then, without an error: use ``"aot_eager"``. See :func:`torch.compile`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.full((100,), 3.0))

        def forward(self, x):
            return checkpoint(lambda x: nn.functional.dropout(x * self.weight, 0.5), x, use_reentrant=False)

    net, x = Net(), torch.ones(100)
    output = torch.compile(net, backend="eager")(x)
    output.sum().backward()

    assert set(output.tolist()) == {0.0, 6.0} == set((net.weight.grad * 3).tolist())
    assert not torch.equal(net.weight.grad * 3, output)
