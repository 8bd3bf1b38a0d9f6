"""Attention: what a query sees, and what padding leaves in.

Attention is a weighted mean over a set of keys. It knows no order but that of a mask, a padding mask hides
keys and never queries, and each sequence of a batch is by itself.
"""

import pytest
import torch
from torch import nn


@pytest.mark.parametrize("need_weights", [True, False])
def test_keys_have_no_order(need_weights):
    """``MultiheadAttention`` knows no order: with keys and values in another order, it returns the same.

    Queries in another order give the outputs in that order. What tells positions apart has to be added to the
    inputs; ``nn.Transformer`` adds nothing either.
    """
    layer, x, keys = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(1, 3, 4), torch.rand(1, 5, 4)
    order, turned = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([2, 0, 1])

    output, _ = layer(x, keys, keys, need_weights=need_weights)

    again, _ = layer(x, keys[:, order], keys[:, order], need_weights=need_weights)
    torch.testing.assert_close(again, output)
    again, _ = layer(x[:, turned], keys, keys, need_weights=need_weights)
    torch.testing.assert_close(again, output[:, turned])


@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_knows_no_order(training):
    """Without a mask, ``TransformerEncoder`` returns the steps of a shuffled sequence, shuffled alike."""
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), 2)
    x, order = torch.rand(2, 5, 4), torch.tensor([3, 0, 4, 1, 2])
    net.train(training)

    with torch.set_grad_enabled(training):
        torch.testing.assert_close(net(x[:, order]), net(x)[:, order])


@pytest.mark.parametrize("training", [True, False])
def test_a_causal_mask_makes_prefixes_equal(training):
    """With a causal mask, ``TransformerEncoder`` returns the same for the first steps if steps are added.

    So text can be made step by step, of which only the last output is read each time. Without the mask each
    output changes.
    """
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), 2)
    x, mask = torch.rand(2, 5, 4), nn.Transformer.generate_square_subsequent_mask(5)
    net.train(training)

    with torch.set_grad_enabled(training):
        whole = net(x, mask=mask)
        for n in range(1, 5):
            torch.testing.assert_close(net(x[:, :n], mask=mask[:n, :n]), whole[:, :n])
        assert not torch.isclose(net(x[:, :4]), net(x)[:, :4], atol=0.0).all(-1).any()


@pytest.mark.parametrize("training", [True, False])
def test_a_decoder_goes_step_by_step(training):
    """With a causal ``tgt_mask``, the last output of ``TransformerDecoder`` for a prefix is that of the
    whole.
    """
    net = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0, batch_first=True), 2)
    memory, target = torch.rand(2, 3, 4), torch.rand(2, 5, 4)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    net.train(training)

    with torch.set_grad_enabled(training):
        whole = net(target, memory, tgt_mask=mask)
        last = [net(target[:, :n], memory, tgt_mask=mask[:n, :n])[:, -1] for n in range(1, 6)]
    torch.testing.assert_close(torch.stack(last, 1), whole)


@pytest.mark.parametrize("need_weights", [True, False])
def test_padding_is_hidden_as_a_key_only(need_weights):
    """``key_padding_mask`` of ``MultiheadAttention`` hides keys, not queries: padded steps have outputs as
    well.

    These are as good as any, and count in a loss or a mean over the sequence unless they are left out there.
    """
    layer, x = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(1, 4, 4)
    padded = torch.tensor([[False, False, True, True]])

    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            output, _ = layer.train(mode)(x, x, x, key_padding_mask=padded, need_weights=need_weights)
        short, _ = layer(x, x[:, :2], x[:, :2], need_weights=need_weights)

        torch.testing.assert_close(output, short)
        assert output[0, 2:].ne(0).all()


def test_what_stands_in_the_padding_does_not_matter():
    """In training, padded steps change no other output of ``TransformerEncoder``, and get no gradient of it.

    ``src_key_padding_mask`` says which these are; NaN there would spread all the same, since 0 times NaN is
    NaN.
    """
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True), 2)
    x, padded = torch.rand(1, 4, 4, requires_grad=True), torch.tensor([[False, False, True, True]])
    other = torch.cat([x[:, :2], torch.full((1, 2, 4), 9.0)], 1)
    spoilt = torch.cat([x[:, :2], torch.full((1, 2, 4), float("nan"))], 1)

    output = net(x, src_key_padding_mask=padded)[:, :2]

    torch.testing.assert_close(output, net(other, src_key_padding_mask=padded)[:, :2])
    assert net(spoilt, src_key_padding_mask=padded)[:, :2].isnan().all()
    gradient = torch.autograd.grad((output * torch.rand(4)).sum(), x)[0]
    assert gradient[0].ne(0).any(1).tolist() == [True, True, False, False]


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_padding_mask_is_one_for_all_queries(need_weights):
    """``key_padding_mask`` of ``MultiheadAttention`` does what ``attn_mask`` does with the same row for each
    query.

    As ``attn_mask`` it has to be repeated for each head: ``(N * num_heads, L, S)``.
    """
    layer, x, keys = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 3, 4), torch.rand(2, 5, 4)
    padded = torch.tensor([[False, False, True, False, True], [False, True, False, False, False]])

    output, _ = layer(x, keys, keys, key_padding_mask=padded, need_weights=need_weights)

    mask = padded[:, None].expand(2, 3, 5).repeat_interleave(2, 0)
    again, _ = layer(x, keys, keys, attn_mask=mask, need_weights=need_weights)
    torch.testing.assert_close(again, output)


@pytest.mark.parametrize("training", [True, False])
def test_sequences_do_not_attend_to_each_other(training):
    """Each sequence of a batch goes through ``MultiheadAttention`` or ``TransformerEncoder`` by itself.

    With the default ``batch_first=False`` a batch ``(N, L, E)`` is read as N steps of L sequences: samples
    then attend to each other, without an error.
    """
    encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    first, default = nn.MultiheadAttention(4, 2, batch_first=True), nn.MultiheadAttention(4, 2)
    x = torch.rand(3, 5, 4)
    other = torch.cat([x[:2], torch.rand(1, 5, 4)])

    with torch.set_grad_enabled(training):
        encoded = [encoder.train(training)(each)[:2] for each in (x, other)]
        attended = [first.train(training)(each, each, each)[0][:2] for each in (x, other)]
        mixed = [default.train(training)(each, each, each)[0][:2] for each in (x, other)]

    torch.testing.assert_close(*encoded)
    torch.testing.assert_close(*attended)
    assert not torch.isclose(*mixed, atol=0.0).all(-1).any()


def test_a_single_key_has_all_the_weight():
    """By default ``MultiheadAttention`` gives a single key a weight of 1: the query changes nothing.

    Nor does its projection. A sequence of length 1, as made by ``x.unsqueeze(1)``, is a costly linear layer.
    With ``add_zero_attn=True`` or ``add_bias_kv=True`` there is another key.
    """
    layer, key = nn.MultiheadAttention(4, 2, batch_first=True), torch.rand(2, 1, 4)

    output, weights = layer(torch.rand(2, 3, 4), key, key)
    other, _ = layer(torch.rand(2, 3, 4), key, key)

    assert torch.equal(weights, torch.ones(2, 3, 1))
    torch.testing.assert_close(output, other)
    torch.testing.assert_close(output[:, :1], layer.out_proj(key @ layer.in_proj_weight[8:].T))


def test_weights_of_each_head():
    """``average_attn_weights=False`` of ``MultiheadAttention`` returns weights ``(N, num_heads, L, S)``.

    Their mean over the heads is what is returned by default, and each row of them sums to 1.
    """
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    x, keys = torch.rand(3, 5, 4), torch.rand(3, 6, 4)

    output, each = layer(x, keys, keys, average_attn_weights=False)
    again, mean = layer(x, keys, keys)

    assert each.shape == (3, 2, 5, 6)
    torch.testing.assert_close(each.mean(1), mean)
    torch.testing.assert_close(each.sum(-1), torch.ones(3, 2, 5))
    assert torch.equal(output, again)


def test_weights_are_returned_after_dropout():
    """In training the weights that ``MultiheadAttention(dropout=0.5)`` returns are those after dropout.

    Some are 0 and the others doubled, so a row need not sum to 1. Call ``eval()`` to look at them.
    """
    layer, x = nn.MultiheadAttention(4, 1, dropout=0.5, batch_first=True), torch.rand(1, 8, 4)

    _, dropped = layer(x, x, x)
    _, weights = layer.eval()(x, x, x)

    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 8))
    assert 0 < dropped.eq(0).sum() < 64
    torch.testing.assert_close(dropped[dropped != 0], 2 * weights[dropped != 0])
