"""Tensors that are spread over ranks: ``DTensor``.

``distribute_tensor`` makes one of a tensor; the parameters of ``fully_shard`` and ``parallelize_module`` are
of this class. Each rank holds a part, ``to_local()``, and all of them know the whole shape.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_a_tensor_is_distributed_from_rank_0(ranks):
    """``distribute_tensor(value, mesh, [Shard(dim)])`` cuts the tensor of rank 0 and ignores those of others.

    ``shape`` is that of the whole, ``to_local()`` the part of this rank, ``full_tensor()`` the whole on every
    rank. See :func:`torch.distributed.tensor.distribute_tensor`.
    """

    def distribute(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Shard, distribute_tensor

        value, parts = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) + 10 * rank, []
        for dim in (0, 1):
            spread = distribute_tensor(value, init_device_mesh("cpu", (2,)), [Shard(dim)])
            parts.append((list(spread.shape), spread.to_local().tolist(), spread.full_tensor().tolist()))
        return parts

    shape, whole = [2, 3], [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    first = [(shape, [[1.0, 2.0, 3.0]], whole), (shape, [[1.0, 2.0], [4.0, 5.0]], whole)]
    second = [(shape, [[4.0, 5.0, 6.0]], whole), (shape, [[3.0], [6.0]], whole)]
    assert ranks(distribute) == [first, second]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_plain_tensors_and_spread_ones_are_not_mixed(ranks):
    """Adding a plain tensor with several elements to a ``DTensor`` raises ``RuntimeError``; a number is
    accepted.

    So is a tensor of one element. Distribute the other one as well, or compute with ``to_local()``. See
    :class:`torch.distributed.tensor.DTensor`.
    """

    def add(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Replicate, Shard, distribute_tensor

        mesh, plain = init_device_mesh("cpu", (2,)), torch.tensor([10.0, 20.0])
        spread = distribute_tensor(torch.tensor([1.0, 2.0]), mesh, [Shard(0)])
        for a, b in ((spread, plain), (plain, spread)):
            with pytest.raises(RuntimeError, match=r"got mixed torch\.Tensor and DTensor"):
                a + b
        both = spread + distribute_tensor(plain, mesh, [Replicate()])
        sums = spread + 5, spread + torch.tensor([6.0]), both
        return [whole.full_tensor().tolist() for whole in sums]

    assert ranks(add) == [[[6.0, 7.0], [7.0, 8.0], [11.0, 22.0]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_the_norm_of_spread_gradients_is_that_of_the_whole(ranks):
    """``clip_grad_norm_`` clips ``DTensor`` gradients by the norm of the whole; the norm is a ``DTensor``
    itself.

    ``full_tensor()`` of it is the number to log: ``to_local()`` may be a part only. See
    :func:`torch.nn.utils.clip_grad_norm_`.
    """

    def clip(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Shard, distribute_tensor

        mesh = init_device_mesh("cpu", (2,))
        weights = [nn.Parameter(distribute_tensor(torch.zeros(2), mesh, [Shard(0)])) for _ in range(2)]
        for weight, grad in zip(weights, ([3.0, 4.0], [12.0, 0.0]), strict=True):
            weight.grad = distribute_tensor(torch.tensor(grad), mesh, [Shard(0)])
        norm = nn.utils.clip_grad_norm_(weights, 6.5)
        rounded = [round(value, 4) for weight in weights for value in weight.grad.full_tensor().tolist()]
        return type(norm).__name__, norm.full_tensor().item(), rounded

    assert ranks(clip) == [("DTensor", 13.0, [1.5, 2.0, 6.0, 0.0])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_an_optimizer_keeps_spread_state(ranks):
    """An optimizer of a ``DTensor`` parameter keeps ``DTensor`` momentum of the same shards, and steps each.

    So its memory is shared by the ranks as that of the parameter is. See
    :class:`torch.distributed.tensor.DTensor`.
    """

    def step(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Shard, distribute_tensor

        mesh = init_device_mesh("cpu", (2,))
        weight = nn.Parameter(distribute_tensor(torch.tensor([1.0, 2.0]), mesh, [Shard(0)]))
        optimizer = torch.optim.SGD([weight], lr=0.25, momentum=0.9)
        (weight * weight).sum().backward()
        optimizer.step()
        momentum = optimizer.state[weight]["momentum_buffer"]
        return momentum.to_local().tolist(), weight.full_tensor().tolist()

    assert ranks(step) == [([2.0], [0.5, 1.0]), ([4.0], [0.5, 1.0])]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_redistributing_changes_what_a_rank_holds(ranks):
    """``redistribute(placements=[Replicate()])`` of a ``DTensor`` gives every rank the whole; ``Partial`` is
    summed.

    ``from_local`` takes what each rank has for its part without looking at the others. See
    :meth:`torch.distributed.tensor.DTensor.redistribute`.
    """

    def redistribute(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Partial, Replicate, Shard

        mesh, mine, seen = init_device_mesh("cpu", (2,)), torch.tensor([[rank + 1.0, rank + 4.0]]), []
        for placement in (Shard(0), Shard(1), Partial()):
            spread = DTensor.from_local(mine, mesh, [placement])
            seen.append(spread.redistribute(placements=[Replicate()]).to_local().tolist())
        return seen

    rows, columns = [[1.0, 4.0], [2.0, 5.0]], [[1.0, 4.0, 2.0, 5.0]]
    assert ranks(redistribute) == [[rows, columns, [[3.0, 9.0]]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
@pytest.mark.parametrize("foreach", [None, False])
def test_gradients_of_several_meshes_are_not_clipped(join, foreach):
    """``clip_grad_norm_`` raises ``RuntimeError`` or ``ValueError`` for ``DTensor`` gradients of different
    meshes.

    So it does for two dimensions of one mesh, as where experts are spread over another one than the rest
    (:issue:`180346`). Take the norm of each part, make numbers of them with ``full_tensor()``, and multiply
    all gradients by one factor. See :func:`torch.nn.utils.clip_grad_norm_`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    join("gloo", 0, 1)
    mesh, weights = init_device_mesh("cpu", (1, 1), mesh_dim_names=("data", "expert")), []
    for part in (mesh["data"], mesh["expert"]):
        weights.append(nn.Parameter(distribute_tensor(torch.zeros(2), part, [Shard(0)])))
        weights[-1].grad = distribute_tensor(torch.tensor([3.0, 4.0]), part, [Shard(0)])

    with pytest.raises((RuntimeError, ValueError), match=r"aten\.(stack|_foreach_norm)"):
        nn.utils.clip_grad_norm_(weights, 1.0, foreach=foreach)
    norms = [nn.utils.clip_grad_norm_([weight], 10.0, foreach=foreach) for weight in weights]
    assert [norm.full_tensor().item() for norm in norms] == [5.0, 5.0]
