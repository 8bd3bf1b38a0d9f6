"""What a function sees under :func:`torch.vmap`, and what it cannot do there.

It is called once, with tensors that look like one sample and stand for all of them.
"""

import pytest
import torch
from torch import nn


def test_a_sample_has_no_batch_dimension():
    """Under :func:`torch.vmap` a module is called once, and its input looks like one sample, without the
    batch.

    A module that wants a batch gets one by ``unsqueeze(0)``, in the function that is mapped.
    """
    seen = []

    class Net(nn.Module):
        def forward(self, x):
            seen.append((tuple(x.shape), x.dim(), len(x)))
            return x.sum()

    output = torch.vmap(Net())(torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]))

    assert seen == [((3,), 1, 3)]
    assert output.tolist() == [6.0, 60.0]


def test_chunks_of_the_batch():
    """``torch.vmap(chunk_size=2)`` calls the function once for each two samples, with the same result.

    It takes less memory; by default one call stands for all samples. See :func:`torch.vmap`.
    """
    layer, calls, x = nn.Linear(2, 3), [], torch.rand(5, 2)

    def function(sample):
        calls.append(tuple(sample.shape))
        return layer(sample)

    whole = torch.vmap(function)(x)
    assert calls == [(2,)]

    torch.testing.assert_close(torch.vmap(function, chunk_size=2)(x), whole)
    assert calls[1:] == [(2,)] * 3


def test_writing_into_a_new_tensor_is_refused():
    """Under :func:`torch.vmap`, writing a sample's value into a ``torch.zeros`` tensor raises
    ``RuntimeError``.

    The new tensor is one for all samples. ``torch.zeros_like(x)`` and ``x.new_zeros`` of a sample, or
    ``torch.stack``, have a value for each.
    """

    def function(make):
        def fill(x):
            result = make(x)
            result[0] = x[1]
            return result

        return fill

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(RuntimeError, match=r"vmap: .* is not possible because"):
        torch.vmap(function(lambda x: torch.zeros(2)))(x)

    for make in (torch.zeros_like, lambda x: x.new_zeros(2)):
        assert torch.vmap(function(make))(x).tolist() == [[2.0, 0.0], [4.0, 0.0]]


def test_a_sample_may_be_changed_in_place():
    """A change in place of what :func:`torch.vmap` maps changes the tensor that was given."""
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    def function(sample):
        sample[0] = sample[1] * 10
        return sample.sum()

    assert torch.vmap(function)(x).tolist() == [22.0, 44.0]
    assert x.tolist() == [[20.0, 2.0], [40.0, 4.0]]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x.sum().item(), r"calling \.item\(\)"),
        (lambda x: x if x.sum() > 0 else -x, "data-dependent control flow"),
        (lambda x: x[x > 0], "dynamic shape"),
        (lambda x: x.sum().nonzero(), "dynamic shape"),
    ],
    ids=["item", "if", "mask", "nonzero"],
)
def test_values_are_not_known(function, message):
    """Under :func:`torch.vmap`, ``item()``, an ``if`` on a value, and a mask as index raise
    ``RuntimeError``.

    :func:`torch.where` chooses for each sample. An ``if`` on a shape is no matter.
    """
    x = torch.tensor([[1.0, 2.0], [-3.0, -4.0]])

    with pytest.raises(RuntimeError, match=message):
        torch.vmap(function)(x)

    assert torch.vmap(lambda x: torch.where(x.sum() > 0, x, -x) if x.dim() == 1 else x)(x).tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
    ]


def test_a_buffer_counts_calls_not_samples():
    """A buffer that ``forward`` counts up counts once under :func:`torch.vmap`, however many samples there
    are.

    Adding a sample's value to it in place raises ``RuntimeError``: it is one for all.
    """

    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.register_buffer("total", torch.zeros(()))

        def forward(self, x, add=False):
            self.calls += 1
            if add:
                self.total += x.sum()
            return x

    net = Counter()
    torch.vmap(net)(torch.rand(4, 2))
    assert net.calls.item() == 1

    with pytest.raises(RuntimeError, match=r"doesn't match the broadcast shape|vmap: .* is not possible"):
        torch.vmap(lambda x: net(x, add=True))(torch.rand(4, 2))
    assert net.total.item() == 0


def test_a_kept_sample_is_of_no_use():
    """A tensor that ``forward`` keeps on ``self`` under :func:`torch.vmap` raises ``RuntimeError`` when used
    later.

    Return it instead. What a module keeps under :func:`torch.func.grad` can be read afterwards.
    """

    class Net(nn.Module):
        def forward(self, x):
            self.kept = x * 2
            return self.kept.sum()

    net = Net()
    torch.vmap(net)(torch.ones(3, 2))
    with pytest.raises(RuntimeError, match="escaped from inside a function being vmapped"):
        net.kept + 1

    torch.func.grad(net)(torch.ones(2))
    assert (net.kept + 1).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kind", [torch.bool, torch.float32], ids=str)
def test_a_mask_for_all_samples(kind):
    """Under :func:`torch.vmap`, ``scaled_dot_product_attention`` on the CPU takes one mask for all samples.

    It need not be mapped: a mask from outside, or one with ``in_dims`` of ``None``, has no batch dimension
    (:issue:`151558`).
    """
    query, key = torch.rand(5, 2, 3, 4), torch.rand(5, 2, 3, 4)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    if kind is torch.float32:
        mask = torch.zeros(3, 3).masked_fill(~mask, float("-inf"))

    def attend(query, key, mask):
        return nn.functional.scaled_dot_product_attention(query, key, key, attn_mask=mask)

    whole = attend(query, key, mask)
    torch.testing.assert_close(torch.vmap(attend, in_dims=(0, 0, None))(query, key, mask), whole)
    torch.testing.assert_close(torch.vmap(lambda q, k: attend(q, k, mask))(query, key), whole)
    assert not torch.allclose(whole, attend(query, key, None))
