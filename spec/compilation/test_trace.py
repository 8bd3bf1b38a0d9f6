"""Modules recorded as TorchScript.

:func:`torch.jit.trace` calls a module with an example and records what is computed.
"""

import warnings

import pytest
import torch
from torch import nn


@pytest.mark.since("2.14")
def test_it_warns_with_a_future_warning():
    """:func:`torch.jit.trace <torch.jit.trace>` of a module gives a ``FutureWarning``."""
    with pytest.warns(FutureWarning, match=r"`torch\.jit\.trace` is .* switch to `torch\.compile` or"):
        torch.jit.trace(nn.ReLU(), torch.rand(2))


@pytest.mark.since("2.10")
@pytest.mark.before("2.14")
def test_it_warned_of_deprecation():
    """:func:`torch.jit.trace <torch.jit.trace>` gives a ``DeprecationWarning``, which Python hides by
    default.
    """
    with pytest.warns(DeprecationWarning, match=r"`torch\.jit\.trace` is .* switch to `torch\.compile` or"):
        torch.jit.trace(nn.ReLU(), torch.rand(2))


@pytest.mark.before("2.10")
def test_it_did_not_warn():
    """:func:`torch.jit.trace <torch.jit.trace>` of a module does not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.jit.trace(nn.ReLU(), torch.rand(2))

    assert caught == []


def test_a_traced_module_has_the_same_names():
    """:func:`torch.jit.trace <torch.jit.trace>` of a module returns a ``ScriptModule`` with the same
    ``state_dict()`` keys and results.

    The results are the same for inputs that take the way of the example.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    x = torch.rand(4, 2)

    traced = torch.jit.trace(net, x)

    assert isinstance(traced, torch.jit.ScriptModule)
    assert list(traced.state_dict()) == list(net.state_dict())
    torch.testing.assert_close(traced(x), net(x))


def test_conditions_are_decided_once():
    """:func:`torch.jit.trace <torch.jit.trace>` records the branch that its example input takes, with a
    ``TracerWarning``.

    Other inputs then give wrong results in silence. :func:`torch.jit.script` keeps both branches.
    """

    class Net(nn.Module):
        def forward(self, x):
            return x * 2.0 if x.sum() > 0 else x * 3.0

    with pytest.warns(torch.jit.TracerWarning, match="Converting a tensor to a Python boolean"):
        traced = torch.jit.trace(Net(), torch.tensor([1.0, 2.0]))

    assert traced(torch.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert traced(torch.tensor([-1.0, -2.0])).tolist() == [-2.0, -4.0]


def test_the_mode_is_decided_once():
    """The module that :func:`torch.jit.trace <torch.jit.trace>` returns computes in the mode it was traced
    in, even after ``train()``.
    """
    traced = torch.jit.trace(nn.Dropout().eval(), torch.rand(3))
    x = torch.full((100,), 3.0)

    assert traced.training is False
    traced.train()
    assert traced.training is True
    assert traced(x).tolist() == x.tolist()

    dropping = torch.jit.trace(nn.Dropout(1.0), torch.rand(3)).eval()
    assert dropping(x).tolist() == [0.0] * 100


def test_what_hooks_compute_is_recorded():
    """:func:`torch.jit.trace <torch.jit.trace>` records what forward hooks compute, even if the hooks are
    removed later.
    """
    net = nn.Sequential(nn.ReLU())
    handles = [module.register_forward_hook(lambda _, args, out: out * 3 + 5.0) for module in net.modules()]

    traced = torch.jit.trace(net, torch.rand(2))
    for handle in handles:
        handle.remove()

    assert net(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    assert traced(torch.tensor([-1.0, 2.0])).tolist() == [20.0, 38.0]


def test_a_scripted_submodule_is_called():
    """:func:`torch.jit.trace <torch.jit.trace>` keeps the ``if`` of a scripted submodule instead of recording
    one branch.
    """

    class Steep(nn.Module):
        def forward(self, x, up):
            return x * up if x.sum() > 0 else x * 3.0

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.jit.script(Steep())

        def forward(self, x):
            return self.inner(x, up=x + 1.0) + 1.0

    traced = torch.jit.trace(Net(), torch.tensor([1.0, 2.0]))

    assert traced(torch.tensor([1.0, 2.0])).tolist() == [3.0, 7.0]
    assert traced(torch.tensor([-1.0, -2.0])).tolist() == [-2.0, -5.0]


def test_a_function_that_calls_a_module_is_traced():
    """:func:`torch.jit.trace <torch.jit.trace>` accepts a function that calls a module, if no parameter of it
    requires grad.
    """
    relu, layer = nn.ReLU(), nn.Linear(2, 3)

    traced = torch.jit.trace(lambda x: relu(x) + 5.0, torch.rand(2))

    assert traced(torch.tensor([-1.0, 2.0])).tolist() == [5.0, 7.0]
    with pytest.raises(RuntimeError, match="Cannot insert a Tensor that requires grad as a constant"):
        torch.jit.trace(lambda x: layer(x), torch.rand(2))

    layer.requires_grad_(False)
    x = torch.tensor([5.0, 7.0])
    torch.testing.assert_close(torch.jit.trace(lambda x: layer(x), torch.rand(2))(x), layer(x))


def test_keys_of_an_input_are_strings_or_numbers():
    """``torch.jit.trace`` raises ``RuntimeError`` for an example input that is a dict with tuples as keys.

    Strings work. Graph layers for several kinds of edges take such dicts: join the parts of a key to one
    string.
    """

    class Total(nn.Module):
        def forward(self, edges):
            return sum(edges.values())

    edges = {("user", "rates"): torch.tensor([1.0]), ("user", "buys"): torch.tensor([2.0])}

    assert Total()(edges).tolist() == [3.0]
    with pytest.raises(RuntimeError, match="Cannot create dict for key type"):
        torch.jit.trace(Total(), (edges,))

    named = {"_".join(key): value for key, value in edges.items()}

    assert torch.jit.trace(Total(), (named,), strict=False)(named).tolist() == [3.0]
