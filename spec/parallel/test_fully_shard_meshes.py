"""Over which ranks fully_shard shards: its mesh.

A mesh with one dimension shards over all its ranks, one with two copies over the first dimension and shards
over the second. In most examples this process is rank 1 of four that exchange nothing: enough to see what it
holds.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_two_dimensions_copy_and_shard(join):
    """``fully_shard`` over a mesh of two dimensions copies parameters over the first, shards over the second.

    Such a mesh needs ``mesh_dim_names``, or it raises ``AssertionError``. One dimension shards over all its
    ranks. See :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import Replicate, Shard

    join("fake", 1, 4)
    net, twin = nn.Linear(1, 12, bias=False), nn.Linear(1, 12, bias=False)
    for each in (net, twin):
        each.load_state_dict({"weight": torch.arange(12.0).view(12, 1)})

    copied = fully_shard(net, mesh=init_device_mesh("cpu", (2, 2), mesh_dim_names=("copy", "shard"))).weight
    sharded = fully_shard(twin, mesh=init_device_mesh("cpu", (4,))).weight

    assert copied.placements == (Replicate(), Shard(0))
    assert copied.to_local().flatten().tolist() == list(range(6, 12))
    assert sharded.placements == (Shard(0),)
    assert sharded.to_local().flatten().tolist() == list(range(3, 6))
    with pytest.raises(AssertionError, match="with mesh_dim_names specified"):
        fully_shard(nn.Linear(1, 12), mesh=init_device_mesh("cpu", (2, 2)))


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_mesh_may_be_a_part(join):
    """``fully_shard(mesh=...)`` shards over the ranks of that mesh only, on its device.

    See :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join("fake", 1, 4)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("outer", "inner"))["inner"]

    part = fully_shard(nn.Linear(1, 12), mesh=mesh).weight
    every = fully_shard(nn.Linear(1, 12), mesh=init_device_mesh("cpu", (4,))).weight

    assert part.device_mesh == mesh
    assert part.device.type == mesh.device_type
    assert tuple(part.to_local().shape) == (6, 1)
    assert tuple(every.to_local().shape) == (3, 1)


@pytest.mark.parametrize(
    ("reshard", "rows", "groups"),
    [(True, 3, [4, 4]), (False, 12, [4]), (2, 6, [4, 2])],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_part_of_it_may_stay(join, reshard, rows, groups):
    """``fully_shard(reshard_after_forward=n)`` reshards over ``n`` ranks, among which backward then gathers.

    So more is kept, and less is gathered. With ``True`` the shards are those for all ranks, with ``False``
    the parameters stay whole. ``reshard()`` leaves the usual shards in any case. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather

    join("fake", 1, 4)

    class Gather(DefaultAllGather):
        def __call__(self, **options):
            seen.append(options["group"].size())
            return super().__call__(**options)

    def held():
        return len(net.weight.to_local() if hasattr(net.weight, "to_local") else net.weight)

    mesh = init_device_mesh("cpu", (4,))
    net, seen = fully_shard(nn.Linear(1, 12), mesh=mesh, reshard_after_forward=reshard), []
    net.set_custom_all_gather(Gather())
    output = net(torch.ones(1, 1))
    assert held() == rows
    output.sum().backward()
    assert seen == groups
    net(torch.ones(1, 1))
    net.reshard()
    assert held() == 3


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_one_and_all_ranks_are_numbers_too(join):
    """``fully_shard(reshard_after_forward=1)`` means the same as ``False``, the number of all ranks ``True``.

    Other numbers that divide it are a smaller group, the rest raises ``ValueError``. ``1`` looks like
    ``True``, and is its opposite. See :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join("fake", 1, 4)
    mesh = init_device_mesh("cpu", (4,))
    one, two, four = (
        fully_shard(nn.Linear(1, 12), mesh=mesh, reshard_after_forward=number) for number in (1, 2, 4)
    )
    for net in (one, two, four):
        net(torch.ones(1, 1))

    assert (type(one.weight), tuple(one.weight.shape)) == (nn.Parameter, (12, 1))
    assert tuple(two.weight.to_local().shape) == (6, 1)
    assert tuple(four.weight.to_local().shape) == (3, 1)
    for number in (-1, 0, 3, 8):
        with pytest.raises(ValueError, match=f"it should be a factor of 4, not {number}"):
            fully_shard(nn.Linear(1, 12), mesh=mesh, reshard_after_forward=number)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_numbers_are_for_the_argument_only(join):
    """``set_reshard_after_forward(2)`` of a ``fully_shard`` module raises ``ValueError``.

    The argument ``reshard_after_forward`` of ``fully_shard`` itself takes numbers as well. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reshard_after_forward`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    join("fake", 1, 4)
    net = fully_shard(nn.Linear(1, 12), mesh=init_device_mesh("cpu", (4,)), reshard_after_forward=2)

    for number in (0, 1, 2):
        with pytest.raises(ValueError, match="reshard_after_forward should be a bool, got <class 'int'>"):
            net.set_reshard_after_forward(number)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_a_parameter_may_have_its_own_mesh(join):
    """``shard_placement_fn`` of ``fully_shard`` may give a parameter a mesh of its own: other ranks share it.

    What it returns then, ``ShardPlacementResult``, can only be imported from a private module. Parameters of
    different meshes are gathered one by one. See :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.fsdp._fully_shard._fsdp_common import FSDPMeshInfo, ShardPlacementResult
    from torch.distributed.tensor import Shard
    from torch.distributed.tensor.debug import CommDebugMode

    join("fake", 1, 4)
    pair = FSDPMeshInfo(
        init_device_mesh("cpu", (2, 2), mesh_dim_names=("outer", "inner"))["inner"], shard_mesh_dim=0
    )
    net = fully_shard(
        nn.Linear(4, 12),
        mesh=init_device_mesh("cpu", (4,)),
        shard_placement_fn=lambda p: ShardPlacementResult(Shard(1), pair) if p.ndim == 2 else None,
    )

    assert tuple(net.weight.to_local().shape) == (12, 2)
    assert tuple(net.bias.to_local().shape) == (3,)
    with CommDebugMode() as comm:
        net.unshard()
    assert comm.get_total_counts() == 2
    assert tuple(net.weight.shape) == (12, 4)


@pytest.mark.parametrize(
    ("dims", "rows"),
    [
        ({"shard": "dp"}, range(6)),
        ({"shard": ("dp", "tp")}, range(3, 6)),
        ({"shard": "tp", "replicate": "dp"}, range(6, 12)),
        ({"replicate": ("dp", "tp")}, range(12)),
    ],
    ids=["one", "two", "both", "none"],
)
@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_dimensions_are_named(join, dims, rows):
    """``dp_mesh_dims`` of ``fully_shard`` names the dimensions of the mesh to shard over; it copies over the
    rest.

    Several to shard over become one. The parameters have to be DTensors already. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import DataParallelMeshDims, fully_shard
    from torch.distributed.tensor import Replicate, distribute_tensor
    from torch.distributed.tensor.debug import _clear_sharding_prop_cache

    join("fake", 1, 4)
    _clear_sharding_prop_cache()  # it holds meshes that are gone
    mesh, net = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp")), nn.Module()
    weight = distribute_tensor(torch.arange(12.0), mesh, [Replicate(), Replicate()])
    net.weight = nn.Parameter(weight)
    fully_shard(net, mesh=mesh, dp_mesh_dims=DataParallelMeshDims(**dims))

    assert net.weight.to_local().tolist() == list(rows)


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_gradients_go_over_named_dimensions(join, several, monkeypatch):
    """Gradients of ``fully_shard`` are all-reduced over ``replicate`` of its ``dp_mesh_dims`` as well.

    Several dimensions named there become one, so that there is one all-reduce. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import DataParallelMeshDims, fully_shard
    from torch.distributed.tensor import Replicate, distribute_tensor
    from torch.distributed.tensor.debug import _clear_sharding_prop_cache

    join("fake", 1, 4)
    _clear_sharding_prop_cache()  # it holds meshes that are gone
    mesh, net = (
        init_device_mesh("cpu", (2, 1, 2), mesh_dim_names=("a", "b", "c")),
        nn.Linear(1, 12, bias=False),
    )
    net.weight = nn.Parameter(distribute_tensor(net.weight.detach(), mesh, [Replicate()] * 3))
    dims = DataParallelMeshDims(shard="c", replicate=("a", "b") if several else "a")
    fully_shard(net, mesh=mesh, dp_mesh_dims=dims)
    output = net(distribute_tensor(torch.ones(1, 1), mesh, [Replicate()] * 3))
    seen = []
    monkeypatch.setattr(dist, "all_reduce", lambda x, op, group: seen.append(group))
    output.to_local().sum().backward()

    assert [dist.get_process_group_ranks(group) for group in seen] == [[1, 3]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_they_are_copies_on_the_whole_mesh(join):
    """``fully_shard(dp_mesh_dims=...)`` raises ``ValueError`` unless parameters are replicated DTensors.

    Replicated on each dimension that ``dp_mesh_dims`` names; the mesh has to be the one passed. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import DataParallelMeshDims, fully_shard
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.debug import _clear_sharding_prop_cache

    join("fake", 1, 4)
    _clear_sharding_prop_cache()  # it holds meshes that are gone
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))

    def wrap(on, *placements, shard="dp", **more):
        net = nn.Linear(4, 12, bias=False)
        if on:
            net.weight = nn.Parameter(distribute_tensor(net.weight.detach(), on, placements))
        dims = DataParallelMeshDims(shard=shard, **more)
        return fully_shard(net, mesh=mesh, dp_mesh_dims=dims).weight.placements

    assert str(wrap(mesh, Replicate(), Shard(1))) == "(Shard(dim=0), Shard(dim=1))"
    with pytest.raises(ValueError, match="all parameters must be DTensors on the full SPMD mesh"):
        wrap(None)
    with pytest.raises(ValueError, match=r"Expected Replicate\(\) on DP shard dim 'dp'"):
        wrap(mesh, Shard(0), Replicate())
    with pytest.raises(ValueError, match=r"Expected Replicate\(\) on DP replicate dim 'tp'"):
        wrap(mesh, Replicate(), Shard(1), replicate="tp")
    with pytest.raises(ValueError, match="mesh to be the same mesh passed"):
        wrap(init_device_mesh("cpu", (2, 2), mesh_dim_names=("x", "y")), Replicate(), Replicate())
