"""FullyShardedDataParallel: the older class for sharding, with one flat parameter.

:class:`~torch.distributed.fsdp.FullyShardedDataParallel` wraps a module, as DistributedDataParallel does, and
puts all its parameters into a flat one, of which each rank keeps a part. New code uses
:func:`~torch.distributed.fsdp.fully_shard`, which keeps each parameter by itself. ``ranks`` runs a function
on two ranks over gloo on the CPU.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_it_wraps_a_module(ranks):
    """``FullyShardedDataParallel(net)`` has ``net`` as its ``module``; attributes of ``net`` are found on it.

    On a DistributedDataParallel they are not.
    """

    def wrap(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(3, 4))
        net.note = "kept"
        other = nn.parallel.DistributedDataParallel(net)
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
        found = wrapped.module is net, wrapped.note, wrapped[0] is net[0], isinstance(wrapped, nn.Sequential)
        return *found, hasattr(other, "note")

    assert ranks(wrap) == [(True, "kept", True, False, False)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_parameters_become_a_flat_one(ranks):
    """``FullyShardedDataParallel`` puts all parameters of a module into a flat one, cut in equal parts."""

    def names(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 1)))
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
        return [(name, tuple(p.shape), type(p)) for name, p in wrapped.named_parameters()]

    assert ranks(names) == [[("_fsdp_wrapped_module._flat_param", (11,), nn.Parameter)]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_a_wrapped_child_has_a_flat_one_of_its_own(ranks):
    """In ``FullyShardedDataParallel`` each child that is wrapped too has a flat parameter of its own.

    Only those are gathered one after the other. With ``auto_wrap_policy`` the children are wrapped for you;
    without it the whole module is gathered at once, and little memory is saved.
    """

    def names(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel
        from torch.distributed.fsdp.wrap import ModuleWrapPolicy

        cpu, sizes = torch.device("cpu"), []
        child = FullyShardedDataParallel(nn.Linear(2, 2), device_id=cpu)
        for first, policy in ((child, None), (nn.Linear(2, 2), ModuleWrapPolicy({nn.Linear}))):
            net = nn.Sequential(first, nn.Sequential(nn.Linear(2, 4)))
            wrapped = FullyShardedDataParallel(net, device_id=cpu, auto_wrap_policy=policy)
            sizes.append({name: p.numel() for name, p in wrapped.named_parameters()})
        return sizes

    own, flat = "_fsdp_wrapped_module.", "_fsdp_wrapped_module._flat_param"
    first, second = f"{own}0.{flat}", f"{own}1.0.{flat}"
    assert ranks(names) == [[{flat: 6, first: 3}, {first: 3, second: 6}]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_parameters_may_keep_their_names(ranks):
    """With ``use_orig_params=True`` a ``FullyShardedDataParallel`` keeps the parameters' names and objects.

    Names begin with ``_fsdp_wrapped_module.``. Each has the flat part that this rank keeps, maybe empty.
    """

    def names(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(3, 4))
        before = list(net.parameters())
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"), use_orig_params=True)
        same = [p is old for p, old in zip(wrapped.parameters(), before, strict=True)]
        return {name: tuple(p.shape) for name, p in wrapped.named_parameters()}, same

    weight, bias, same = "_fsdp_wrapped_module.0.weight", "_fsdp_wrapped_module.0.bias", [True, True]
    assert ranks(names) == [({weight: (8,), bias: (0,)}, same), ({weight: (4,), bias: (4,)}, same)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_frozen_parameter_needs_the_option(ranks):
    """``FullyShardedDataParallel`` raises ``ValueError`` if only some parameters of one unit are frozen.

    With ``use_orig_params=True`` they may be mixed, as LoRA does; or freeze whole units, each wrapped.
    """

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        cpu, net = torch.device("cpu"), nn.Linear(3, 4)
        net.bias.requires_grad_(False)
        with pytest.raises(ValueError, match="Must flatten tensors with uniform `requires_grad` when"):
            FullyShardedDataParallel(net, device_id=cpu)
        wrapped = FullyShardedDataParallel(net, device_id=cpu, use_orig_params=True)
        wrapped(torch.ones(2, 3)).sum().backward()
        frozen = FullyShardedDataParallel(nn.Linear(3, 4).requires_grad_(False), device_id=cpu)
        units = FullyShardedDataParallel(nn.Sequential(frozen, nn.Linear(4, 1)), device_id=cpu)
        units(torch.ones(2, 3)).sum().backward()
        return [[(p.requires_grad, p.grad is None) for p in each.parameters()] for each in (wrapped, units)]

    assert ranks(train) == [[[(True, False), (False, True)]] * 2] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.1")
def test_one_unit_has_one_dtype(ranks):
    """``FullyShardedDataParallel`` raises ``ValueError`` if the parameters of one unit differ in dtype."""

    def wrap(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).bfloat16())
        for use_orig_params in (False, True):
            with pytest.raises(ValueError, match=r"uniform dtype but got torch\.float32 and torch\.bfloat16"):
                FullyShardedDataParallel(net, device_id=torch.device("cpu"), use_orig_params=use_orig_params)
        net[1] = FullyShardedDataParallel(net[1], device_id=torch.device("cpu"))
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
        return [p.dtype for p in wrapped.parameters()]

    assert ranks(wrap) == [[torch.float32, torch.bfloat16]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_ignored_modules_stay_whole(ranks):
    """``FullyShardedDataParallel(ignored_modules=...)`` leaves the parameters of those modules alone.

    They stay whole, and each rank keeps its own gradient of them.
    """

    def wrap(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Sequential(nn.Linear(4, 2)))
        head = list(net[1].parameters())
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"), ignored_modules=[net[1]])
        (wrapped(torch.ones(1, 3)) * (rank + 1)).sum().backward()
        flat, *others = wrapped.parameters()
        same, shapes = [p is q for p, q in zip(others, head, strict=True)], [tuple(p.shape) for p in others]
        return flat.numel(), same, shapes, head[1].grad.tolist(), list(wrapped.state_dict())

    alone, names = (6, [True, True], [(2, 4), (2,)]), ["0.weight", "1.0.weight", "1.0.bias"]
    assert ranks(wrap) == [(*alone, [1.0, 1.0], names), (*alone, [2.0, 2.0], names)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_state_dict_is_whole(ranks):
    """``FullyShardedDataParallel.state_dict()`` has whole tensors on each rank, under the module's own keys.

    Every rank must call it, as they gather the parts together: in ``if rank == 0:`` it waits for ever.
    """

    def save(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(2, 3))
        net.load_state_dict({"0.weight": torch.arange(6.0).view(3, 2), "0.bias": torch.arange(6.0, 9.0)})
        net[0].register_buffer("steps", torch.tensor(7))
        state = FullyShardedDataParallel(net, device_id=torch.device("cpu")).state_dict()
        return {name: tensor.tolist() for name, tensor in state.items()}

    weight, bias = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [6.0, 7.0, 8.0]
    assert ranks(save) == [{"0.weight": weight, "0.bias": bias, "0.steps": 7}] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_state_dict_with_original_parameters_is_whole(ranks):
    """With ``use_orig_params=True``, FSDP's ``state_dict()`` is whole too, though ranks may hold empty parts.

    No name is missing, in a nested unit neither (:issue:`126310`).
    """

    def save(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        options = {"device_id": torch.device("cpu"), "use_orig_params": True}
        net = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 2))
        for number, parameter in enumerate(net.parameters()):
            nn.init.constant_(parameter, number + 5.0)
        net[0] = FullyShardedDataParallel(net[0], **options)
        wrapped = FullyShardedDataParallel(net, **options)
        parts = [parameter.numel() for parameter in wrapped.parameters()]
        return parts, {name: value.flatten().tolist() for name, value in wrapped.state_dict().items()}

    whole = {"0.weight": [5.0] * 3, "0.bias": [6.0], "1.weight": [7.0] * 2, "1.bias": [8.0] * 2}
    assert ranks(save) == [([3, 0, 2, 0], whole), ([0, 1, 0, 2], whole)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_only_one_rank_may_have_the_state_dict(ranks):
    """With ``FullStateDictConfig(rank0_only=True)``, FSDP's ``state_dict()`` is empty on all ranks but 0."""

    def save(rank):
        from torch.distributed.fsdp import FullStateDictConfig, FullyShardedDataParallel, StateDictType

        net = nn.Linear(2, 3)
        net.register_buffer("mean", torch.zeros(4))
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
        wanted = FullStateDictConfig(rank0_only=True)
        with FullyShardedDataParallel.state_dict_type(wrapped, StateDictType.FULL_STATE_DICT, wanted):
            return {name: tuple(tensor.shape) for name, tensor in wrapped.state_dict().items()}

    assert ranks(save) == [{"weight": (3, 2), "bias": (3,), "mean": (4,)}, {}]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_plain_state_dict_is_loaded(ranks):
    """``FullyShardedDataParallel.load_state_dict`` takes a plain state_dict; each rank keeps its part."""

    def load(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        net = nn.Sequential(nn.Linear(2, 2))
        net[0].register_buffer("steps", torch.tensor(0))
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"))
        weight, bias = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5.0, 6.0])
        wrapped.load_state_dict({"0.weight": weight, "0.bias": bias, "0.steps": torch.tensor(7)})
        return [p.tolist() for p in wrapped.parameters()], net[0].steps.item()

    assert ranks(load) == [([[1.0, 2.0, 3.0]], 7), ([[4.0, 5.0, 6.0]], 7)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_whole_parameters_for_a_while(ranks):
    """In ``summon_full_params`` of FSDP parameters are whole; by default changes made to them there are kept.

    With ``writeback=False`` they are lost. This is the place to look at weights, or to initialize them.
    """

    def look(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        child, inside = FullyShardedDataParallel(nn.Embedding(4, 3), device_id=torch.device("cpu")), []
        wrapped = FullyShardedDataParallel(nn.Sequential(child, nn.PReLU(2)), device_id=torch.device("cpu"))
        for options in ({}, {"writeback": False}):
            with FullyShardedDataParallel.summon_full_params(wrapped, **options):
                inside.append({name: tuple(p.shape) for name, p in wrapped.named_parameters()})
                for number, p in enumerate(wrapped.parameters()):
                    p.data.fill_(number + 9.0 if options else number + 3.0)
        return inside, [p.tolist() for p in wrapped.parameters()]

    whole = {"0.weight": (4, 3), "1.weight": (2,)}
    assert ranks(look) == [([whole, whole], [[4.0], [3.0] * 6])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_gradients_are_averaged(ranks):
    """After ``backward()``, ``FullyShardedDataParallel`` has in ``grad`` this rank's part of the average."""

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        wrapped = FullyShardedDataParallel(nn.Linear(1, 4, bias=False), device_id=torch.device("cpu"))
        output = wrapped(torch.full((1, 1), 1.0 + rank))
        (output * torch.tensor([2.0, 4.0, 6.0, 8.0])).sum().backward()
        return [p.grad.tolist() for p in wrapped.parameters()]

    assert ranks(train) == [[[3.0, 6.0]], [[9.0, 12.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_without_synchronization_gradients_are_whole(ranks):
    """In ``no_sync()`` a ``FullyShardedDataParallel`` keeps its rank's whole gradient until the next sync.

    Accumulating so saves communication and takes the memory of whole gradients.
    """

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        wrapped = FullyShardedDataParallel(nn.Linear(1, 4, bias=False), device_id=torch.device("cpu"))
        x, scale, grads = torch.full((1, 1), 1.0 + rank), torch.tensor([2.0, 4.0, 6.0, 8.0]), []
        with wrapped.no_sync():
            for _ in range(2):
                (wrapped(x) * scale).sum().backward()
                grads += [p.grad.tolist() for p in wrapped.parameters()]
        (wrapped(x) * scale).sum().backward()
        return grads + [p.grad.tolist() for p in wrapped.parameters()]

    first, second = [2.0, 4.0, 6.0, 8.0], [4.0, 8.0, 12.0, 16.0]
    assert ranks(train) == [[first, second, [9.0, 18.0]], [second, [8.0, 16.0, 24.0, 32.0], [27.0, 36.0]]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_its_own_clipping_sees_all_ranks(ranks):
    """``FullyShardedDataParallel.clip_grad_norm_`` takes the norm over all ranks.

    :func:`~torch.nn.utils.clip_grad_norm_` takes that of this rank's part: ranks would scale differently.
    """

    def clip(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        wrapped = FullyShardedDataParallel(nn.Linear(4, 2, bias=False), device_id=torch.device("cpu"))
        (wrapped(torch.tensor([[3.0, 0.0, 0.0, 4.0]])) * torch.tensor([3.0, 4.0])).sum().backward()
        own = nn.utils.clip_grad_norm_(wrapped.parameters(), 100.0).item()
        whole = wrapped.clip_grad_norm_(5.0).item()
        [flat] = wrapped.parameters()
        return own, round(whole, 4), [round(value, 3) for value in flat.grad.tolist()]

    assert ranks(clip) == [(15.0, 25.0, [1.8, 0.0, 0.0, 2.4]), (20.0, 25.0, [2.4, 0.0, 0.0, 3.2])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_param_dtype_is_for_the_call(ranks):
    """FSDP's ``MixedPrecision(param_dtype=torch.bfloat16)`` casts weights and inputs in forward, not
    ``grad``.

    The flat parameter that a rank keeps stays float32 as well.
    """

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision

        net, seen = nn.Linear(2, 2), []
        net.register_forward_pre_hook(lambda net, args: seen.extend([args[0].dtype, net.weight.dtype]))
        half = MixedPrecision(param_dtype=torch.bfloat16)
        wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"), mixed_precision=half)
        out = wrapped(torch.ones(1, 2))
        out.sum().backward()
        [flat] = wrapped.parameters()
        return seen, out.dtype, flat.dtype, flat.grad.dtype

    half, whole = torch.bfloat16, torch.float32
    assert ranks(train) == [([half, half], half, whole, whole)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_the_optimizer_sees_the_parts(ranks):
    """Under ``FullyShardedDataParallel`` an optimizer has states of shards, ``optim_state_dict`` whole ones.

    Its keys are names, not numbers, so it also fits another number of ranks.
    """

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        wrapped = FullyShardedDataParallel(nn.Linear(1, 2), device_id=torch.device("cpu"))
        optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.5, momentum=0.9)
        (wrapped(torch.tensor([[10.0]])) * torch.tensor([2.0, 3.0])).sum().backward()
        optimizer.step()
        both = optimizer.state_dict(), FullyShardedDataParallel.optim_state_dict(wrapped, optimizer)
        return [{n: s["momentum_buffer"].tolist() for n, s in each["state"].items()} for each in both]

    whole = {"weight": [[20.0], [30.0]], "bias": [2.0, 3.0]}
    assert ranks(train) == [[{0: [20.0, 30.0]}, whole], [{0: [2.0, 3.0]}, whole]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_an_optimizer_made_before_it_trains_nothing(ranks):
    """An optimizer built before ``FullyShardedDataParallel(net)`` trains nothing: ``step()`` raises no error.

    It holds the parameters from before the wrap, which get no gradients. Build it after wrapping; with
    ``use_orig_params=True`` the parameters stay the same objects, and the order does not matter.
    """

    def train(rank):
        from torch.distributed.fsdp import FullyShardedDataParallel

        changed = []
        for options in ({}, {"use_orig_params": True}):
            net = nn.Linear(2, 2)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
            wrapped = FullyShardedDataParallel(net, device_id=torch.device("cpu"), **options)
            before = wrapped(torch.ones(1, 2))
            before.sum().backward()
            optimizer.step()
            changed.append(not torch.equal(before, wrapped(torch.ones(1, 2))))
        return changed

    assert ranks(train) == [[False, True]] * 2
