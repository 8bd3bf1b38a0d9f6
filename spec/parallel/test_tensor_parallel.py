"""Tensor parallelism: layers whose weights are spread over the ranks.

``parallelize_module`` goes through a module by a plan, which names submodules and says how to cut each.
``distribute_module`` does what one entry of a plan does. Both replace parameters in place, by ``DTensor``
parameters, and register hooks that convert inputs and outputs.
"""

from collections import OrderedDict

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_layers_are_cut_in_place(ranks):
    """``parallelize_module`` changes the module in place: classes and names stay, parameters are shards.

    A ``ColwiseParallel`` layer followed by a ``RowwiseParallel`` one takes and returns whole plain tensors.
    The bias of the second is whole on each rank. See
    :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def cut(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

        torch.manual_seed(0)
        net = nn.Sequential(nn.Sequential(OrderedDict(up=nn.Linear(2, 4), act=nn.ReLU())), nn.Linear(4, 3))
        mesh, x = init_device_mesh("cpu", (2,)), torch.tensor([[2.0, -3.0]])
        expected, before = net(x), [(module, type(module)) for module in net.modules()]
        same = [parallelize_module(net, mesh, {"0.up": ColwiseParallel()}) is net]
        same.append(parallelize_module(net[1], mesh, RowwiseParallel()) is net[1])
        same.append([(module, type(module)) for module in net.modules()] == before)
        shards = {name: list(p.to_local().shape) for name, p in net.named_parameters()}
        return same, shards, torch.allclose(net(x), expected, atol=1e-6)

    shapes = {"0.up.weight": [2, 2], "0.up.bias": [2], "1.weight": [3, 2], "1.bias": [3]}
    assert ranks(cut) == [([True, True, True], shapes, True)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.parametrize("style", ["ColwiseParallel", "RowwiseParallel", None, "partition_fn"])
@pytest.mark.since("2.11")
def test_frozen_parameters_stay_frozen(ranks, style):
    """``ColwiseParallel``, ``RowwiseParallel`` and ``distribute_module`` keep ``requires_grad`` of
    parameters.

    In earlier releases they made frozen parameters trainable (:pull:`171709`): freeze again after the call,
    as one still has to after ``SequenceParallel``. See :func:`torch.distributed.tensor.distribute_module`.
    """

    def cut(rank, style):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import distribute_module, parallel

        mesh, seen = init_device_mesh("cpu", (2,)), []
        for trained in ((False, True, False), (True, False, False)):
            net = nn.ModuleList([nn.Linear(2, 4), nn.Embedding(4, 2)])
            for p, flag in zip(net.parameters(), trained, strict=True):
                p.requires_grad_(flag)
            if style in (None, "partition_fn"):
                distribute_module(net, mesh, style and (lambda name, module, mesh: None))
            else:
                parallel.parallelize_module(net, mesh, {"*": getattr(parallel, style)()})
            seen.append([(hasattr(p, "to_local"), p.requires_grad) for p in net.parameters()])
        norm = nn.LayerNorm(2).requires_grad_(False)
        parallel.parallelize_module(norm, mesh, parallel.SequenceParallel())
        return *seen, [p.requires_grad for p in norm.parameters()]

    flags = [False, True, False], [True, False, False]
    assert ranks(cut, style) == [(*[[(True, flag) for flag in each] for each in flags], [True, True])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_everything_may_be_replicated(ranks):
    """``distribute_module`` without a ``partition_fn`` makes all parameters and buffers replicas of rank 0's.

    Non-persistent buffers and submodules as well. The module then takes ``DTensor`` inputs only. See
    :func:`torch.distributed.tensor.distribute_module`.
    """

    def distribute(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import DTensor, Replicate, distribute_module, distribute_tensor

        net, mesh = nn.Sequential(nn.Linear(2, 1, bias=False)), init_device_mesh("cpu", (2,))
        nn.init.constant_(net[0].weight, rank + 3.0)
        net.own = nn.Parameter(torch.tensor([rank + 4.0]))
        for module in (net, net[0]):
            module.register_buffer("scale", torch.tensor([rank + 5.0]), persistent=False)
            module.register_buffer("count", torch.tensor([rank + 6]))
        distribute_module(net, mesh)
        everything, x = [*net.parameters(), *net.buffers()], torch.tensor([[10.0, 20.0]])
        values = [value.to_local().tolist() for value in everything]
        with pytest.raises(RuntimeError, match=r"got mixed torch\.Tensor and DTensor"):
            net(x)
        output = net(distribute_tensor(x, mesh, [Replicate()]))
        return [isinstance(each, DTensor) for each in [*everything, output]], values, output.to_local().item()

    values = [[4.0], [[3.0, 3.0]], [5.0], [6], [5.0], [6]]
    assert ranks(distribute) == [([True] * 7, values, 90.0)] * 2


@pytest.mark.parametrize("style", ["ColwiseParallel", "RowwiseParallel"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_old_parameters_are_left_behind(ranks, style):
    """``parallelize_module`` makes new parameters: earlier optimizers train nothing, tied weights come apart.

    A gradient and attributes of the old parameter are lost as well. Make the optimizer, and tie, afterwards.
    See :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def cut(rank, style):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import parallel

        net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Embedding(2, 2))
        net[1].weight = net[0].weight
        for parameter in net.parameters():
            parameter.grad, parameter.note = torch.ones_like(parameter), "kept?"
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        parallel.parallelize_module(net, init_device_mesh("cpu", (2,)), {"*": getattr(parallel, style)()})
        now, held = list(net.parameters()), optimizer.param_groups[0]["params"]
        trained = [parameter for parameter in now if any(parameter is old for old in held)]
        return trained, len(held), [(p.grad, hasattr(p, "note")) for p in now]

    assert ranks(cut, style) == [([], 4, [(None, False)] * 5)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.9")
def test_an_unknown_name_only_warns(ranks):
    """``parallelize_module`` leaves out an entry of the plan that names no submodule, with a warning.

    A misspelled name so leaves a layer whole on every rank. Without a plan it warns and changes nothing. See
    :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def cut(rank, names):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

        net = nn.Sequential(nn.Linear(2, 4), nn.Sequential(nn.Linear(2, 4)))
        plan = {name: ColwiseParallel() for name in names} if names else None
        message = "key 'fc' could not be resolved" if names else "No parallelize_plan is provided"
        with pytest.warns(UserWarning, match=message):
            same = parallelize_module(net, init_device_mesh("cpu", (2,)), plan) is net
        return same, [hasattr(p, "to_local") for p in net.parameters()]

    for names in (["fc"], ["1.fc"], []):
        assert ranks(cut, names) == [(True, [False] * 4)] * 2
    assert ranks(cut, ["fc", "0"]) == [(True, [True, True, False, False])] * 2
    assert ranks(cut, ["1.fc", "1.0"]) == [(True, [False, False, True, True])] * 2


@pytest.mark.parametrize("style", ["ColwiseParallel", "RowwiseParallel"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_only_some_layers_can_be_cut(ranks, style):
    """``ColwiseParallel`` and ``RowwiseParallel`` raise ``NotImplementedError`` but on ``Linear`` and
    ``Embedding``.

    A layer of a class derived from them will do. For others there is
    :func:`torch.distributed.tensor.distribute_module` with a ``partition_fn``.
    """

    def cut(rank, style):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import parallel

        class Own(nn.Linear): ...

        class OwnTable(nn.Embedding): ...

        mesh = init_device_mesh("cpu", (2,))
        layers = [nn.Linear(2, 2), Own(2, 2), nn.Embedding(4, 2), OwnTable(4, 2)]
        for layer in layers:
            parallel.parallelize_module(layer, mesh, getattr(parallel, style)())
        for layer in (nn.Conv1d(2, 2, 1), nn.LayerNorm(2), nn.EmbeddingBag(4, 2), nn.Sequential(*layers)):
            with pytest.raises(NotImplementedError, match=f"{style} currently only support nn.Linear"):
                parallel.parallelize_module(layer, mesh, getattr(parallel, style)())
        return [layer.weight.to_local().numel() for layer in layers]

    assert ranks(cut, style) == [[2, 2, 4, 4]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_a_module_is_distributed_once(ranks):
    """``parallelize_module`` and ``distribute_module`` raise ``RuntimeError`` for a module a second time.

    See :func:`torch.distributed.tensor.distribute_module`.
    """

    def twice(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import distribute_module
        from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

        mesh, shapes = init_device_mesh("cpu", (2,)), []
        for style in (ColwiseParallel(), None):
            layer = nn.Linear(2, 4)
            parallelize_module(layer, mesh, style) if style else distribute_module(layer, mesh)
            with pytest.raises(RuntimeError, match="should only be called once on a module"):
                parallelize_module(layer, mesh, ColwiseParallel())
            with pytest.raises(RuntimeError, match="should only be called once on a module"):
                distribute_module(layer, mesh)
            shapes.append(list(layer.weight.to_local().shape))
        return shapes

    assert ranks(twice) == [[[2, 2], [4, 2]]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_hooks_see_what_they_come_after(ranks):
    """A forward hook registered before ``parallelize_module`` sees ``DTensor`` outputs, a later one plain
    ones.

    Both see ``DTensor`` inputs. The conversions are hooks themselves, and hooks fire in the order of their
    registration. See :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def cut(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

        layer, seen = nn.Linear(2, 4), []

        def hook(module, args, *output):
            seen.append([(hasattr(value, "to_local"), list(value.shape)) for value in (*args, *output)])

        layer.register_forward_pre_hook(hook)
        layer.register_forward_hook(hook)
        parallelize_module(layer, init_device_mesh("cpu", (2,)), ColwiseParallel())
        layer.register_forward_pre_hook(hook)
        layer.register_forward_hook(hook)
        layer(torch.ones(1, 2))
        return seen

    plain, x = (False, [1, 2]), (True, [1, 2])
    assert ranks(cut) == [[[plain], [x], [x, (True, [1, 4])], [x, plain]]] * 2


@pytest.mark.parametrize("style", ["ColwiseParallel", "RowwiseParallel"])
@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_a_plain_state_dict_does_not_fit(ranks, style):
    """``load_state_dict`` of plain tensors raises ``RuntimeError`` after ``parallelize_module``.

    Load before it, or distribute the tensors: ``distribute_tensor(value, p.device_mesh, p.placements)``. With
    ``assign=True`` no error is raised, and the layer is whole again. See
    :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def load(rank, style):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import distribute_tensor, parallel

        layer, mesh = nn.Linear(2, 2), init_device_mesh("cpu", (2,))
        parallel.parallelize_module(layer, mesh, getattr(parallel, style)())
        state = {"weight": torch.tensor([[2.0, 3.0], [5.0, 7.0]]), "bias": torch.tensor([8.0, 9.0])}
        for name in state:
            with pytest.raises(RuntimeError, match=f'While copying the parameter named "{name}"'):
                layer.load_state_dict(state)
        cut = {name: p.placements for name, p in layer.named_parameters()}
        layer.load_state_dict({name: distribute_tensor(state[name], mesh, cut[name]) for name in cut})
        loaded = [p.full_tensor().tolist() for p in layer.parameters()]
        layer.load_state_dict(state, assign=True)
        return loaded, [hasattr(p, "to_local") for p in layer.parameters()]

    assert ranks(load, style) == [([[[2.0, 3.0], [5.0, 7.0]], [8.0, 9.0]], [False, False])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_a_rank_has_its_share_of_the_features(ranks):
    """A ``ColwiseParallel`` layer returns its rank's share of the features, unless
    ``use_local_output=False``.

    ``view(batch, -1, heads, size)`` then takes the missing heads out of the length without an error. Put the
    -1 where the heads are. Or keep the ``DTensor``, which has the whole shape. ``out_features`` still tells
    the whole number. See :func:`torch.distributed.tensor.parallel.parallelize_module`.
    """

    def cut(rank):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

        torch.manual_seed(0)
        seen, mesh, x = [], init_device_mesh("cpu", (2,)), torch.ones(1, 6, 2)
        for style in (ColwiseParallel(), ColwiseParallel(use_local_output=False)):
            query = nn.Linear(2, 12)
            share = query(x).chunk(2, dim=-1)[rank]
            y = parallelize_module(query, mesh, style)(x)
            heads = [list(y.view(*sizes).shape) for sizes in ((1, -1, 4, 3), (1, 6, -1, 3))]
            local = y if style.use_local_output else y.to_local()
            seen += [query.out_features, list(y.shape), *heads, torch.allclose(local, share, atol=1e-6)]
        return seen

    local = [12, [1, 6, 6], [1, 3, 4, 3], [1, 6, 2, 3], True]
    assert ranks(cut) == [[*local, 12, [1, 6, 12], [1, 6, 4, 3], [1, 6, 4, 3], True]] * 2
