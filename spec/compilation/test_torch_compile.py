"""Compiling into another module.

:func:`torch.compile` of a module gives a module that wraps it, with the same parameters under longer names.
"""

import copy
import warnings

import pytest
import torch
from torch import nn


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_the_module_is_wrapped():
    """:func:`~torch.compile` returns a new module that holds the given one as ``_orig_mod``."""
    layer = nn.Linear(2, 3)

    compiled = torch.compile(layer, backend="eager")

    assert type(compiled).__name__ == "OptimizedModule"
    assert compiled._orig_mod is layer
    assert (isinstance(compiled, nn.Module), isinstance(compiled, nn.Linear)) == (True, False)
    assert list(compiled.modules()) == [compiled, layer]


@pytest.mark.needs("compile")
def test_calls_go_to_the_backend():
    """Calls of the new module run a graph; calls of the given one run eagerly."""
    graphs = []
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    x = torch.rand(2)

    expected = layer(x)
    assert graphs == []
    assert torch.equal(compiled(x), expected)
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_names_are_longer():
    """The names of the same parameters start with ``_orig_mod`` and a dot."""
    layer = nn.Linear(2, 3)

    named = dict(torch.compile(layer, backend="eager").named_parameters())

    assert list(named) == ["_orig_mod.weight", "_orig_mod.bias"]
    assert named["_orig_mod.weight"] is layer.weight


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_its_state_dict_does_not_fit_the_module():
    """A state dict of the new module does not load into a plain one; save that of the given module."""
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"weight".*Unexpected key.*"_orig_mod\.weight"'):
        other.load_state_dict(compiled.state_dict())
    other.load_state_dict(compiled._orig_mod.state_dict())
    assert torch.equal(other.weight, layer.weight)


@pytest.mark.needs("compile")
def test_attributes_are_read_from_the_module():
    """Attributes, submodules and methods of the given module can be read on the new one."""
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    assert (compiled.in_features, compiled.weight is layer.weight) == (2, True)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        _ = compiled.wieght


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
def test_attributes_are_set_on_the_module():
    """An attribute set on the new module is set on the given one."""
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    compiled.note = "kept"
    compiled.bias = None

    assert (layer.note, layer.bias) == ("kept", None)
    assert "note" not in vars(compiled)


@pytest.mark.before("2.4")
@pytest.mark.needs("compile")
@pytest.mark.observed
def test_attributes_were_set_on_the_wrapper():
    """An attribute set on the new module is not set on the given one."""
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    compiled.note = "kept"

    assert "note" in vars(compiled)
    assert not hasattr(layer, "note")


@pytest.mark.since("2.8")
@pytest.mark.needs("compile")
def test_attributes_are_deleted_from_the_module():
    """An attribute deleted on the new module is deleted on the given one."""
    layer = nn.Linear(2, 3)
    layer.note = "gone"

    del torch.compile(layer, backend="eager").note

    assert "note" not in vars(layer)


@pytest.mark.since("2.10")
@pytest.mark.needs("compile")
def test_a_length_is_passed_on():
    """The length of the new module is that of the given one, if it has any."""
    assert len(torch.compile(nn.Sequential(nn.ReLU(), nn.ReLU()), backend="eager")) == 2
    with pytest.raises(TypeError, match=r"Linear does not support len\(\)"):
        len(torch.compile(nn.Linear(2, 3), backend="eager"))


@pytest.mark.since("2.5")
@pytest.mark.needs("compile")
def test_the_mode_is_shared():
    """Both modules have one mode, whichever it is set on (:issue:`122414`, :issue:`132986`)."""
    layer = nn.Linear(2, 3).eval()
    compiled = torch.compile(layer, backend="eager")

    modes = [compiled.training]
    layer.train()
    modes += [compiled.training]
    compiled.eval()
    modes += [layer.training]

    assert modes == [False, True, False]


@pytest.mark.before("2.5")
@pytest.mark.needs("compile")
def test_the_mode_was_not_shared():
    """The new module is in training mode whatever the mode of the given one (:issue:`122414`)."""
    layer = nn.Linear(2, 3).eval()

    compiled = torch.compile(layer, backend="eager")

    assert (compiled.training, layer.training) == (True, False)


@pytest.mark.needs("compile")
@pytest.mark.question("Q107")
def test_other_methods_run_eagerly():
    """Methods other than ``forward`` are those of the given module and run eagerly (:issue:`141616`)."""
    graphs = []

    class Net(nn.Linear):
        def generate(self, x):
            return self(x) * 2.0

    net = Net(2, 3)
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    x = torch.rand(2)

    assert torch.equal(compiled.generate(x), net(x) * 2.0)
    assert compiled.generate.__self__ is net
    assert graphs == []


@pytest.mark.needs("compile")
@pytest.mark.question("Q107")
def test_a_method_may_be_compiled():
    """A method is compiled by passing the bound method to :func:`~torch.compile`."""
    graphs = []

    class Net(nn.Linear):
        def generate(self, x):
            return self(x) * 2.0

    net = Net(2, 3)
    net.generate = torch.compile(net.generate, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    x = torch.rand(2)

    assert torch.equal(net.generate(x), net(x) * 2.0)
    assert len(graphs) == 1


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
def test_a_global_hook_runs_once_more():
    """A global hook runs for the given module and once more for the one that wraps it."""
    calls = []

    class Double(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2.0

    compiled = torch.compile(Double(2, 3), backend="eager")

    handle = nn.modules.module.register_module_forward_hook(
        lambda module, *_: calls.append(type(module).__name__)
    )
    try:
        compiled(torch.rand(2))
    finally:
        handle.remove()

    assert calls == ["Double", "OptimizedModule"]


@pytest.mark.since("2.8")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward", "full_backward_pre"])
def test_a_global_hook_is_warned_about(kind):
    """With a global hook of any kind a call gives a ``UserWarning`` (:issue:`149502`, :pull:`152740`)."""
    compiled = torch.compile(nn.Linear(2, 3), backend="eager")

    handle = getattr(nn.modules.module, f"register_module_{kind}_hook")(lambda *_: None)
    try:
        with pytest.warns(UserWarning, match="cause the hooks to fire an extra time for the"):
            compiled(torch.rand(2))
    finally:
        handle.remove()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled(torch.rand(2))
    assert [warning for warning in caught if "hooks" in str(warning.message)] == []


@pytest.mark.needs("compile")
def test_hooks_of_the_wrapper_are_its_own():
    """A hook set on the new module is its own and is given the new module."""
    calls = []
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    layer.register_forward_hook(lambda module, *_: calls.append(module is layer))
    compiled.register_forward_hook(lambda module, *_: calls.append(module is compiled))

    compiled(torch.rand(2))

    assert calls == [True, True]
    assert [len(module._forward_hooks) for module in (layer, vars(compiled)["_modules"]["_orig_mod"])] == [
        1,
        1,
    ]


@pytest.mark.needs("compile")
def test_printing_shows_both():
    """The new module is printed with the given one inside."""
    compiled = torch.compile(nn.ReLU(), backend="eager")

    assert repr(compiled) == "OptimizedModule(\n  (_orig_mod): ReLU()\n)"


@pytest.mark.needs("compile")
def test_it_may_be_called_without_a_module():
    """Called without a module, :func:`~torch.compile` gives a function that wraps one."""
    layer = nn.Linear(2, 3)

    assert torch.compile(backend="eager")(layer)._orig_mod is layer


@pytest.mark.needs("compile")
def test_a_copy_wraps_a_copy():
    """A deep copy of the new module wraps a copy of the given one."""
    compiled = torch.compile(nn.Linear(2, 3), backend="eager")

    other = copy.deepcopy(compiled)

    assert type(other) is type(compiled)
    assert other._orig_mod is not compiled._orig_mod
    assert torch.equal(other._orig_mod.weight, compiled._orig_mod.weight)


@pytest.mark.needs("compile")
def test_an_optimizer_trains_the_module():
    """An optimizer made with the parameters of the new module trains the given one."""
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    compiled = torch.compile(layer, backend="eager")
    optimizer = torch.optim.SGD(compiled.parameters(), lr=0.5)
    compiled(torch.tensor([2.0, 4.0])).backward()
    optimizer.step()

    assert layer.weight.tolist() == [[2.0, 1.0]]
