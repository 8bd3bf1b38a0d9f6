"""What a compiled ``forward`` does besides computing its output.

A graph only computes. What ``forward`` changes around it, such as a list outside of the module, the compiler
writes down and does after the graph has run. What forward changes on the module itself is in
*compiled_changes*.
"""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


@pytest.mark.needs("compile")
def test_what_is_outside_of_the_class_changes_too():
    """A ``forward`` compiled by ``torch.compile`` can change an outer list, and a dict and counter of its
    class.

    It does so in each call. See :func:`torch.compile`.
    """
    seen = []

    class Net(nn.Module):
        calls = 0

        def forward(self, x):
            seen.append(x + 1)
            Net.latest["x"] = x
            Net.calls += 1
            return x * 2

    Net.latest = {}
    compiled = torch.compile(Net(), backend="eager")
    results = [compiled(torch.tensor(value)).item() for value in (3.0, 4.0)]

    assert results == [6.0, 8.0]
    assert [value.item() for value in seen] == [4.0, 5.0]
    assert Net.latest["x"].item() == 4.0
    assert Net.calls == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
@pytest.mark.before("2.12")
def test_what_was_appended_to_a_list_of_the_class_was_lost():
    """What a compiled ``forward`` appends to a list of the module's class is lost, without a warning.

    See :func:`torch.compile` (:issue:`169253`).
    """

    class Net(nn.Module):
        def forward(self, x):
            Net.seen.append(x + 1)
            return x

    Net.seen = []
    compiled = torch.compile(Net(), backend="eager")
    for value in (3.0, 4.0):
        compiled(torch.tensor(value))

    assert Net.seen == []


@pytest.mark.needs("compile")
@pytest.mark.since("2.6")
def test_a_hook_may_store_what_it_sees():
    """``torch.compile(fullgraph=True)`` compiles a submodule's forward hook that stores its output in a dict.

    In each call the dict gets the output of that call, with its graph. So intermediate results are collected
    without a graph break. See :func:`torch.compile` (:issue:`173452`).
    """
    seen = {}
    net = nn.Sequential(nn.PReLU(init=2.0), nn.PReLU(init=3.0))
    net[0].register_forward_hook(lambda module, args, output: seen.update(first=output))
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    for value in (-1.0, -5.0):
        assert compiled(torch.tensor(value)).item() == 6.0 * value
        assert (seen["first"].item(), seen["first"].requires_grad) == (2.0 * value, True)

    seen["first"].backward()
    assert net[0].weight.grad.item() == -5.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_hook_that_asks_whether_it_is_compiled():
    """``torch.compiler.is_compiling()`` is true in a hook that ``torch.compile`` compiles, in every call.

    A hook that returns then, so as to run later, never does the rest (:issue:`173452`). Wrapped by
    ``torch.compiler.disable`` it runs, which needs a graph break and is an error with ``fullgraph=True``.
    """
    seen = []

    def hook(module, args, output):
        seen.append(torch.compiler.is_compiling())

    net = nn.Sequential(nn.PReLU(init=2.0), nn.PReLU(init=3.0))
    handle = net[0].register_forward_hook(hook)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    results = [compiled(torch.tensor(value)).item() for value in (-1.0, -5.0)]
    assert (seen, results) == ([True, True], [-6.0, -30.0])

    handle.remove()
    net[0].register_forward_hook(torch.compiler.disable(hook))
    with pytest.raises(torch._dynamo.exc.Unsupported, match="disable"):
        torch.compile(net, backend="eager", fullgraph=True)(torch.tensor(-1.0))
    torch.compile(net, backend="eager")(torch.tensor(-1.0))
    assert seen == [True, True, False]


@pytest.mark.needs("compile")
@pytest.mark.since("2.4")
def test_a_hook_of_a_module_that_computes_nothing():
    """``is_compiling()`` is also true in a pre-hook of a compiled module whose ``forward`` returns its input.

    There is no graph then, but what the hook does is what it does while compiled (:issue:`110765`). See
    :func:`torch.compiler.is_compiling`.
    """
    seen, x = [], torch.tensor([3.0])
    for net in (nn.Identity(), nn.Softplus()):
        net.register_forward_pre_hook(lambda module, args: seen.append(torch._dynamo.is_compiling()))
        for root in (net, nn.Sequential(net)):
            seen.clear()
            torch._dynamo.reset()
            compiled = torch.compile(root, backend="eager")
            results = [compiled(x), compiled(x)]

            assert seen == [True, True]
            root(x)
            assert seen == [True, True, False]
            assert [result.item() for result in results] == [root(x).item()] * 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.12")
def test_a_forward_that_is_set_on_the_way_runs():
    """In a ``forward`` from ``torch.compile(fullgraph=True)``, ``layer.forward = other`` counts at once.

    As in Python, calling the layer runs ``other``, and does so after the call too (:issue:`167400`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.other = nn.PReLU(init=2.0), nn.PReLU(init=3.0)

        def forward(self, x):
            first = self.layer(x)
            self.layer.forward = self.other.forward
            return first, self.layer(x)

    net, x = Net(), torch.tensor([-1.0])
    compiled = torch.compile(net, backend="eager", fullgraph=True)

    assert [value.item() for value in compiled(x)] == [-2.0, -3.0]
    assert [value.item() for value in compiled(x)] == [-3.0, -3.0]
    assert net.layer(x).item() == -3.0


@pytest.mark.needs("compile")
@pytest.mark.since("2.5")
@pytest.mark.before("2.12")
@pytest.mark.parametrize("fullgraph", [False, True])
def test_a_forward_that_is_set_on_the_way_was_ignored_once(fullgraph):
    """In the first call of a ``forward`` from ``torch.compile``, ``layer.forward = other`` is ignored.

    The first call silently runs the old one, later calls the new one (:issue:`167400`).
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.other = nn.PReLU(init=2.0), nn.PReLU(init=3.0)

        def forward(self, x):
            self.layer.forward = self.other.forward
            return self.layer(x)

    net, x = Net(), torch.tensor([-1.0])
    compiled = torch.compile(net, backend="eager", fullgraph=fullgraph)

    assert [compiled(x).item() for _ in range(3)] == [-2.0, -3.0, -3.0]


@pytest.mark.needs("compile")
@pytest.mark.parametrize("kind", ["number", "buffer"])
def test_a_checkpoint_does_not_change_the_module(kind):
    """``torch.compile(fullgraph=True)`` raises ``Unsupported`` for a ``checkpoint`` that sets attributes of a
    module.

    A counter, a cache or a new buffer is such an effect: in backward it would have to happen again. Without
    ``fullgraph`` that part runs uncompiled, and the effect happens twice, as in eager mode. See
    :func:`torch.compile` (:issue:`124866`).
    """

    class Net(nn.Linear):
        def forward(self, x):
            return checkpoint(self.count, x, use_reentrant=False)

        def count(self, x):
            self.calls = self.calls + 1
            return super().forward(x)

    net = Net(1, 1)
    if kind == "number":
        net.calls = 0
    else:
        net.register_buffer("calls", torch.tensor(0))

    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"[Ss]ide.?[Ee]ffect|inplace modify module"):
        torch.compile(net, backend="eager", fullgraph=True)(torch.ones(1, 1))
    assert net.calls == 0
    torch.compile(net, backend="eager")(torch.ones(1, 1)).sum().backward()
    assert net.calls == 2


@pytest.mark.needs("compile")
@pytest.mark.since("2.10")
def test_an_effect_may_be_left_out_of_backward():
    """With ``skip_fwd_side_effects_in_bwd_under_checkpoint`` a compiled ``checkpoint`` sets attributes once.

    It is an option of ``torch._dynamo.config``. In eager mode the second forward sets them again. See
    :func:`torch.compile`.
    """

    class Net(nn.Linear):
        calls = 0

        def forward(self, x):
            return checkpoint(self.count, x, use_reentrant=False)

        def count(self, x):
            self.calls = self.calls + 1
            return super().forward(x)

    net, plain, x = Net(1, 1), Net(1, 1), torch.tensor([[3.0]])
    plain(x).sum().backward()
    with torch._dynamo.config.patch(skip_fwd_side_effects_in_bwd_under_checkpoint=True):
        torch.compile(net, backend="eager", fullgraph=True)(x).sum().backward()

    assert (net.calls, plain.calls) == (1, 2)
    assert net.weight.grad.tolist() == [[3.0]]
