"""Gradients of what is compiled: second derivatives, and ``backward()`` inside of a compiled function.

The backend ``aot_eager`` compiles the backward pass too, as ``inductor`` does; ``eager`` leaves it alone.
"""

import pytest
import torch
from torch import nn
from torch.func import functional_call


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_second_derivatives_need_the_eager_backend(backend):
    """A gradient penalty through ``torch.compile`` raises ``RuntimeError``, unless ``backend="eager"``.

    ``create_graph=True`` itself is no error; the ``backward()`` of the penalty is. ``inductor`` and
    ``aot_eager`` compile one backward pass, and no second derivative (:issue:`181581`, :issue:`183603`).
    """
    net, x = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), torch.rand(3, 2, requires_grad=True)
    compiled, grads = torch.compile(net, backend=backend), []

    for module in (net, compiled):
        net.zero_grad()
        (gradient,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
        penalty = (gradient.norm(dim=1) - 1).square().mean()
        if module is compiled and backend == "aot_eager":
            with pytest.raises(RuntimeError, match="does not currently support double backward"):
                penalty.backward()
        else:
            penalty.backward()
            grads.append(net[0].weight.grad)

    torch.testing.assert_close(grads[0], grads[-1])


@pytest.mark.needs("compile")
def test_a_gradient_inside_breaks_the_graph():
    """A compiled function may call ``autograd.grad`` or ``backward()``; with ``fullgraph=True`` it is
    ``Unsupported``.

    They run eagerly, between the graphs before and after.
    """
    net, x = nn.Sequential(nn.Linear(1, 1), nn.Tanh()), torch.full((1, 1), 0.5)

    def grad(x):
        return torch.autograd.grad((net(x) * 3).sum(), net[0].weight)[0]

    def backward(x):
        (net(x) * 3).sum().backward()
        return net[0].weight.grad

    for function in (grad, backward):
        net.zero_grad()
        expected = function(x).clone()
        net.zero_grad()
        torch.testing.assert_close(torch.compile(function, backend="aot_eager")(x), expected)
        torch.compiler.reset()
        with pytest.raises(torch._dynamo.exc.Unsupported, match=r"grad|backward"):
            torch.compile(function, backend="eager", fullgraph=True)(x)


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_transform_inside_stays_in_the_graph():
    """``torch.compile(fullgraph=True)`` compiles :func:`torch.func.grad` of a ``functional_call``, in one
    graph.

    It is a way to compile a gradient together with forward, unlike ``autograd.grad``.
    """
    graphs, net = [], nn.Linear(2, 1)

    def loss(state, x):
        return functional_call(net, state, x).square().sum()

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    state, x = dict(net.named_parameters()), torch.rand(3, 2)
    result = torch.compile(torch.func.grad(loss), backend=backend, fullgraph=True)(state, x)

    torch.testing.assert_close(result, torch.func.grad(loss)(state, x))
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_calls_of_a_compiled_module_have_a_graph_each(backend):
    """``backward()`` of one call of a ``torch.compile`` module leaves the autograd graph of another call
    alone.

    So the discriminator of a GAN may be compiled (:issue:`91542`). A second ``backward()`` of one call raises
    ``RuntimeError`` unless ``retain_graph=True`` was given, as without compilation.
    """
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Tanh())
    compiled, x = torch.compile(net, backend=backend), torch.full((1, 1), 0.5, requires_grad=True)
    real, fake = compiled(x.detach()), compiled(x * 2)

    real.sum().backward()
    fake.sum().backward(retain_graph=True)
    once = x.grad.clone()
    fake.sum().backward()
    torch.testing.assert_close(x.grad, 2 * once)

    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        fake.sum().backward()


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_a_scheduled_step_with_a_tensor_needs_one_graph(kind):
    """A compiled ``optimizer.step()`` needs one graph if ``lr`` is a tensor that a scheduler fills.

    With a number there is another graph once the scheduler changes it (:issue:`120934`).
    """
    counts = []
    for rate in (torch.tensor(0.5), 0.5):
        graphs, weight = [], nn.Parameter(torch.ones(1))
        optimizer = kind([weight], lr=rate, foreach=False)
        weight.grad = torch.ones(1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

        def backend(graph, inputs, graphs=graphs):
            graphs.append(graph)
            return graph.forward

        step = torch.compile(lambda optimizer=optimizer: optimizer.step(), backend=backend)
        for _ in range(4):
            step()
            scheduler.step()
        counts.append(len(graphs))
        torch.compiler.reset()

    assert counts[0] == 1 < counts[1]


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_a_retained_graph_comes_after_donated_buffers():
    """After a plain ``backward()`` through ``torch.compile``, ``backward(retain_graph=True)`` raises
    ``RuntimeError``.

    The compiled backward pass may reuse the memory of what forward saved ("donated buffers"), so
    ``create_graph=True`` is refused too. Retain the graph in all calls, or set
    ``torch._functorch.config.donated_buffer = False``.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), torch.rand(4, 2)
    compiled = torch.compile(net, backend="aot_eager")

    compiled(x).sum().backward()
    for options in ({"retain_graph": True}, {"create_graph": True}):
        with pytest.raises(RuntimeError, match="compiled with non-empty donated buffers"):
            compiled(x).sum().backward(**options)

    torch.compiler.reset()
    with torch._functorch.config.patch(donated_buffer=False):
        for options in ({}, {"retain_graph": True}):
            compiled(x).sum().backward(**options)


@pytest.mark.needs("compile")
def test_a_function_of_ones_own_is_compiled():
    """``torch.compile(fullgraph=True)`` compiles an ``autograd.Function`` in ``forward``, with its own
    ``backward``.

    ``backward`` is read while compiling too: an ``if`` on a value there breaks the graph, as in ``forward``.
    See :class:`torch.autograd.Function`.
    """

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * x * ctx.factor, None

    x = torch.tensor([3.0], requires_grad=True)
    output = torch.compile(lambda x: Double.apply(x, 10) + 1, backend="aot_eager", fullgraph=True)(x)
    output.backward()

    assert (output.item(), x.grad.item()) == (7.0, 30.0)


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
def test_a_mapped_ensemble_is_one_graph():
    """``torch.compile(fullgraph=True)`` compiles :func:`torch.vmap` over ``functional_call``, in one graph.

    So the members of ``stack_module_state`` are called at once, compiled (:issue:`109025`).
    """
    nets, x, graphs = (
        [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(3)],
        torch.rand(4, 2),
        [],
    )
    for number, net in enumerate(nets):
        nn.init.constant_(net.eval()[1].running_mean, number)
    parameters, buffers = torch.func.stack_module_state(nets)

    def call(parameters, buffers):
        return functional_call(nets[0], (parameters, buffers), (x,))

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    outputs = torch.compile(torch.vmap(call), backend=backend, fullgraph=True)(parameters, buffers)

    torch.testing.assert_close(outputs, torch.stack([net(x) for net in nets]))
    assert len(graphs) == 1
