"""Forward hooks: what runs after forward, and may replace its output.

:meth:`~torch.nn.Module.register_forward_hook` adds a function of the module, its positional arguments
and its output. What it returns, unless ``None``, takes the place of the output.
"""

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


@pytest.mark.claim("N5-20")
def test_it_runs_after_forward():
    """A forward hook is called as ``hook(module, args, output)`` after ``forward``, on each ``net(x)``."""
    calls = []

    class Add(nn.Module):
        def forward(self, x, y=11):
            calls.append("forward")
            return x + y

    add = Add()
    add.register_forward_hook(lambda module, args, output: calls.append((module, args, output)))
    add(3, 5)
    with torch.no_grad():
        add.eval()(7)

    assert calls == ["forward", (add, (3, 5), 8), "forward", (add, (7,), 18)]


@pytest.mark.claim("N5-20")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_it_takes_out_an_intermediate_result(training):
    """A forward hook on an inner layer gets the layer's output, not detached: it has a ``grad_fn``.

    So features of an inner layer need no second forward. Keep ``output.detach()`` if gradients are not
    wanted: the output itself holds the graph, and its memory, as long as it is kept.
    """
    net, taken = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).train(training), {}
    net[1].register_forward_hook(lambda module, args, output: taken.update(tanh=output))
    net[2].register_forward_pre_hook(lambda module, args: taken.update(next=args[0]))
    x = torch.rand(4, 2)
    net(x)

    assert torch.equal(taken["tanh"], torch.tanh(net[0](x)))
    assert taken["tanh"] is taken["next"]
    assert taken["tanh"].grad_fn is not None


@pytest.mark.parametrize("options", [{}, {"prepend": True}, {"with_kwargs": True}], ids=str)
def test_registering_a_forward_hook_returns_a_handle(options):
    """:meth:`~torch.nn.Module.register_forward_hook` returns a ``RemovableHandle`` that removes the hook."""
    identity = nn.Identity()
    calls = []
    handle = identity.register_forward_hook(lambda module, args, *rest: calls.append(args), **options)
    identity(1)
    handle.remove()
    identity(2)

    assert type(handle) is RemovableHandle
    assert calls == [(1,)]


@pytest.mark.parametrize(
    "value",
    [torch.rand(2, requires_grad=True), [3], (3, 4), {"a": 3}],
    ids=["tensor", "list", "tuple", "dict"],
)
def test_returning_none_keeps_the_output(value):
    """If a forward hook returns ``None``, ``net(x)`` returns the very object that ``forward`` returned."""

    class Answer(nn.Module):
        def forward(self):
            return value

    answer = Answer()
    answer.register_forward_hook(lambda module, args, output: None)
    answer.register_forward_hook(lambda module, args, kwargs, output: None, with_kwargs=True)

    assert answer() is value


@pytest.mark.claim("N5-21")
@pytest.mark.parametrize(
    "value", [7, (), False, "text", torch.rand(0, 3)], ids=["int", "empty_tuple", "false", "str", "tensor"]
)
def test_what_it_returns_replaces_the_output(value):
    """Anything but ``None`` that a forward hook returns replaces the output of ``forward``.

    A hook that is to look only must not return anything: ``lambda *given: seen.append(given)`` is fine,
    ``lambda module, args, output: output.detach()`` cuts the graph.
    """
    identity, other = nn.Identity(), nn.Identity()
    identity.register_forward_hook(lambda module, args, output: value)
    other.register_forward_hook(lambda module, args, kwargs, output: value, with_kwargs=True)

    assert identity(1) is value
    assert torch.no_grad()(identity.eval())(1) is value
    assert other(torch.rand(2)) is value


def test_a_hook_may_start_the_gradients():
    """A forward hook may call ``requires_grad_()`` on the output of a frozen layer, which stays frozen.

    So the graph begins after a frozen embedding, which a reentrant checkpoint of the next block needs. An
    output that was computed from what requires grad cannot be changed so, nor need it be.
    """
    frozen, head = nn.Embedding(3, 2).requires_grad_(False), nn.Identity()

    def start(module, args, output):
        output.requires_grad_()

    frozen.register_forward_hook(start)
    middle = frozen(torch.tensor([1, 2]))
    (head(middle) * 3).sum().backward()

    assert [frozen.weight.requires_grad, frozen.weight.grad] == [False, None]
    assert middle.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_the_next_module_gets_the_replacement():
    """In a ``Sequential``, what a layer's forward hook returns is the input of the next layer."""
    net = nn.Sequential(nn.ReLU(), nn.ReLU())
    net[0].register_forward_hook(lambda module, args, output: output * 10 - 5)
    assert net(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 15.0]

    net[0].register_forward_hook(lambda module, args, kwargs, output: output + 1, with_kwargs=True)
    assert torch.no_grad()(net.eval())(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 16.0]


def test_forward_hooks_run_in_order_of_registration():
    """Without ``prepend``, forward hooks run in registration order, each on the previous one's result."""
    identity = nn.Identity()
    identity.register_forward_hook(lambda module, args, output: output + 1)
    identity.register_forward_hook(lambda module, args, output: None)
    identity.register_forward_hook(lambda module, args, kwargs, output: output * 10, with_kwargs=True)

    assert identity(4) == 50


def test_prepend_puts_a_forward_hook_first():
    """``register_forward_hook(hook, prepend=True)`` runs the hook before those already on the module."""
    identity, calls = nn.Identity(), []
    identity.register_forward_hook(lambda *given: calls.append("first"))
    identity.register_forward_hook(lambda *given: calls.append("second"))
    identity.register_forward_hook(lambda *given: calls.append("prepended"), prepend=True)
    identity.register_forward_hook(lambda *given: calls.append("kwargs"), prepend=True, with_kwargs=True)
    identity(3)

    assert calls == ["kwargs", "prepended", "first", "second"]


def test_it_sees_what_pre_hooks_made_of_the_arguments():
    """A forward hook gets the arguments that ``forward`` got, as changed by forward pre-hooks."""
    net = nn.Module()
    net.forward = lambda x, scale: x * scale
    seen = []
    net.register_forward_pre_hook(lambda module, args, kwargs: ((5,), {"scale": 7}), with_kwargs=True)
    net.register_forward_hook(lambda module, *given: seen.append(given))
    net.register_forward_hook(lambda module, *given: seen.append(given), with_kwargs=True)
    net(1, scale=2)

    assert seen == [((5,), 35), ((5,), {"scale": 7}, 35)]


@pytest.mark.question("Q43")
def test_forward_hooks_do_not_see_keyword_arguments():
    """Without ``with_kwargs=True``, a forward hook does not get the keyword arguments of the call.

    Of ``net(input=x)`` it gets no arguments at all, and ``args[0]`` raises ``IndexError``. Register it with
    :meth:`register_forward_hook(hook, with_kwargs=True) <torch.nn.Module.register_forward_hook>`.
    """
    layer, seen = nn.Linear(2, 3), []
    layer.register_forward_hook(lambda *given: seen.append(given))
    output = layer(input=torch.rand(1, 2))

    assert seen == [(layer, (), output)]


@pytest.mark.question("Q43")
def test_with_kwargs_they_come_before_the_output():
    """With ``with_kwargs=True``, a forward hook is called as ``hook(module, args, kwargs, output)``."""
    net = nn.Module()
    net.forward = lambda x, scale: x * scale
    seen = []

    def hook(module, args, kwargs, output):
        seen.append((module, args, kwargs, output))
        return "replaced"

    net.register_forward_hook(hook, with_kwargs=True)

    assert net(2, scale=5) == "replaced"
    assert net.eval()(3, 7) == "replaced"
    assert seen == [(net, (2,), {"scale": 5}, 10), (net, (3, 7), {}, 21)]


def test_options_of_a_forward_hook_are_keyword_only():
    """``register_forward_hook`` accepts its options by keyword: by position they raise ``TypeError``."""
    identity = nn.Identity()
    identity.register_forward_hook(lambda *given: None, prepend=True, with_kwargs=True)
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        identity.register_forward_hook(lambda *given: None, True)


def test_forward_hooks_do_not_run_when_forward_raises():
    """If ``forward`` raises, forward hooks without ``always_call`` do not run."""
    calls = []

    class Failing(nn.Module):
        def forward(self, x):
            calls.append("forward")
            raise ValueError("forward failed")

    failing = Failing()
    failing.register_forward_hook(lambda module, args, output: calls.append("post"))
    failing.register_forward_hook(lambda *given: calls.append("kwargs"), prepend=True, with_kwargs=True)
    with pytest.raises(ValueError, match="forward failed"):
        failing(1)

    assert calls == ["forward"]


def test_an_error_in_a_forward_hook_stops_the_others():
    """If a forward hook raises, later forward hooks without ``always_call`` do not run."""
    identity = nn.Identity()
    calls = []

    def failing(module, args, output):
        calls.append("failing")
        raise ValueError("hook failed")

    identity.register_forward_hook(lambda *given: calls.append("before"))
    identity.register_forward_hook(failing)
    identity.register_forward_hook(lambda *given: calls.append("after"))
    identity.register_forward_hook(lambda *given: calls.append("after with kwargs"), with_kwargs=True)
    with pytest.raises(ValueError, match="hook failed"):
        identity(3)

    assert calls == ["before", "failing"]


@pytest.mark.parametrize("option", ["prepend", "with_kwargs"])
def test_a_forward_hook_may_remove_itself(option):
    """A forward hook that calls ``remove()`` on its own handle does not run in later calls."""
    identity = nn.Identity()
    calls = []

    def once(*given):
        calls.append("once")
        handle.remove()

    handle = identity.register_forward_hook(once, **{option: True})
    identity.register_forward_hook(lambda *given: calls.append("always"))
    identity(3)
    identity(3)

    assert calls == ["once", "always", "always"]


def test_the_stores_of_a_forward_hook():
    """A module keeps its forward hooks in ``_forward_hooks``, a dict by handle ``id``, until removed.

    ``_forward_hooks_with_kwargs`` says which of them take keyword arguments.
    """
    identity = nn.Identity()

    def plain(module, args, output): ...
    def full(module, args, kwargs, output): ...

    first = identity.register_forward_hook(plain)
    second = identity.register_forward_hook(full, prepend=True, with_kwargs=True)

    assert list(identity._forward_hooks.items()) == [(second.id, full), (first.id, plain)]
    assert dict(identity._forward_hooks_with_kwargs) == {second.id: True}

    second.remove()
    assert dict(identity._forward_hooks) == {first.id: plain}
    assert dict(identity._forward_hooks_with_kwargs) == {}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_modes_do_not_switch_hooks_off(training):
    """Forward hooks run in ``train()`` and ``eval()`` mode, also under ``no_grad`` and ``inference_mode``."""
    layer = nn.Linear(2, 3).train(training)
    seen = []
    layer.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    layer(torch.rand(1, 2))
    with torch.no_grad():
        layer(torch.rand(1, 2))
    with torch.inference_mode():
        layer(torch.rand(1, 2))

    assert seen == [True, False, False]


@pytest.mark.question("Q51")
@pytest.mark.before("2.5")
def test_the_fast_path_of_transformers_skips_hooks():
    """``TransformerEncoderLayer(batch_first=True)`` in ``eval()`` under ``no_grad`` runs no hooks of its
    submodules.

    Its fused fast path does not call the submodules (:issue:`128413`). With gradients, or in ``train()``, the
    hooks run.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    calls = []
    for child in layer.children():
        child.register_forward_hook(lambda module, args, output: calls.append(module))
    x = torch.rand(1, 3, 4)
    with torch.no_grad():
        layer.eval()(x)
        assert calls == []

        layer.train()(x)
        assert layer.linear1 in calls

    calls.clear()
    layer.eval()(x)
    assert layer.linear1 in calls


@pytest.mark.question("Q51")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_a_hook_keeps_transformers_off_the_fast_path(kind, norm_first):
    """A forward hook on a child of ``TransformerEncoderLayer`` also runs in ``eval()`` under ``no_grad``.

    So does a forward pre-hook. The layer leaves its fused path as soon as it finds either (:issue:`128413`),
    and is slower for it. See :class:`torch.nn.TransformerEncoderLayer`.
    """
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, norm_first=norm_first).eval()
    children, calls = list(layer.children()), []
    for child in children:
        handle = getattr(child, f"register_{kind}")(lambda module, *given: calls.append(module))
        with torch.no_grad():
            for mask in (None, torch.tensor([[False, False, True]])):
                layer(torch.rand(1, 3, 4), src_key_padding_mask=mask)
        handle.remove()

    assert calls[::2] == calls[1::2] == children


def test_the_output_projection_of_attention_is_never_called():
    """:class:`~torch.nn.MultiheadAttention` never calls its ``out_proj`` module, so hooks on ``out_proj``
    never run.

    It hands the weights of ``out_proj`` to a function instead. Hook the attention itself, whose output is
    that of the projection.
    """
    for attention in (nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, kdim=3, vdim=3)):
        x, calls = torch.rand(5, 1, 4), []
        attention.out_proj.register_forward_pre_hook(lambda *given, calls=calls: calls.append("before"))
        attention.out_proj.register_forward_hook(lambda *given, calls=calls: calls.append("out_proj"))
        attention.register_forward_hook(lambda *given, calls=calls: calls.append("attention"))
        keys = x[..., : attention.kdim]
        for need_weights in (True, False):
            attention(x, keys, keys, need_weights=need_weights)
            with torch.no_grad():
                attention.eval()(x, keys, keys, need_weights=need_weights)

        assert calls == ["attention"] * 4


@pytest.mark.parametrize(
    "layer", [nn.Identity, nn.Flatten, lambda: nn.Dropout().eval()], ids=["identity", "flatten", "dropout"]
)
def test_an_input_changed_in_place_may_be_the_output(layer):
    """A forward hook that changes its input in place changes the output of ``nn.Identity`` as well.

    So it is with every module that returns its input or a view of it, such as ``nn.Flatten``, or
    ``nn.Dropout`` in evaluation.
    """

    def scale(module, args, output):
        args[0].mul_(10)

    same, other = layer(), nn.ReLU()
    same.register_forward_hook(scale)
    other.register_forward_hook(scale)

    x = torch.tensor([[2.0, 3.0]])
    assert same(x).tolist() == x.tolist() == [[20.0, 30.0]]
    assert other(torch.tensor([[2.0, 3.0]])).tolist() == [[2.0, 3.0]]


def test_a_layer_that_is_called_twice_runs_its_hooks_twice():
    """A ``register_forward_hook`` hook runs at each call of its module: twice if a model calls it twice.

    A hook that counts parameters or keeps one output by the name of the layer so counts double, or keeps the
    last. Count over ``parameters()``, and append outputs to a list.
    """
    layer, calls = nn.Linear(2, 2), []
    net = nn.Sequential(layer, nn.ReLU(), layer)
    layer.register_forward_hook(lambda module, args, output: calls.append(output))
    output = net(torch.rand(1, 2))

    assert [call is output for call in calls] == [False, True]
