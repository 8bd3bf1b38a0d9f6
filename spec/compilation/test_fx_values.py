"""What is fixed when a module is traced by ``torch.fx``, and what such a graph can do later.

``forward`` runs once, with a *proxy* in place of each input. What it computes from proxies is recorded; all
else is done once, and its result becomes a part of the graph.
"""

import operator
import pickle

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F


def test_numbers_and_random_tensors_are_fixed():
    """``fx.symbolic_trace`` keeps the values that attributes had, and calls that no input takes part in.

    So ``torch.rand(1)`` in ``forward`` is drawn once for ever, and a changed attribute changes nothing.
    """

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = 2.0

        def forward(self, x):
            return x * self.scale + torch.rand(1)

    net, x = Noisy(), torch.tensor([3.0])
    traced = fx.symbolic_trace(net)
    net.scale = traced.scale = 5.0

    first, second = traced(x), traced(x)
    assert torch.equal(first, second)
    assert 6.0 <= first.item() < 7.0


def test_the_mode_of_functions_is_fixed():
    """In a ``GraphModule``, ``eval()`` turns off ``nn.Dropout``, not ``F.dropout(x, p, self.training)``.

    The mode was read when ``forward`` was traced. Call ``net.eval()`` before tracing.
    """

    class ByFunction(nn.Module):
        def forward(self, x):
            return F.dropout(x, 1.0, self.training)

    x = torch.ones(3)

    assert fx.symbolic_trace(ByFunction()).eval()(x).tolist() == [0.0] * 3
    assert fx.symbolic_trace(nn.Sequential(nn.Dropout(1.0))).eval()(x).tolist() == [1.0] * 3
    assert fx.symbolic_trace(ByFunction().eval()).train()(x).tolist() == [1.0] * 3


def test_an_input_may_be_fixed():
    """``fx.symbolic_trace(net, concrete_args={"flag": False})`` decides an ``if`` on a flag; another value
    raises.

    ``True`` does so as well. Without it the ``if`` is a ``TraceError``. The traced module still takes the
    argument.
    """

    class Net(nn.Module):
        def forward(self, x, flag):
            return x * 2 if flag else x * 3

    x = torch.tensor([5.0])
    for flag, expected in ((False, 15.0), (True, 10.0)):
        traced = fx.symbolic_trace(Net(), concrete_args={"flag": flag})
        assert traced(x, flag).item() == expected
        with pytest.raises(AssertionError, match=f"flag has been specialized to have value {flag} but got"):
            traced(x, not flag)
    with pytest.raises(fx.proxy.TraceError, match="cannot be used as inputs to control flow"):
        fx.symbolic_trace(Net())


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda self, x: sum(row for row in x), fx.proxy.TraceError, "Proxy object cannot be iterated"),
        (lambda self, x: x * len(x), RuntimeError, "'len' is not supported in symbolic tracing by default"),
        (lambda self, x: x * int(x.shape[0]), TypeError, "int.. argument must be"),
        (lambda self, x: [x for _ in range(x.shape[0])], TypeError, "'Proxy' object cannot be interpreted"),
    ],
    ids=["loop", "len", "int", "range"],
)
def test_a_proxy_has_no_length(forward, error, message):
    """``fx.symbolic_trace`` raises an error for a loop over an input, ``len(x)``, and ``range()`` of a size.

    ``int()`` of a size is one too. Arithmetic with ``x.shape[0]`` is recorded, and so is unpacking a known
    number of parts.
    """
    with pytest.raises(error, match=message):
        fx.symbolic_trace(type("Net", (nn.Module,), {"forward": forward})())

    class Net(nn.Module):
        def forward(self, x):
            first, second = x.chunk(2)
            return (first - second) * x.shape[0]

    assert fx.symbolic_trace(Net())(torch.tensor([7.0, 5.0])).tolist() == [4.0]


def test_python_code_runs_once():
    """What ``forward`` prints or counts happens while ``fx.symbolic_trace`` runs, never in the
    ``GraphModule``.

    Other methods of the class are not there either, and ``isinstance`` does not find it.
    """

    class Net(nn.Module):
        calls = 0

        def forward(self, x):
            Net.calls += 1
            return x + 1

        def other(self):
            return 5

    traced = fx.symbolic_trace(Net())
    traced(torch.ones(1))

    assert (Net.calls, hasattr(traced, "other"), isinstance(traced, Net)) == (1, False, False)


def test_a_change_in_place_by_an_operator_is_lost():
    """``x += 1`` in ``forward`` becomes ``x + 1`` in a ``GraphModule``, which leaves the input alone.

    ``x.add_(1)`` is recorded as it is.
    """

    class ByOperator(nn.Module):
        def forward(self, x):
            x += 1
            return x * 2

    class ByMethod(nn.Module):
        def forward(self, x):
            x.add_(1)
            return x * 2

    seen = []
    for net in (ByOperator(), fx.symbolic_trace(ByOperator()), fx.symbolic_trace(ByMethod())):
        x = torch.tensor([3.0])
        seen.append((net(x).item(), x.item()))

    assert seen == [(8.0, 4.0), (8.0, 3.0), (8.0, 4.0)]


def test_a_pickle_traces_the_code_again():
    """Unpickling a ``GraphModule`` traces its code again: weights, attributes and names are there.

    An in-place operator of a graph made by hand becomes an ordinary one then (:issue:`198077`).
    """
    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(2, 1), nn.ReLU()))
    traced.tag = "mine"
    graph = fx.Graph()
    graph.output(graph.call_function(operator.iadd, (graph.placeholder("x"), 1)))

    loaded = pickle.loads(pickle.dumps(traced))
    changing = fx.GraphModule(nn.Module(), graph)
    seen = []
    for module in (changing, pickle.loads(pickle.dumps(changing))):
        x = torch.tensor([3.0])
        seen.append((module(x).item(), x.item()))

    assert (loaded.tag, list(loaded.state_dict())) == ("mine", ["0.weight", "0.bias"])
    assert all(torch.equal(value, traced.get_parameter(name)) for name, value in loaded.named_parameters())
    assert [node.name for node in loaded.graph.nodes] == [node.name for node in traced.graph.nodes]
    assert seen == [(4.0, 4.0), (4.0, 3.0)]


def test_a_layer_may_be_replaced():
    """A submodule of a ``GraphModule`` that is replaced is called from then on, without ``recompile()``.

    The graph calls it by name. ``delete_all_unused_submodules()`` removes what no node names.
    """
    traced = fx.symbolic_trace(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
    setattr(traced, "0", nn.Identity())
    traced.add_submodule("unused", nn.Linear(1, 1))
    before = [name for name, _ in traced.named_children()]

    traced.delete_all_unused_submodules()

    assert traced(torch.tensor([5.0])).tolist() == [5.0]
    assert before == ["0", "1", "unused"]
    assert [name for name, _ in traced.named_children()] == ["0", "1"]
