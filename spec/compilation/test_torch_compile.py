"""Compiling into another module.

:func:`torch.compile` of a module gives an ``OptimizedModule``: a module that wraps the original, with the
same parameters under longer names.
"""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.modules import module as global_hooks


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_the_module_is_wrapped():
    """:func:`torch.compile <torch.compile>` of a module returns a new module that holds the original as
    ``_orig_mod``.

    The new one is an ``OptimizedModule``, not one of the original's class. Compile in place with
    :meth:`torch.nn.Module.compile` where that hurts.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    assert type(compiled).__name__ == "OptimizedModule"
    assert compiled._orig_mod is layer
    assert isinstance(compiled, nn.Module)
    assert not isinstance(compiled, nn.Linear)
    assert list(compiled.modules()) == [compiled, layer]


@pytest.mark.needs("compile")
def test_calls_go_to_the_backend():
    """Calling the module that :func:`torch.compile <torch.compile>` returns runs compiled code; the original
    stays eager.
    """
    steps = []
    layer = nn.Linear(2, 3)
    x = torch.rand(2)

    def backend(graph, inputs):
        def run(*args):
            steps.append("run")
            return graph(*args)

        steps.append("compile")
        return run

    compiled = torch.compile(layer, backend=backend)

    expected = layer(x)
    assert steps == []
    assert torch.equal(compiled(x), expected)
    layer(x)
    assert steps == ["compile", "run"]


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_names_are_longer():
    """The module that :func:`torch.compile <torch.compile>` returns puts ``_orig_mod.`` before its parameter
    names.

    A rule that goes by names, such as which parameters decay, misses them.

    See also :ref:`compilation.module_compile.nothing_is_returned`
    """
    layer = nn.Linear(2, 3)

    named = dict(torch.compile(layer, backend="eager").named_parameters())

    assert list(named) == ["_orig_mod.weight", "_orig_mod.bias"]
    assert named["_orig_mod.weight"] is layer.weight
    assert named["_orig_mod.bias"] is layer.bias


@pytest.mark.needs("compile")
@pytest.mark.question("Q105")
def test_its_state_dict_does_not_fit_the_module():
    """A plain module raises ``RuntimeError`` for a ``state_dict()`` of one from ``torch.compile``.

    Its keys begin with ``_orig_mod.``. Save ``compiled._orig_mod.state_dict()``, which fits both.

    See also :ref:`compilation.module_compile.nothing_is_returned`
    """
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    with pytest.raises(RuntimeError, match=r'(?s)Missing key.*"weight".*Unexpected key.*"_orig_mod\.weight"'):
        other.load_state_dict(compiled.state_dict())
    other.load_state_dict(compiled._orig_mod.state_dict())
    assert torch.equal(other.weight, layer.weight)


@pytest.mark.needs("compile")
def test_attributes_are_read_from_the_module():
    """The module that ``torch.compile`` returns gives access to attributes and methods of the original."""

    class Net(nn.Linear):
        def size(self):
            return self.weight.numel()

    net = Net(2, 3)
    net.norm = nn.BatchNorm1d(2)
    net.register_buffer("scale", torch.tensor(2.0))
    compiled = torch.compile(net, backend="eager")

    assert compiled.in_features == 2
    for name in ("weight", "scale", "norm"):
        assert getattr(compiled, name) is getattr(net, name)
    assert compiled.size() == 6
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'wieght'"):
        _ = compiled.wieght


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
def test_attributes_are_set_on_the_module():
    """Setting an attribute of the module that :func:`torch.compile <torch.compile>` returns sets it on the
    original.

    Only a few of the wrapper's own, such as ``forward``, stay with it.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")

    compiled.note = "kept"
    compiled.bias = None
    compiled.inner = nn.ReLU()
    compiled.forward = lambda x: x

    assert layer.note == "kept"
    assert layer.bias is None
    assert list(layer._modules) == ["inner"]
    assert "note" not in vars(compiled)
    assert "forward" not in vars(layer)


@pytest.mark.before("2.4")
@pytest.mark.needs("compile")
def test_attributes_were_set_on_the_wrapper():
    """Setting an attribute of the module that :func:`torch.compile <torch.compile>` returns does not set it
    on the original.
    """
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    compiled.note = "kept"

    assert ["note" in vars(module) for module in (compiled, layer)] == [True, False]


@pytest.mark.since("2.8")
@pytest.mark.needs("compile")
def test_attributes_are_deleted_from_the_module():
    """Deleting an attribute of the module that :func:`torch.compile <torch.compile>` returns deletes it from
    the original.
    """
    layer = nn.Linear(2, 3)
    layer.note, layer.inner = "gone", nn.ReLU()
    layer.register_buffer("scale", torch.tensor(2.0))
    compiled = torch.compile(layer, backend="eager")

    del compiled.note, compiled.bias, compiled.inner, compiled.scale

    assert [hasattr(layer, name) for name in ("note", "bias", "inner", "scale")] == [False] * 4


@pytest.mark.since("2.10")
@pytest.mark.needs("compile")
def test_a_length_is_passed_on():
    """``len()`` and ``bool()`` of a module from ``torch.compile`` raise ``TypeError`` if it had no ``len()``.

    So ask ``if compiled is not None:`` (:issue:`196253`). If the original has a length, it is that.
    """
    assert bool(torch.compile(nn.Sequential(), backend="eager")) is False
    assert len(torch.compile(nn.Sequential(nn.ReLU(), nn.ReLU()), backend="eager")) == 2
    for function in (len, bool):
        with pytest.raises(TypeError, match=r"Linear does not support len\(\)"):
            function(torch.compile(nn.Linear(2, 3), backend="eager"))


@pytest.mark.since("2.5")
@pytest.mark.needs("compile")
def test_the_mode_is_shared():
    """The module that ``torch.compile`` returns shares ``training`` with the original: ``train()`` sets both.

    See :issue:`122414` and :issue:`132986`.
    """
    net = nn.Sequential(nn.Linear(2, 3)).eval()
    compiled = torch.compile(net, backend="eager")
    assert compiled.training is False

    net.train()
    assert compiled.training is True
    compiled.eval()
    assert [module.training for module in compiled.modules()] == [False] * 3
    compiled.train()
    assert [module.training for module in compiled.modules()] == [True] * 3


@pytest.mark.before("2.5")
@pytest.mark.needs("compile")
def test_the_mode_was_not_shared():
    """The module that ``torch.compile`` returns starts in training mode, whatever the original's mode.

    See :issue:`122414`.
    """
    layer = nn.Linear(2, 3).eval()
    compiled = torch.compile(layer, backend="eager")

    assert compiled.training is True
    assert layer.training is False


@pytest.mark.needs("compile")
@pytest.mark.question("Q107")
def test_other_methods_run_eagerly():
    """Methods except ``forward`` of the module that ``torch.compile`` returns run eagerly, on the original.

    ``compiled.generate(x)`` compiles nothing, although it calls the module. Compile the method itself
    (:issue:`141616`).

    See also :ref:`compilation.torch_compile.a_method_may_be_compiled`
    """
    graphs = []

    class Net(nn.Linear):
        def generate(self, x):
            return self(x) * 2.0

    net, x = Net(2, 3), torch.rand(2)
    compiled = torch.compile(net, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)

    assert torch.equal(compiled.generate(x), net(x) * 2.0)
    assert compiled.generate.__self__ is net
    assert graphs == []
    compiled(x)
    assert len(graphs) == 1


@pytest.mark.needs("compile")
@pytest.mark.question("Q107")
def test_a_method_may_be_compiled():
    """``net.generate = torch.compile(net.generate)`` compiles a method such as ``generate``.

    What it calls is compiled with it, the module's ``forward`` included.
    """
    graphs = []

    class Net(nn.Linear):
        def generate(self, x):
            return self(x) * 2.0

    net, x, options = Net(2, 3), torch.rand(2), {"fullgraph": True}
    options["backend"] = lambda graph, inputs: graphs.append(graph) or graph.forward
    net.generate = torch.compile(net.generate, **options)

    assert torch.equal(net.generate(x), net(x) * 2.0)
    assert len(graphs) == 1


@pytest.mark.since("2.4")
@pytest.mark.needs("compile")
@pytest.mark.question("Q109")
def test_a_global_hook_runs_once_more():
    """Calling the module that ``torch.compile`` returns runs a global forward hook for it and the original.

    It is called with the original, then with the module that wraps it. Compile in place with
    :meth:`torch.nn.Module.compile`, or look at the class of the module in the hook.
    """
    calls = []

    class Double(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2.0

    compiled = torch.compile(Double(2, 3), backend="eager")
    handle = global_hooks.register_module_forward_hook(lambda module, *_: calls.append(type(module).__name__))
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
    """With a global hook, calling the module that ``torch.compile`` returns gives a ``UserWarning``.

    It says that the hook runs once more than without compilation (:issue:`149502`, :pull:`152740`).
    """
    compiled = torch.compile(nn.Linear(2, 3), backend="eager")

    handle = getattr(global_hooks, f"register_module_{kind}_hook")(lambda *_: None)
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
    """A forward hook on the module that ``torch.compile`` returns receives that module, not the original.

    Set backward hooks on the original.
    """
    calls = []
    layer = nn.Linear(2, 3)
    compiled = torch.compile(layer, backend="eager")
    layer.register_forward_hook(lambda module, *_: calls.append(module is layer))
    compiled.register_forward_hook(lambda module, *_: calls.append(module is compiled))

    compiled(torch.rand(2))

    assert calls == [True, True]
    assert len(layer._forward_hooks) == 1
    assert len(vars(compiled)["_forward_hooks"]) == 1


@pytest.mark.needs("compile")
def test_printing_shows_both():
    """Printing the module that :func:`torch.compile <torch.compile>` returns shows the original inside."""
    compiled = torch.compile(nn.Sequential(nn.ReLU()), backend="eager")

    assert str(compiled) == "OptimizedModule(\n  (_orig_mod): Sequential(\n    (0): ReLU()\n  )\n)"
    assert repr(compiled) == str(compiled)


@pytest.mark.needs("compile")
def test_it_may_be_called_without_a_module():
    """:func:`torch.compile <torch.compile>` without a model returns a decorator that wraps a module in an
    ``OptimizedModule``.
    """
    graphs, layer = [], nn.Linear(2, 3)

    compiled = torch.compile(backend=lambda graph, inputs: graphs.append(graph) or graph.forward)(layer)

    assert compiled._orig_mod is layer
    assert type(compiled).__name__ == "OptimizedModule"
    assert torch.equal(compiled(torch.ones(2)), layer(torch.ones(2)))
    assert len(graphs) == 1


@pytest.mark.needs("compile")
def test_a_copy_wraps_a_copy():
    """``copy.deepcopy`` of the module that ``torch.compile`` returns also copies the original."""
    compiled = torch.compile(nn.BatchNorm1d(3), backend="eager")
    other = copy.deepcopy(compiled)

    assert type(other) is type(compiled)
    assert type(other._orig_mod) is nn.BatchNorm1d
    assert other._orig_mod is not compiled._orig_mod
    for old, new in zip(compiled.state_dict().values(), other.state_dict().values(), strict=True):
        assert old.data_ptr() != new.data_ptr()
        assert torch.equal(old, new)


@pytest.mark.needs("compile")
def test_an_optimizer_trains_the_module():
    """An optimizer on ``parameters()`` of the module that ``torch.compile`` returns trains the original.

    They are the same objects, so one made before the compilation goes on as well.
    """
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 3.0)
    earlier = torch.optim.SGD(layer.parameters(), lr=0.5)
    compiled = torch.compile(layer, backend="eager")
    optimizer = torch.optim.SGD(compiled.parameters(), lr=0.5)
    compiled(torch.tensor([2.0, 4.0])).backward()
    optimizer.step()
    assert layer.weight.tolist() == [[2.0, 1.0]]
    earlier.step()
    assert layer.weight.tolist() == [[1.0, -1.0]]


@pytest.mark.needs("compile")
@pytest.mark.before("2.3")
def test_step_hooks_are_lost_after_a_compilation():
    """After any use of :func:`torch.compile`, step hooks of ``torch.optim.SGD`` no longer run.

    An optimizer class of one's own, defined afterwards, keeps its hooks.
    """
    torch.compile(torch.sin, backend="eager")(torch.ones(2))
    optimizer, calls = torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=0.5), []
    optimizer.register_step_pre_hook(lambda *given: calls.append("hook"))

    optimizer.step()

    assert calls == []
