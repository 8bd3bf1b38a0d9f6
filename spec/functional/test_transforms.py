"""Function transforms over a module.

A functional call makes a module a function of its tensors, which :func:`torch.func.grad`,
:func:`torch.vmap` and their kin transform.
"""

import pytest
import torch
import torch.utils.checkpoint
from torch import nn
from torch.func import functional_call, grad, jvp, vjp


def test_grad_gives_a_dict_of_gradients():
    """:func:`torch.func.grad <torch.func.grad>` over ``functional_call`` returns a dict of gradients by
    parameter name.

    The ``grad`` of the parameters stays as it is.
    """
    layer = nn.Linear(2, 1)
    net = nn.Sequential(layer)
    layer.bias.grad = torch.tensor([3.0])

    def loss(state):
        return functional_call(net, state, torch.tensor([10.0, 100.0])).sum()

    gradients = grad(loss)(dict(net.named_parameters()))

    assert {name: value.tolist() for name, value in gradients.items()} == {
        "0.weight": [[10.0, 100.0]],
        "0.bias": [1.0],
    }
    assert layer.weight.grad is None
    assert layer.bias.grad.tolist() == [3.0]


def test_grad_sees_only_what_is_given():
    """:func:`torch.func.grad <torch.func.grad>` over ``functional_call`` returns gradients only for the given
    tensors.

    A module's own parameters are constants to it.
    """
    layer = nn.Linear(2, 1)

    def loss(state):
        return functional_call(layer, state, torch.rand(2)).sum()

    gradients = grad(loss)({"bias": layer.bias})

    assert list(gradients) == ["bias"]
    assert gradients["bias"].tolist() == [1.0]
    assert layer.weight.grad is None


def test_gradients_of_detached_parameters():
    """:func:`torch.func.grad <torch.func.grad>` of detached parameters returns gradients without ``grad_fn``.

    ``backward()`` of them raises ``RuntimeError``. Give the parameters themselves to differentiate twice.
    """
    layer = nn.Linear(2, 1, bias=False)

    def loss(state):
        return functional_call(layer, state, torch.tensor([10.0, 100.0])).square().sum()

    detached = grad(loss)({"weight": layer.weight.detach()})["weight"]
    tracked = grad(loss)({"weight": layer.weight})["weight"]

    assert detached.grad_fn is None
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        detached.sum().backward()

    tracked.sum().backward()
    assert layer.weight.grad.tolist() == [[2200.0, 22000.0]]


def test_gradients_of_each_sample():
    """:func:`torch.vmap <torch.vmap>` over :func:`torch.func.grad <torch.func.grad>` computes per-sample
    gradients.

    A plain backward pass sums the gradients of the samples. Private training clips them one by one.

    See also :ref:`functional.per_sample_gradients.every_sample_has_a_gradient`
    """
    layer = nn.Linear(2, 1, bias=False)
    x = torch.tensor([[10.0, 100.0], [20.0, 200.0]])

    def loss(state, sample):
        return functional_call(layer, state, sample).sum()

    gradients = torch.vmap(grad(loss), in_dims=(None, 0))({"weight": layer.weight.detach()}, x)

    assert gradients["weight"].tolist() == [[[10.0, 100.0]], [[20.0, 200.0]]]


def test_derivative_in_a_direction():
    """:func:`torch.func.jvp <torch.func.jvp>` over ``functional_call`` returns the output and its derivative
    along ``tangents``.
    """
    layer = nn.Linear(2, 1, bias=False)
    weight, direction = torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, -1.0]])

    x, turn = torch.tensor([10.0, 100.0]), torch.tensor([0.5, 2.0])

    def call(weight, x=x):
        return functional_call(layer, {"weight": weight}, x)

    for given, along, expected in (((weight,), (direction,), -90.0), ((weight, x), (direction, turn), -83.0)):
        out, derivative = jvp(call, given, along)

        assert out.tolist() == [320.0]
        assert derivative.tolist() == [expected]


def test_product_from_the_left():
    """:func:`torch.func.vjp <torch.func.vjp>` returns the output and a function from output gradients to
    input gradients.
    """
    layer = nn.Linear(2, 1, bias=False)

    def call(weight, x):
        return functional_call(layer, {"weight": weight}, x)

    out, pull = vjp(call, torch.tensor([[2.0, 3.0]]), torch.tensor([10.0, 100.0]))

    assert out.tolist() == [320.0]
    assert [value.tolist() for value in pull(torch.tensor([5.0]))] == [[[50.0, 500.0]], [10.0, 15.0]]
    assert [value.tolist() for value in pull(torch.tensor([3.0]))] == [[[30.0, 300.0]], [6.0, 9.0]]


def test_a_module_itself_can_be_mapped():
    """:func:`torch.vmap(module) <torch.vmap>` applies an ``nn.Module`` to each sample of a batch."""
    net = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=0))
    net[1].register_forward_hook(lambda module, args, output: 10 * output)
    net.register_forward_hook(lambda module, args, output: output + 100)
    x = torch.rand(4, 3)

    torch.testing.assert_close(torch.vmap(net)(x), torch.stack([net(sample) for sample in x]))


def test_drawing_at_random_is_an_error_by_default():
    """By default :func:`torch.vmap <torch.vmap>` raises ``RuntimeError`` for random operations, such as
    ``Dropout`` in training mode.
    """
    for draw in (nn.Dropout(), nn.AlphaDropout(), torch.rand_like):
        for size in (None, 2):
            with pytest.raises(
                RuntimeError, match="vmap: called random operation while in randomness error mode"
            ):
                torch.vmap(draw, chunk_size=size)(torch.rand(4, 3))


def test_a_module_in_evaluation_mode_draws_nothing():
    """:func:`torch.vmap <torch.vmap>` accepts an :class:`nn.Dropout <torch.nn.Dropout>` in eval mode,
    which uses no random numbers.
    """
    x = torch.rand(4, 3)

    assert torch.equal(torch.vmap(nn.Dropout().eval())(x), x)


def test_randomness_may_be_the_same_or_different():
    """``torch.vmap(randomness="same")`` uses one Dropout mask for all samples, ``"different"`` one for
    each.
    """
    x = torch.full((4, 100), 3.0)

    same = torch.vmap(nn.Dropout(), randomness="same")(x)
    different = torch.vmap(nn.Dropout(), randomness="different")(x)
    chunked = [torch.vmap(nn.Dropout(), 0, 0, mode, chunk_size=2)(x) for mode in ("same", "different")]

    masks = [len(set(map(tuple, rows.tolist()))) for rows in (same, different, *chunked)]
    assert masks == [1, 4, 1, 4]


def test_what_is_not_batched_is_dropped_for_each_sample():
    """``torch.vmap(randomness="different")`` draws a Dropout mask per sample also for an unmapped tensor.

    With ``randomness="same"`` there is one mask. The tensor is made to have the batch of the mapped input
    then, and keeps its own dimensions (:issue:`92283`).
    """
    drop, shared, x = nn.Dropout(), torch.full((1, 100), 3.0), torch.zeros(4, 1)

    def apply(sample):
        return sample + drop(shared).squeeze(0)

    same = torch.vmap(apply, randomness="same")(x)
    different = torch.vmap(apply, randomness="different")(x)

    assert same.shape == different.shape == (4, 100)
    assert [len(set(map(tuple, rows.tolist()))) for rows in (same, different)] == [1, 4]


def test_forward_derivatives_refuse_to_draw():
    """``torch.func.jacfwd`` and ``hessian`` raise ``RuntimeError`` for Dropout in training mode.

    They map over tangents; ``jacrev`` does not raise, since it draws one mask before it maps.
    ``jacfwd(randomness="same")`` uses one mask as well, ``"different"`` another one for each column. See
    :func:`torch.func.jacfwd`.
    """
    drop, x = nn.Dropout(), torch.full((100,), 3.0)

    for transform in (torch.func.jacfwd, torch.func.hessian):
        with pytest.raises(RuntimeError, match="called random operation while in randomness error mode"):
            transform(drop)(x)
    for jacobian in (torch.func.jacrev(drop)(x), torch.func.jacfwd(drop, randomness="same")(x)):
        assert set(jacobian.diag().tolist()) == {0.0, 2.0}
        assert torch.equal(jacobian, jacobian.diag().diag())
    assert torch.equal(torch.func.jacfwd(nn.Dropout().eval())(x), torch.eye(100))

    def spread(x):
        return drop(x.sum().expand(100))

    drawn = [torch.func.jacfwd(spread, randomness=mode)(torch.ones(3)) for mode in ("same", "different")]
    assert [columns.unique(dim=1).size(1) for columns in drawn] == [1, 3]


def test_batch_norm_cannot_update_its_statistics_per_sample():
    """:func:`torch.vmap <torch.vmap>` raises ``RuntimeError`` for an ``nn.BatchNorm1d`` that would update
    running statistics.

    Its running statistics would have to differ from sample to sample. Evaluate, leave out the statistics
    with ``track_running_stats=False``, or use another norm.
    """
    x = torch.rand(3, 4, 2)

    with pytest.raises(
        RuntimeError, match=r"running_mean or running_var, which will be updated in ?place, were not batched"
    ):
        torch.vmap(nn.BatchNorm1d(2))(x)
    assert torch.vmap(nn.BatchNorm1d(2, track_running_stats=False))(x).shape == (3, 4, 2)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.SyncBatchNorm])
def test_batch_norm_in_evaluation_is_mapped(norm):
    """:func:`torch.vmap <torch.vmap>` accepts ``nn.BatchNorm1d`` and ``nn.SyncBatchNorm`` in eval mode.

    They only read their running statistics. In training mode a ``SyncBatchNorm`` that is alone raises as
    ``BatchNorm1d`` does.
    """
    layer, x = norm(2), torch.rand(3, 4, 2)

    with pytest.raises(RuntimeError, match="running_mean or running_var"):
        torch.vmap(layer)(x)
    layer.running_mean.copy_(torch.tensor([3.0, 5.0]))
    layer.eval()

    torch.testing.assert_close(torch.vmap(layer)(x), torch.stack([layer(sample) for sample in x]))


@pytest.mark.parametrize("make", [nn.RNN, nn.LSTM, nn.GRU, nn.LSTMCell])
def test_recurrent_layers_cannot_be_mapped(make):
    """:func:`torch.vmap <torch.vmap>` raises ``RuntimeError`` for ``nn.LSTM``, ``GRU``, ``RNN`` and
    ``LSTMCell``.

    The operations have no batching rule: call an ensemble in a loop, or write the steps with ``nn.Linear``
    (:issue:`105982`). ``RNNCell`` and ``GRUCell`` can be mapped.
    """
    layer, x = make(2, 3), torch.rand(4, 5, 2)

    with pytest.raises(RuntimeError, match=r"Batching rule not implemented for aten::(lstm|gru|rnn)"):
        torch.vmap(layer)(x)
    for other in (nn.Linear(2, 3), nn.RNNCell(2, 3), nn.GRUCell(2, 3)):
        assert torch.allclose(torch.vmap(other)(x), other(x.flatten(0, 1)).view(4, 5, 3), atol=1e-6)


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not_reentrant"])
def test_a_checkpoint_is_refused(reentrant):
    """:func:`torch.func.grad <torch.func.grad>` raises ``RuntimeError`` for a module that uses
    ``checkpoint``.

    Function transforms know neither its hooks for saved tensors nor its autograd function (:issue:`122729`).
    Switch :func:`torch.utils.checkpoint.checkpoint` off for the call.
    """

    class Net(nn.Linear):
        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=reentrant)

    net, x = Net(2, 1), torch.rand(1, 2)
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    with pytest.raises(
        RuntimeError, match=r"saved tensor hooks|autograd\.Function with functorch transforms"
    ):
        grad(lambda given: functional_call(net, given, x).sum())(parameters)


def test_a_full_backward_hook_is_refused():
    """:func:`torch.func.grad <torch.func.grad>` raises ``RuntimeError`` for a module with a full backward
    hook.

    It has no ``setup_context``, says the message; so it is for ``vjp`` and ``jacrev``
    (`functorch 1124 <https://github.com/pytorch/functorch/issues/1124>`_). Remove the hook, or take the
    gradients that the transform returns.
    """
    layer, x = nn.Linear(2, 1), torch.rand(2)
    handle = layer.register_full_backward_hook(lambda *given: None)

    for transform in (grad, torch.func.jacrev):
        with pytest.raises(RuntimeError, match="must override the setup_context staticmethod"):
            transform(lambda x: layer(x).sum())(x)
    with pytest.raises(RuntimeError, match="must override the setup_context staticmethod"):
        vjp(layer, x)

    handle.remove()
    assert torch.equal(grad(lambda x: layer(x).sum())(x), layer.weight[0])


def test_keyword_arguments_are_not_mapped():
    """:func:`torch.vmap` does not map keyword arguments: the function gets them with their batch dimension.

    ``in_dims`` says nothing of them. A tensor that belongs to a sample has to be positional
    (:issue:`151561`).
    """
    seen = []

    class Net(nn.Module):
        def forward(self, x, mask=None, masks=()):
            seen.append([list(x.shape), *(list(m.shape) for m in (mask, *masks) if m is not None)])
            return x

    x, mask = torch.ones(3, 2), torch.ones(3, 5)
    torch.vmap(Net())(x, mask)
    torch.vmap(Net(), in_dims=(0, None))(x, mask)
    torch.vmap(Net())(x, mask=mask)
    torch.vmap(Net(), in_dims=(0,))(x, mask=mask)
    torch.vmap(Net())(x, masks=[mask])
    torch.vmap(Net())(x, masks=(mask,))

    assert seen == [[[2], [5]]] + [[[2], [3, 5]]] * 5
    with pytest.raises(ValueError, match="in_dims is not compatible with the structure of `inputs`"):
        torch.vmap(Net(), in_dims=(0, 0))(x, mask=mask)


def test_integer_buffers_are_not_differentiated():
    """:func:`torch.func.grad` of a whole BatchNorm ``state_dict()`` raises: ``num_batches_tracked`` is
    integer.

    Differentiate with respect to the parameters alone. In training mode the buffers have to be an argument as
    well, since they are changed: those that the function captures raise.
    """
    norm = nn.BatchNorm1d(2)
    x = torch.randn(3, 2)
    parameters, buffers = dict(norm.named_parameters()), dict(norm.named_buffers())

    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        grad(lambda state: functional_call(norm, state, (x,)).sum())(dict(norm.state_dict()))

    def loss(parameters, buffers):
        return functional_call(norm, (parameters, buffers), (x,)).sum()

    gradients = grad(loss)(parameters, buffers)

    assert list(gradients) == ["weight", "bias"]
    assert gradients["bias"].tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="would mutate a captured Tensor"):
        grad(lambda parameters: loss(parameters, buffers))(parameters)
