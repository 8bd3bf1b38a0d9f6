"""Modules compiled to TorchScript from their source.

:func:`torch.jit.script` reads the source of ``forward``. TorchScript is deprecated.
"""

import copy
import warnings

import pytest
import torch
from torch import nn


@pytest.mark.since("2.14")
def test_it_warns_with_a_future_warning():
    """:func:`torch.jit.script <torch.jit.script>` of a module gives a ``FutureWarning``."""
    for net in (nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Linear(2, 3)).eval()):
        with pytest.warns(FutureWarning, match=r"`torch\.jit\.script` is .* switch to `torch\.compile` or"):
            torch.jit.script(net)


@pytest.mark.since("2.10")
@pytest.mark.before("2.14")
def test_it_warned_of_deprecation():
    """:func:`torch.jit.script <torch.jit.script>` gives a ``DeprecationWarning``, which Python hides by
    default.
    """
    with pytest.warns(DeprecationWarning, match=r"`torch\.jit\.script` is .* switch to `torch\.compile` or"):
        torch.jit.script(nn.ReLU())


@pytest.mark.before("2.10")
def test_it_did_not_warn():
    """:func:`torch.jit.script <torch.jit.script>` of a module does not warn."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.jit.script(nn.ReLU())

    assert caught == []


def test_a_scripted_module_is_a_module():
    """:func:`torch.jit.script <torch.jit.script>` of a module returns a :class:`~torch.jit.ScriptModule`,
    which is an ``nn.Module``.

    It is not of the class of the original, whose name is kept as ``original_name``.
    """
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 3)))

    for module, kind in ((scripted, nn.Sequential), (next(scripted.children()), nn.Linear)):
        assert isinstance(module, torch.jit.ScriptModule)
        assert isinstance(module, nn.Module)
        assert not isinstance(module, kind)
        assert module.original_name == kind.__name__


def test_names_and_results_are_the_same(device):
    """:func:`torch.jit.script <torch.jit.script>` keeps the ``state_dict()`` keys, submodule names and
    results of a module.
    """
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(device).eval()
    scripted = torch.jit.script(net)
    x = torch.rand(4, 2, device=device)

    assert list(scripted.state_dict()) == list(net.state_dict())
    assert [name for name, _ in scripted.named_modules()] == ["", "0", "1"]
    torch.testing.assert_close(scripted(x), net(x))


def test_parameters_are_shared():
    """The module that :func:`torch.jit.script <torch.jit.script>` returns shares memory with the original's
    parameters.

    Who trains or loads one changes both.
    """
    layer = nn.Linear(2, 1)
    scripted, nested = torch.jit.script(layer), torch.jit.script(nn.Sequential(layer))

    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 3.0]]))
        layer.bias.fill_(5.0)

    assert scripted(torch.tensor([10.0, 100.0])).tolist() == [325.0]
    assert nested(torch.tensor([10.0, 100.0])).tolist() == [325.0]
    scripted.load_state_dict({"weight": torch.tensor([[7.0, 8.0]]), "bias": torch.tensor([9.0])})
    assert [layer.weight.tolist(), layer.bias.tolist()] == [[[7.0, 8.0]], [9.0]]


def test_the_mode_is_its_own():
    """The module that ``torch.jit.script`` returns starts in the original's mode, but has its own
    ``train()``.
    """
    net = nn.Sequential(nn.Dropout()).eval()
    scripted = torch.jit.script(net)
    x = torch.full((100,), 3.0)

    assert scripted.training is False
    assert scripted(x).tolist() == x.tolist()
    scripted.train()
    assert scripted.training is True
    assert [net.training, net[0].training] == [False, False]
    assert sorted(set(scripted(x).tolist())) == [0.0, 6.0]


def test_control_flow_is_kept():
    """:func:`torch.jit.script <torch.jit.script>` keeps an ``if`` on a tensor's value: both branches still
    work.

    :func:`torch.jit.trace` keeps the branch that its example takes.
    """

    class Net(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x * 2.0
            return x * 3.0

    scripted = torch.jit.script(Net())

    assert scripted(torch.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert scripted(torch.tensor([-1.0, -2.0])).tolist() == [-3.0, -6.0]


def test_a_file_needs_no_source(tmp_path):
    """:func:`torch.jit.load <torch.jit.load>` loads a module saved by ``torch.jit.script`` without using its
    Python class.
    """

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)
            self.register_buffer("factors", torch.tensor([2.0, 5.0, 7.0]))

        def forward(self, x):
            return self.layer(x) * self.factors

    net, x = Scaled(), torch.rand(2)
    expected = net(x)
    torch.jit.script(net).save(str(tmp_path / "net.pt"))
    del Scaled.__init__, Scaled.forward

    loaded = torch.jit.load(str(tmp_path / "net.pt"))

    torch.testing.assert_close(loaded(x), expected)
    assert list(loaded.state_dict()) == ["factors", "layer.weight", "layer.bias"]
    assert [name for name, _ in loaded.named_buffers()] == ["factors"]


def test_not_all_of_python_is_compiled():
    """:func:`torch.jit.script <torch.jit.script>` raises ``NotSupportedError`` for ``*args`` in
    ``forward`` and for a ``try`` block.
    """

    class Star(nn.Module):
        def forward(self, *args):
            return args[0]

    class Try(nn.Module):
        def forward(self, x):
            try:
                return x
            finally:
                pass

    with pytest.raises(torch.jit.frontend.NotSupportedError, match="variable number of arguments"):
        torch.jit.script(Star())
    with pytest.raises(torch.jit.frontend.NotSupportedError, match="try blocks aren't supported"):
        torch.jit.script(Try())


def test_a_scripted_module_takes_no_new_parameter():
    """Adding a parameter or submodule to the module that :func:`torch.jit.script <torch.jit.script>` returns
    raises ``RuntimeError``.

    A parameter that is there may be replaced.
    """
    scripted = torch.jit.script(nn.Linear(2, 3))

    with pytest.raises(RuntimeError, match="Can't add a new parameter after ScriptModule construction"):
        scripted.extra = nn.Parameter(torch.rand(2))
    with pytest.raises(RuntimeError, match="Cannot re-assign modules in a ScriptModule"):
        scripted.extra = nn.Linear(2, 3)
    with pytest.raises(RuntimeError, match="extra"):
        scripted.extra = torch.jit.script(nn.Linear(2, 3))

    scripted.bias = nn.Parameter(torch.tensor([4.0, 5.0, 6.0]))
    assert scripted(torch.zeros(2)).tolist() == [4.0, 5.0, 6.0]


@pytest.mark.parametrize("form", ["script", "trace"])
def test_a_deep_copy_has_no_leaves(form):
    """``copy.deepcopy`` of a module of ``torch.jit.script`` or ``torch.jit.trace`` has non-leaf parameters.

    They have memory of their own, but ``backward()`` fills the gradients of the original, and an optimizer
    raises ``ValueError``. Copy the module and compile the copy (:issue:`44951`).
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.tensor([2.0, 3.0])
    made = torch.jit.script(layer) if form == "script" else torch.jit.trace(layer, x)
    other = copy.deepcopy(made)
    (weight,) = other.parameters()

    assert weight.is_leaf is False
    assert weight.data_ptr() != layer.weight.data_ptr()
    other(x).backward()
    assert layer.weight.grad.tolist() == [[2.0, 3.0]]
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD(other.parameters(), lr=0.1)


def test_forward_alone_is_not_compiled():
    """``@torch.jit.script`` on ``forward`` raises ``RuntimeError``: it takes ``self`` for a tensor.

    It says that ``Tensor`` has no attribute of that name, such as a ``ModuleList`` that forward goes through.
    Compile the object instead (:issue:`126276`). See :func:`torch.jit.script`.
    """

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 1)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net, x = Net(), torch.rand(3, 2)

    with pytest.raises(
        RuntimeError, match=r"'Tensor \(inferred\)' object has no attribute or method 'layers'"
    ):
        torch.jit.script(Net.forward)
    assert torch.equal(torch.jit.script(net)(x), net(x))
