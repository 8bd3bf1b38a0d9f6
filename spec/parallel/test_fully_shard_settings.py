"""What fully_shard can be told: which dimension it shards, and when it gathers.

Some of it are arguments of :func:`~torch.distributed.fsdp.fully_shard`, the rest are methods of the module
afterwards, which mostly hold for submodules as well.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_a_list_comes_back_as_a_list(ranks):
    """``fully_shard([a, b])`` shards both modules together, and returns the list, not a module.

    Both change their class in place. See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        modules = [nn.Linear(2, 3), nn.Linear(3, 2)]
        result = fully_shard(modules)
        kinds = [(type(module).__name__, hasattr(module.weight, "to_local")) for module in modules]
        return result is modules, kinds

    assert ranks(shard) == [(True, [("FSDPLinear", True)] * 2)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_some_names_are_private():
    """``torch.distributed.fsdp`` has no ``AllGather``, ``ReduceScatter`` nor ``ShardPlacementResult``.

    Documentation of :func:`~torch.distributed.fsdp.fully_shard` names these, ``Comm`` and ``FSDPMeshInfo``,
    but they exist only in private modules. A class with the same methods does.
    """
    import torch.distributed.fsdp

    public = "fully_shard", "FSDPModule", "MixedPrecisionPolicy", "OffloadPolicy", "UnshardHandle"
    private = "AllGather", "Comm", "FSDPMeshInfo", "ReduceScatter", "ShardPlacementResult"

    assert [hasattr(torch.distributed.fsdp, name) for name in public] == [True] * 5
    assert [hasattr(torch.distributed.fsdp, name) for name in private] == [False] * 5


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_columns_can_be_sharded(ranks):
    """``shard_placement_fn`` of ``fully_shard`` shards by columns with ``Shard(1)``, by rows with ``None``.

    The number of columns must be divisible by the number of ranks, else ``NotImplementedError``. See
    :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def shard(rank):
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.tensor import Shard

        def columns(p):
            return Shard(1) if p.ndim == 2 else None

        net = nn.Linear(4, 6)
        half = net.weight.chunk(2, dim=1)[rank].tolist()
        fully_shard(net, shard_placement_fn=columns)
        other = fully_shard(nn.Linear(4, 6), shard_placement_fn=lambda p: None)
        with pytest.raises(NotImplementedError, match="does not support uneven sharding on dim 1"):
            fully_shard(nn.Linear(3, 6), shard_placement_fn=columns)
        shapes = [tuple(p.to_local().shape) for p in (net.weight, net.bias, other.weight)]
        return shapes, net.weight.to_local().tolist() == half

    assert ranks(shard) == [([(6, 2), (3,), (3, 4)], True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_ignored_parameters_stay_whole(ranks):
    """``fully_shard`` leaves ``ignored_params`` whole; their gradient is the rank's own, not a mean."""

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2, bias=False))
        for p in net.parameters():
            nn.init.constant_(p, 3.0)
        weight = net[0].weight
        fully_shard(net, ignored_params={weight})
        kinds = [hasattr(p, "to_local") for p in net.parameters()]
        net(torch.tensor([[rank + 1.0]])).sum().backward()
        return kinds, net[0].weight is weight, weight.grad.tolist()

    assert ranks(train) == [([False, True, True], True, [[own], [own]]) for own in (6.0, 12.0)]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_reshard_after_forward_divides_the_ranks(ranks):
    """``fully_shard(reshard_after_forward=n)`` raises ``ValueError`` unless ``n`` divides the number of
    ranks.

    See :func:`~torch.distributed.fsdp.fully_shard`.
    """

    def shard(rank):
        from torch.distributed.fsdp import fully_shard

        with pytest.raises(ValueError, match="it should be a factor of 2, not 3"):
            fully_shard(nn.Linear(2, 3), reshard_after_forward=3)
        return hasattr(fully_shard(nn.Linear(2, 3), reshard_after_forward=2).weight, "to_local")

    assert ranks(shard) == [True, True]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.8")
def test_resharding_can_be_set_later(ranks):
    """``set_reshard_after_forward(True)`` makes a ``fully_shard`` root reshard after forward; ``False`` does
    not.

    It holds for submodules, too, unless ``recurse=False``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reshard_after_forward`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        net, seen = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), []
        fully_shard(net[0])
        fully_shard(net)
        for options in ((True,), (False,), (True, False)):
            net.set_reshard_after_forward(*options)
            net(torch.ones(1, 2))
            seen.append([hasattr(layer.weight, "to_local") for layer in net])
        return seen

    assert ranks(run) == [[[True, True], [False, False], [False, True]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_whole_parameters_miss_the_step(ranks):
    """With FSDP's ``set_reshard_after_backward(False)``, forward after ``step()`` still uses the old weights.

    That is until ``reshard()``: parameters stay whole and are not gathered anew, while the optimizer steps on
    shards. Call ``reshard()`` after ``step()``, see
    :meth:`~torch.distributed.fsdp.FSDPModule.set_reshard_after_backward`.
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net, x = nn.Linear(1, 2, bias=False), torch.tensor([[rank + 1.0]])
        nn.init.constant_(net.weight, 4.0)
        optimizer = torch.optim.SGD(fully_shard(net).parameters(), lr=1.0)
        net.set_reshard_after_backward(False)
        net(x).sum().backward()
        sharded = hasattr(net.weight, "to_local")
        optimizer.step()
        missed = net(x / x).tolist()
        net.reshard()
        return sharded, missed, net(x / x).tolist()

    assert ranks(train) == [(False, [[4.0, 4.0]], [[2.5, 2.5]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_unshard_and_reshard_leave_submodules(ranks):
    """``unshard()`` and ``reshard()`` of a ``fully_shard`` module do not affect submodules sharded on their
    own.

    ``unshard()`` returns ``None``. See :meth:`~torch.distributed.fsdp.FSDPModule.unshard`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
        fully_shard(net[0])
        fully_shard(net)
        result = net.unshard()
        seen = [[hasattr(layer.weight, "to_local") for layer in net]]
        net[0].unshard()
        net.reshard()
        return result, [*seen, [hasattr(layer.weight, "to_local") for layer in net]]

    assert ranks(run) == [(None, [[True, False], [False, True]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_call_waits_for_an_unshard(ranks):
    """A ``fully_shard`` module can be called after ``unshard(async_op=True)`` without ``wait()``.

    See :meth:`~torch.distributed.fsdp.FSDPModule.unshard`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Linear(1, 3, bias=False)
        nn.init.constant_(net.weight, rank + 5.0)
        fully_shard(net).unshard(async_op=True)
        return hasattr(net.weight, "to_local"), net(torch.tensor([[10.0]])).tolist()

    assert ranks(run) == [(True, [[50.0, 50.0, 60.0]])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_resharding_frees_the_storage(ranks):
    """``reshard()`` of a ``fully_shard`` module frees the storage of the whole parameters.

    A reference to them is of no use then. See :meth:`~torch.distributed.fsdp.FSDPModule.reshard`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        net = fully_shard(nn.Linear(4, 4))
        net.unshard()
        whole = list(net.parameters())
        before = [p.untyped_storage().size() for p in whole]
        net.reshard()
        return before, [p.untyped_storage().size() for p in whole]

    assert ranks(run) == [([64, 16], [0, 0])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_the_storage_can_be_kept(ranks):
    """With ``set_keep_unsharded_storage(True)``, ``fully_shard`` keeps and reuses the storage of whole
    weights.

    The storage stays after ``reshard()``, and ``unshard()`` fills the same one, at the same address. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_keep_unsharded_storage`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard

        layer = fully_shard(nn.Linear(4, 4))
        fully_shard(nn.Sequential(layer)).set_keep_unsharded_storage(True)
        layer.unshard()
        whole, places = list(layer.parameters()), [p.data_ptr() for p in layer.parameters()]
        layer.reshard()
        sizes = [p.untyped_storage().size() for p in whole]
        layer.unshard()
        return sizes, [p.data_ptr() for p in layer.parameters()] == places

    assert ranks(run) == [([64, 16], True)] * 2


@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.15")
def test_storage_is_kept_in_submodules(ranks, recurse):
    """``set_keep_unsharded_storage(True)`` holds for ``fully_shard`` submodules, with ``recurse=False`` it
    does not.

    See :meth:`~torch.distributed.fsdp.FSDPModule.set_keep_unsharded_storage`.
    """

    def run(rank, recurse):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
        fully_shard(net[0])
        fully_shard(net).set_keep_unsharded_storage(True, recurse=recurse)
        for module in (net[0], net):
            module.unshard()
        weights = [layer.weight for layer in net]
        for module in (net[0], net):
            module.reshard()
        return [weight.untyped_storage().size() for weight in weights]

    assert ranks(run, recurse) == [[64 if recurse else 0, 64]] * 2


@pytest.mark.parametrize("setter", ["set_requires_gradient_sync", "set_reshard_after_backward"])
@pytest.mark.parametrize("recurse", [True, False])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_settings_of_backward_hold_for_submodules(ranks, setter, recurse):
    """``set_requires_gradient_sync(False)`` holds for ``fully_shard`` submodules, with ``recurse=False`` it
    does not.

    The same goes for ``set_reshard_after_backward(False)``. With either of them the parameters that the
    module has after backward have no ``grad``. See
    :meth:`~torch.distributed.fsdp.FSDPModule.set_requires_gradient_sync`.
    """

    def run(rank, setter, recurse):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        fully_shard(net[0])
        fully_shard(net)
        getattr(net, setter)(False, recurse=recurse)
        net(torch.ones(1, 2)).sum().backward()
        return [layer.weight.grad is None for layer in net]

    assert ranks(run, setter, recurse) == [[recurse, True]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_hooks_run_for_forward_only(ranks):
    """A method given to ``register_fsdp_forward_method`` runs without the module's own forward hooks.

    It gets the whole parameters of a ``fully_shard`` module, no more. See
    :func:`~torch.distributed.fsdp.register_fsdp_forward_method`.
    """

    def run(rank):
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        class Net(nn.Linear):
            def score(self, x):
                return hasattr(self.weight, "to_local")

        net, calls = fully_shard(Net(2, 3)), []
        register_fsdp_forward_method(net, "score")
        net.register_forward_pre_hook(lambda *_: calls.append("pre"))
        net.register_forward_hook(lambda *_: calls.append("post"))
        scored = net.score(torch.ones(1, 2)), list(calls)
        net(torch.ones(1, 2))
        return *scored, calls

    assert ranks(run) == [(False, [], ["pre", "post"])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_plain_modules_have_no_fsdp_methods():
    """``register_fsdp_forward_method`` does nothing for a module without ``fully_shard``.

    It does not even look for the method. See :func:`~torch.distributed.fsdp.register_fsdp_forward_method`.
    """
    from torch.distributed.fsdp import register_fsdp_forward_method

    net = nn.Linear(2, 3)
    before = dict(vars(net))

    assert register_fsdp_forward_method(net, "missing") is None
    assert vars(net) == before


@pytest.mark.needs("distributed")
@pytest.mark.since("2.12")
def test_tied_weights_in_two_groups_are_refused(ranks):
    """``fully_shard`` on two modules with one tied weight raises ``ValueError`` at the first call.

    So it does if one of them is sharded, and the other left to the root. Shard both in one call:
    ``fully_shard([embedding, head])``. See :func:`~torch.distributed.fsdp.fully_shard` (:issue:`176076`).
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        def tied():
            net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
            net[1].weight = net[0].weight
            return net

        both, one, together, x = tied(), tied(), tied(), torch.rand(4, 2)
        for module in (both[0], both[1], both, one[0], one, [together[0], together[1]], together):
            fully_shard(module)
        for net in (both, one):
            with pytest.raises(ValueError, match="shared with a parameter already managed by another FSDP g"):
                net(x)
        together(x).sum().backward()
        return together[0].weight is together[1].weight

    assert ranks(train) == [True, True]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
@pytest.mark.before("2.12")
def test_tied_weights_in_two_groups_come_apart(ranks):
    """``fully_shard`` on two modules with one tied weight silently unties it, if each is sharded alone.

    Each has a parameter of its own then, which are trained apart. See
    :func:`~torch.distributed.fsdp.fully_shard` (:issue:`176076`).
    """

    def train(rank):
        from torch.distributed.fsdp import fully_shard

        net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        net[1].weight = net[0].weight
        for module in (*net, net):
            fully_shard(module)
        net(torch.rand(4, 2))
        return net[0].weight is net[1].weight, len(list(net.parameters()))

    assert ranks(train) == [(False, 2), (False, 2)]
