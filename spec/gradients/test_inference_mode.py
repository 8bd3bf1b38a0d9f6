"""inference_mode: what a module keeps of it.

Tensors that are made inside :class:`torch.inference_mode` are inference tensors for good: outside, autograd
cannot use them, and they cannot be changed in place. A module that was there before is not harmed by a call;
one that is built, cast or filled there consists of them.
"""

import copy
import io
import warnings

import pytest
import torch
from torch import nn


def test_calls_and_loading_inside_are_harmless():
    """A module called or loaded in ``torch.inference_mode`` is trained afterwards as before.

    ``load_state_dict`` and running statistics change tensors in place, which stay ordinary ones. See
    :class:`torch.inference_mode`.
    """
    net, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), torch.rand(4, 2)

    with torch.inference_mode():
        net.load_state_dict({key: value + 2 for key, value in net.state_dict().items()})
        net(x)

    assert [value.is_inference() for value in net.state_dict(keep_vars=True).values()] == [False] * 7
    assert net[1].num_batches_tracked.item() == 3
    net(x)[0, 0].backward()
    assert all(p.grad is not None for p in net.parameters())


def test_scaling_a_weight_inside_is_harmless():
    """A weight scaled in place in ``torch.inference_mode`` stays a leaf that is trained, as in ``no_grad``.

    As there, a graph that was made before and needs the old value raises ``RuntimeError`` in ``backward()``.
    What is computed from the weight inside is an inference tensor. See :class:`torch.inference_mode`.
    """
    layer, x = nn.Linear(2, 1, bias=False), torch.ones(1, 2, requires_grad=True)
    weight = layer.weight
    before = layer(x)

    with torch.inference_mode():
        weight.fill_(3.0).mul_(0.5)
        inside = weight * 2

    assert [weight.is_inference(), weight.is_leaf, weight.requires_grad] == [False, True, True]
    assert [inside.is_inference(), inside.requires_grad] == [True, False]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        before.backward()
    layer(x).backward()
    assert [weight.grad.tolist(), x.grad.tolist()] == [[[1.0, 1.0]], [[1.5, 1.5]]]


def test_outputs_require_no_grad():
    """In ``torch.inference_mode`` the output of a module does not require grad, even in ``enable_grad()``.

    Only ``torch.inference_mode(False)`` inside turns gradients on again; unlike
    :class:`~torch.no_grad`, which ``torch.enable_grad()`` undoes.
    """
    layer, x = nn.Linear(2, 3), torch.rand(4, 2)

    with torch.inference_mode(), torch.enable_grad():
        assert layer(x).requires_grad is False
    with torch.inference_mode(), torch.inference_mode(False):
        assert layer(x).requires_grad is True
    with torch.no_grad(), torch.enable_grad():
        assert layer(x).requires_grad is True


def test_an_output_is_cloned_before_training():
    """A trainable ``nn.Linear`` raises ``RuntimeError`` for an input computed in ``torch.inference_mode``.

    Give it a ``clone()`` made outside, or compute features under :class:`~torch.no_grad`, whose outputs are
    ordinary tensors.
    """
    features, head, x = nn.Linear(2, 3), nn.Linear(3, 1), torch.rand(4, 2)
    with torch.inference_mode():
        output = features(x)

    with pytest.raises(RuntimeError, match=r"^Inference tensors cannot be saved for backward"):
        head(output)
    assert head(output.clone()).requires_grad is True
    assert head(torch.no_grad()(features)(x)).requires_grad is True


def test_a_module_built_inside_gets_no_gradient():
    """An ``nn.Linear`` built in ``torch.inference_mode`` silently gets no gradient for its weight.

    It does get one for its bias. For an input that requires grad the call raises ``RuntimeError``. Build
    models outside; see :class:`torch.inference_mode`.
    """
    with torch.inference_mode():
        layer = nn.Linear(2, 3)

    assert layer.weight.requires_grad is True
    assert layer.weight.is_inference() is True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.rand(4, 2)).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [4.0, 4.0, 4.0]
    with pytest.raises(RuntimeError, match=r"^Inference tensors cannot be saved for backward"):
        layer(torch.rand(4, 2, requires_grad=True))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.load_state_dict(nn.Linear(2, 3).state_dict()),
        lambda layer: layer.reset_parameters(),
        lambda layer: nn.init.normal_(layer.weight),
        lambda layer: torch.optim.SGD(layer.parameters(), lr=0.5).step(),
    ],
    ids=["load_state_dict", "reset_parameters", "init", "step"],
)
def test_a_module_built_inside_is_not_changed(change):
    """``load_state_dict`` raises ``RuntimeError`` for a module built in ``torch.inference_mode``.

    So do ``reset_parameters()``, the functions of :mod:`torch.nn.init` and ``optimizer.step()``: whatever
    changes parameters in place. Inside :class:`torch.inference_mode` they work.
    """
    with torch.inference_mode():
        layer = nn.Linear(2, 3)
    for p in layer.parameters():
        p.grad = torch.ones(p.shape)

    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        change(layer)
    with torch.inference_mode():
        change(layer)


def test_a_deep_copy_made_outside_is_trainable():
    """``copy.deepcopy`` outside ``torch.inference_mode`` makes a module that was built inside trainable.

    The same call inside does not. See :class:`torch.inference_mode`.
    """
    with torch.inference_mode():
        layer = nn.Linear(2, 3)
        inside = copy.deepcopy(layer)
    outside = copy.deepcopy(layer)

    assert inside.weight.is_inference() is True
    assert outside.weight.is_inference() is False
    outside(torch.ones(4, 2, requires_grad=True)).sum().backward()
    assert outside.weight.grad.tolist() == [[4.0, 4.0]] * 3


@pytest.mark.since("2.1")
def test_assigned_tensors_are_trainable():
    """``load_state_dict(assign=True)`` makes a module built in ``torch.inference_mode`` trainable.

    The tensors of the dict take the place of the inference tensors, if they are made outside; a dict of
    inference tensors raises ``RuntimeError``. See :class:`torch.inference_mode`.
    """
    with torch.inference_mode():
        layer, other = nn.Linear(2, 3), nn.Linear(2, 3)

    layer.load_state_dict(nn.Linear(2, 3).state_dict(), assign=True)
    layer(torch.ones(4, 2, requires_grad=True)).sum().backward()

    assert layer.weight.grad.tolist() == [[4.0, 4.0]] * 3
    with pytest.raises(RuntimeError, match="Setting requires_grad=True on inference tensor"):
        layer.load_state_dict(other.state_dict(), assign=True)


def test_a_cast_outside_does_not_help():
    """A cast such as ``Module.double`` does not make a module trainable that was built in ``inference_mode``.

    ``is_inference()`` of its parameters is then ``False``, but calls raise ``RuntimeError``. See
    :class:`torch.inference_mode`.
    """
    for dtype in (torch.float64, torch.bfloat16):
        with torch.inference_mode():
            layer = nn.Linear(2, 3)
        layer.to(dtype)

        assert [p.is_inference() for p in layer.parameters()] == [False, False]
        with pytest.raises(RuntimeError, match=r"^Inference tensors do not track version counter"):
            layer(torch.rand(4, 2, dtype=dtype, requires_grad=True))


def test_a_cast_inside_spoils_a_module():
    """``Module.double`` or another cast in ``torch.inference_mode`` makes a module untrainable afterwards.

    Its parameters and floating-point buffers become inference tensors. Cast and move models outside; see
    :class:`torch.inference_mode`.
    """
    for cast, dtype in ((nn.Module.double, torch.float64), (nn.Module.bfloat16, torch.bfloat16)):
        net, x = nn.Sequential(nn.BatchNorm1d(2)), torch.rand(4, 2, dtype=dtype)

        with torch.inference_mode():
            cast(net)

        values = net[0].state_dict(keep_vars=True)
        spoilt = ["weight", "bias", "running_mean", "running_var"]
        assert [key for key, value in values.items() if value.is_inference()] == spoilt
        with pytest.raises(RuntimeError, match=r"^Inference tensors cannot be saved for backward"):
            net(x)


def test_a_lazy_module_is_called_outside_first():
    """An ``nn.LazyLinear`` first called in ``torch.inference_mode`` gets no gradient for its weight
    afterwards.

    Its parameters are made in the first call. Call it once under :class:`~torch.no_grad` instead; see
    :class:`~torch.nn.LazyLinear`.
    """
    layer, other, x = nn.LazyLinear(3), nn.LazyLinear(3), torch.ones(4, 2)
    with torch.inference_mode():
        layer(x)
    with torch.no_grad():
        other(x)

    layer(x).sum().backward()
    other(x).sum().backward()

    assert layer.weight.grad is None
    assert other.weight.grad.tolist() == [[4.0, 4.0]] * 3


@pytest.mark.parametrize("declare", [setattr, nn.Module.register_buffer], ids=["attribute", "buffer"])
def test_a_tensor_cached_inside_raises_later(declare):
    """A tensor that ``forward`` caches in ``inference_mode`` makes a later training call raise
    ``RuntimeError``.

    A cache of positions or masks filled in validation is such a tensor, as an attribute or as a buffer. Fill
    it in ``__init__``, or in a block of ``torch.inference_mode(False)``. See :class:`torch.inference_mode`.
    """

    class Net(nn.Linear):
        def forward(self, x):
            if self.positions is None:
                with torch.inference_mode(inside):
                    self.positions = torch.arange(3.0)
            return super().forward(x) * self.positions

    inside, net, x = True, Net(2, 3), torch.rand(4, 2)
    declare(net, "positions", None)
    with torch.inference_mode():
        net(x)

    with pytest.raises(RuntimeError, match=r"^Inference tensors cannot be saved for backward"):
        net(x)
    net.positions = net.positions.clone()
    assert net(x).requires_grad is True

    inside, net.positions = False, None
    with torch.inference_mode():
        net(x)
    assert net(x).requires_grad is True


def test_tensors_loaded_inside_are_inference_tensors():
    """Tensors of :func:`torch.load` in ``inference_mode`` are inference tensors; ``load_state_dict`` copies
    them.

    So they do no harm to a module. With ``assign=True`` a parameter of them is an error: see
    :ref:`gradients.inference_mode.assigned_tensors_are_trainable`
    """
    file, net = io.BytesIO(), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    torch.save(copy.deepcopy(net).state_dict(), file)
    file.seek(0)
    with torch.inference_mode():
        state = torch.load(file, weights_only=True)

    net.load_state_dict(state)
    net[0](torch.ones(4, 2)).sum().backward()

    assert all(value.is_inference() for value in state.values())
    assert not any(value.is_inference() for value in net.state_dict().values())
    assert torch.equal(net[0].weight, state["0.weight"])
    assert net[0].weight.grad.tolist() == [[4.0, 4.0]] * 3


def test_a_buffer_made_inside_is_not_changed_in_place():
    """``add_`` on a buffer that was made in ``inference_mode`` raises ``RuntimeError``, also in ``no_grad``.

    It is only found after the values were changed. The buffer can be read, replaced, and changed in
    ``inference_mode`` again. See :class:`torch.inference_mode`.
    """
    net = nn.Module()
    with torch.inference_mode():
        net.register_buffer("cache", torch.zeros(2))

    for mode in (torch.no_grad, torch.enable_grad):
        with mode(), pytest.raises(RuntimeError, match="Inplace update to inference tensor outside"):
            net.cache.add_(1)
    assert (net.cache + 5).tolist() == [7.0, 7.0]
    with torch.inference_mode():
        net.cache.add_(3)
    assert net.cache.tolist() == [5.0, 5.0]
    net.cache = net.cache + 4
    net.cache.add_(1)
    assert net.cache.tolist() == [10.0, 10.0]


def test_a_loss_summed_inside_is_not_divided_in_place():
    """A loss summed up in ``torch.inference_mode`` raises ``RuntimeError`` for ``/=`` outside; ``/`` works.

    Divide it inside, or add up ``loss.item()``.
    """
    with torch.inference_mode():
        total = 0
        for target in (1.0, 3.0):
            total += nn.MSELoss()(torch.zeros(1), torch.tensor([target]))

    mean = total / 2

    assert mean.item() == 5.0
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside"):
        total /= 2


def test_a_function_that_computes_inside_cuts_the_graph():
    """An output that a ``torch.autograd.Function`` computes in ``inference_mode`` has a useless ``grad_fn``.

    It seems to require grad, but what is computed from it does not: the function is never asked for a
    gradient. A ``clone()`` after the block mends it (:issue:`77967`).
    """

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, cloned):
            with torch.inference_mode():
                result = x.sin()
            return result.clone() if cloned else result

        @staticmethod
        def backward(ctx, grad):
            return grad * 5, None

    x = torch.zeros(2, requires_grad=True)
    spoiled, mended = (Sine.apply(x, cloned) for cloned in (False, True))
    mended.sum().backward()

    assert [y.requires_grad for y in (spoiled, spoiled.sum(), mended.sum())] == [True, False, True]
    assert (spoiled.is_inference(), x.grad.tolist()) == (True, [5.0, 5.0])
