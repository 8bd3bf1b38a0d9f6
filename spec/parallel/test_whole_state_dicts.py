"""Whole state dicts of a module that is spread over ranks.

``get_model_state_dict`` and ``set_model_state_dict`` of ``torch.distributed.checkpoint.state_dict`` gather
shards and cut whole tensors, if ``StateDictOptions(full_state_dict=True)`` says so. *state_dicts_by_name* is
about the names.
"""

import contextlib

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_rank_0_alone_gets_the_state_on_the_cpu(ranks):
    """``StateDictOptions(full_state_dict=True, cpu_offload=True)`` gives rank 0 the whole state,
    others ``{}``.

    All ranks have to call ``get_model_state_dict``. With ``full_state_dict`` alone each has the whole, as
    plain tensors; with ``cpu_offload`` alone each has its own shards. Without a process group the state of
    the only process is whole. See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def gather(rank):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net, seen = nn.Linear(2, 3, bias=False), []
        net.register_buffer("mean", torch.ones(1))
        fully_shard(net)
        for whole, offload in ((True, True), (True, False), (False, True)):
            options = StateDictOptions(full_state_dict=whole, cpu_offload=offload)
            state = get_model_state_dict(net, options=options)
            seen.append([(key, type(value).__name__, list(value.shape)) for key, value in state.items()])
        return *seen, len(state["weight"].to_local())

    whole = [("weight", "Tensor", [3, 2]), ("mean", "Tensor", [1])]
    spread = [("weight", "DTensor", [3, 2]), ("mean", "Tensor", [1])]
    assert ranks(gather) == [(whole, whole, spread, 2), ([], whole, spread, 1)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_gathered_tensors_are_copies(ranks):
    """``get_model_state_dict`` with ``full_state_dict=True`` copies shards; buffers still share memory.

    So a gathered state on the CPU is no snapshot as long as it has buffers: a later call in training
    changes them in it. See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def gather(rank):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(1, 2, bias=False)
        nn.init.constant_(net.weight, 4.0)
        net.register_buffer("mean", torch.tensor([5.0]))
        fully_shard(net)
        state = get_model_state_dict(net, options=StateDictOptions(full_state_dict=True))
        state["weight"].fill_(8.0)
        state["mean"].fill_(9.0)
        return net.weight.to_local().tolist(), net.mean.tolist()

    assert ranks(gather) == [([[4.0]], [9.0])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.parametrize("broadcast", [False, True])
def test_whole_tensors_are_cut(ranks, broadcast):
    """``set_model_state_dict`` with ``full_state_dict=True`` cuts whole tensors of rank 0 into shards.

    The values of other ranks do not count, except for buffers, which each takes from its own dict. With
    ``broadcast_from_rank0=True`` all is that of rank 0, and the others may pass ``{}``. ``load_state_dict``
    raises for whole tensors. See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank, broadcast):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net, whole = nn.Linear(1, 2, bias=False), torch.tensor([[1.0], [2.0]]) + 10 * rank
        net.register_buffer("mean", torch.zeros(2, 1))
        fully_shard(net)
        state = {} if broadcast and rank else {"weight": whole, "mean": whole}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=broadcast)
        result = set_model_state_dict(net, state, options=options)
        return list(result), net.weight.to_local().tolist(), net.mean.flatten().tolist()

    mean = [1.0, 2.0] if broadcast else [11.0, 12.0]
    assert ranks(load, broadcast) == [([[], []], [[1.0]], [1.0, 2.0]), ([[], []], [[2.0]], mean)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.parametrize("strict", [True, False])
def test_missing_keys_are_not_reported(ranks, strict):
    """``set_model_state_dict`` with ``full_state_dict=True`` reports no missing keys, not even if
    ``strict=True``.

    The parameter keeps its value, and the result says that all keys matched. Unexpected keys are reported,
    or raise. With ``broadcast_from_rank0=True`` too, ``strict=True`` raises ``RuntimeError`` for a missing
    key, and ``strict=False`` reports none. See
    :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank, strict):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net, state = nn.Linear(1, 2), {"weight": torch.tensor([[1.0], [2.0]])}
        nn.init.constant_(net.bias, 5.0)
        fully_shard(net)
        options = StateDictOptions(full_state_dict=True, strict=strict)
        result = set_model_state_dict(net, dict(state), options=options)
        options.broadcast_from_rank0 = True
        if strict:
            with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bias"'):
                set_model_state_dict(net, dict(state), options=options)
        else:
            result = set_model_state_dict(net, dict(state), options=options)
        return list(result), net.weight.to_local().tolist(), net.bias.to_local().tolist()

    assert ranks(load, strict) == [([[], []], [[1.0]], [5.0]), ([[], []], [[2.0]], [5.0])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_broadcasting_to_the_cpu_wants_known_keys(ranks):
    """``set_model_state_dict`` with ``broadcast_from_rank0`` and ``cpu_offload`` raises ``KeyError`` for a
    surplus key.

    So it does with ``strict=False`` (:issue:`149516`). Without ``cpu_offload`` such a key is left out, and
    rank 0, which alone knows it, reports it as unexpected.
    See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net, raised = fully_shard(nn.Linear(1, 2, bias=False)), True
        state = {"weight": torch.tensor([[1.0], [2.0]]), "other": torch.tensor([3.0])} if rank == 0 else {}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
        result = set_model_state_dict(net, dict(state), options=options)
        options.cpu_offload = True
        with contextlib.suppress(KeyError):
            set_model_state_dict(net, dict(state), options=options)
            raised = False
        return list(result), net.weight.to_local().tolist(), raised

    assert ranks(load) == [([[], ["other"]], [[1.0]], True), ([[], []], [[2.0]], True)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.before("2.7")
def test_broadcasting_to_the_cpu_left_out_unknown_keys(ranks):
    """``set_model_state_dict`` with ``broadcast_from_rank0``, ``cpu_offload`` and not ``strict`` leaves out a
    surplus key.

    See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(1, 2, bias=False))
        state = {"weight": torch.tensor([[1.0], [2.0]]), "other": torch.tensor([3.0])} if rank == 0 else {}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
        options.cpu_offload = True
        set_model_state_dict(net, state, options=options)
        return net.weight.to_local().tolist()

    assert ranks(load) == [[[1.0]], [[2.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
@pytest.mark.parametrize("broadcast", [False, True])
def test_a_module_on_meta_takes_a_whole_state(ranks, broadcast):
    """``set_model_state_dict`` with ``full_state_dict=True`` fills a ``fully_shard`` module that is on meta.

    It need not be given memory by ``to_empty`` before. Buffers with ``persistent=False`` stay on meta, since
    no state dict has them: compute them anew on each rank. After ``to_empty`` they have memory, but any
    values, and no error tells. See :class:`torch.distributed.checkpoint.state_dict.StateDictOptions`.
    """

    def load(rank, broadcast):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
        from torch.distributed.fsdp import fully_shard

        net, whole = nn.Linear(1, 2, bias=False, device="meta"), torch.tensor([[1.0], [2.0]])
        net.register_buffer("mean", torch.zeros(1, device="meta"))
        net.register_buffer("angles", torch.zeros(1, device="meta"), persistent=False)
        fully_shard(net)
        state = {} if broadcast and rank else {"weight": whole, "mean": torch.tensor([3.0])}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=broadcast)
        set_model_state_dict(net, state, options=options)
        return net.weight.to_local().tolist(), net.mean.tolist(), net.angles.device.type

    assert ranks(load, broadcast) == [([[1.0]], [3.0], "meta"), ([[2.0]], [3.0], "meta")]
