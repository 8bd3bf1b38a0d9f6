"""What DistributedDataParallel refuses, and how it finds unused parameters.

Most mistakes are found when wrapping. Parameters that get no gradient are found one call too late.
"""

import dataclasses
import types

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)

    def forward(self, x, side="left"):
        return getattr(self, side)(x)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_wrapping_needs_a_process_group():
    """:class:`~torch.nn.parallel.DistributedDataParallel` raises ``ValueError`` without a process group.

    Call ``torch.distributed.init_process_group`` first, or start with ``torchrun`` and call it there.
    """
    with pytest.raises(ValueError, match="Default process group has not been initialized, please make"):
        DDP(nn.Linear(2, 3))


@pytest.mark.needs("distributed")
@pytest.mark.before("2.2")
def test_wrapping_needed_a_process_group():
    """:class:`~torch.nn.parallel.DistributedDataParallel` raises ``RuntimeError`` without a process group."""
    with pytest.raises(RuntimeError, match="Default process group has not been initialized, please make"):
        DDP(nn.Linear(2, 3))


@pytest.mark.needs("distributed")
def test_there_must_be_something_to_train(ranks):
    """``DistributedDataParallel`` raises ``RuntimeError`` if no parameter of the module requires grad."""

    def wrap(rank):
        for net in (nn.BatchNorm1d(2, affine=False), nn.Sequential(nn.Linear(2, 3)).requires_grad_(False)):
            with pytest.raises(RuntimeError, match="not needed when a module doesn't have any parameter"):
                DDP(net)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
def test_a_module_is_on_one_type_of_device(ranks):
    """``DistributedDataParallel`` raises ``ValueError`` if parameters are on devices of different types."""

    def wrap(rank):
        for a, b in (("cpu", "meta"), ("meta", "cpu")):
            net = nn.Sequential(nn.Linear(2, 3, device=a), nn.Linear(3, 1, device=b).requires_grad_(False))
            with pytest.raises(ValueError, match=r"parameters locate in \{'(cpu|meta)', '(cpu|meta)'\}"):
                DDP(net)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
def test_at_most_one_device(ranks):
    """``DistributedDataParallel`` raises ``ValueError`` if ``device_ids`` has more than one device.

    A rank has one. :class:`~torch.nn.DataParallel` is what takes several.
    """

    def wrap(rank):
        for ids in ([0, 1], [0, 0]):
            with pytest.raises(ValueError, match="device_ids can only be None or contain a single element"):
                DDP(nn.Linear(2, 3), device_ids=ids)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
def test_a_module_on_the_cpu_has_no_device_ids(ranks):
    """``DistributedDataParallel`` of a CPU module raises ``ValueError`` for ``device_ids`` or any
    ``output_device`` but 0.

    An empty list or ``None`` is right there; ``output_device=0`` is ignored.
    """

    def wrap(rank):
        for device in (0, "cpu"):
            with pytest.raises(ValueError, match=r"but got device_ids \[.*\], output_device None"):
                DDP(nn.Linear(2, 3), device_ids=[device])
        for device in (1, "cpu"):
            with pytest.raises(ValueError, match=f"but got device_ids None, output_device {device}"):
                DDP(nn.Linear(2, 3), output_device=device)
        model = DDP(nn.Linear(2, 3), device_ids=[], output_device=0)
        return model.device_ids, model.output_device

    assert ranks(wrap) == [(None, None)] * 2


@pytest.mark.needs("distributed")
def test_lazy_modules_run_first(ranks):
    """``DistributedDataParallel`` raises ``RuntimeError`` for a lazy module with uninitialized parameters.

    Call the module once, on every rank, then wrap it. For buffers alone, as those of a lazy BatchNorm with
    ``affine=False``, it raises ``ValueError``.
    """

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 2), nn.LazyLinear(3))
        with pytest.raises(RuntimeError, match="uninitialized parameters can't be used with `Distributed"):
            DDP(net)
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            DDP(nn.Sequential(nn.Linear(2, 3), nn.LazyBatchNorm1d(affine=False)))
        net(torch.rand(1, 2))
        return type(DDP(net).module[1])

    assert ranks(wrap) == [nn.Linear, nn.Linear]


@pytest.mark.needs("distributed")
def test_ranks_have_as_many_parameters(ranks):
    """``DistributedDataParallel`` raises ``RuntimeError`` if ranks train different numbers of parameters."""

    def wrap(rank, more):
        with pytest.raises(RuntimeError, match="DDP expects same model across all ranks, but Rank"):
            DDP(nn.Linear(2, 3, bias=rank == more))

    assert [ranks(wrap, more) for more in (0, 1)] == [[None, None]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_one_group_is_enough(ranks):
    """``DistributedDataParallel`` raises ``RuntimeError`` given ``process_group`` and ``device_mesh``."""

    def wrap(rank):
        mesh = dist.device_mesh.init_device_mesh("cpu", (2,))
        with pytest.raises(RuntimeError, match="Cannot specify both process_group and device_mesh arguments"):
            DDP(nn.Linear(2, 3), process_group=dist.group.WORLD, device_mesh=mesh)
        return DDP(nn.Linear(2, 3), device_mesh=mesh).device_mesh == mesh

    assert ranks(wrap) == [True, True]


@pytest.mark.needs("distributed")
def test_unused_parameters_stop_the_next_call(ranks):
    """By default a :class:`DDP <torch.nn.parallel.DistributedDataParallel>` call raises ``RuntimeError`` if
    the last ``backward()`` missed a trainable parameter.

    The error tells the numbers of those missed, among the trainable ones of ``parameters()``, from 0. Freeze
    what is not trained before wrapping, or pass ``find_unused_parameters=True``, which costs time.

    See also :ref:`parallel.ddp_errors.unused_parameters_can_be_looked_for`
    """

    def train(rank):
        net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        net[0].weight.requires_grad_(False)
        net.forward = lambda x: x * net[1].weight
        model = DDP(net)
        model(torch.ones(1, 1)).sum().backward()
        with pytest.raises(RuntimeError, match="Expected to have finished reduction") as caught:
            model(torch.ones(1, 1))
        text = str(caught.value)
        return "find_unused_parameters=True" in text, f"receive grad for rank {rank}: 0 2\n" in text

    assert ranks(train) == [(True, True)] * 2


@pytest.mark.needs("distributed")
def test_beside_an_unused_parameter_nothing_is_averaged(ranks):
    """By default ``DDP`` leaves gradients unaveraged if a parameter of their bucket is unused.

    No error says so until the next call: a loop of one step, or one that catches the error, trains the ranks
    apart (:issue:`112152`). Small models have a single bucket. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        model = DDP(Branches())
        model(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.left.weight.grad.item()

    assert ranks(train) == [1.0, 2.0]


@pytest.mark.needs("distributed")
def test_unused_parameters_can_be_looked_for(ranks):
    """With ``find_unused_parameters=True``, :class:`DDP <torch.nn.parallel.DistributedDataParallel>` does not
    set the ``grad`` of a parameter that no rank uses.

    With ``gradient_as_bucket_view=True`` as well, one that is there becomes a view and is averaged.
    """

    def train(rank, as_view):
        model = DDP(Branches(), find_unused_parameters=True, gradient_as_bucket_view=as_view)
        grads, right = [], model.module.right.weight
        for grad in (None, None, torch.tensor([[rank + 7.0]])):
            right.grad = grad
            model(torch.tensor([[rank + 1.0]])).sum().backward()
            grads += [model.module.left.weight.grad.item(), right.grad is grad]
        return [*grads, right.grad.item()]

    for as_view, left in ((False, [7.0, 8.0]), (True, [7.5, 7.5])):
        assert ranks(train, as_view) == [[1.5, True, 3.0, True, 4.5, not as_view, value] for value in left]


@pytest.mark.needs("distributed")
def test_unused_on_one_rank_counts_as_zero(ranks):
    """If only some ranks use a parameter, ``DDP(find_unused_parameters=True)`` averages zeros for the others.

    All ranks get that mean, also those that did not use the parameter.
    """

    def train(rank):
        model = DDP(Branches(), find_unused_parameters=True)
        model(torch.tensor([[rank + 5.0]]), ["left", "right"][rank]).sum().backward()
        return model.module.left.weight.grad.item(), model.module.right.weight.grad.item()

    assert ranks(train) == [(2.5, 3.0)] * 2


@pytest.mark.parametrize("find_unused", [False, True])
@pytest.mark.needs("distributed")
def test_a_static_graph_finds_them_once(ranks, find_unused):
    """``DistributedDataParallel(static_graph=True)`` allows ``forward`` to leave parameters unused.

    The first iteration shows which ones; they are to be the same from then on. ``find_unused_parameters``
    makes no difference.
    """

    def train(rank, find_unused):
        model = DDP(Branches(), static_graph=True, find_unused_parameters=find_unused)
        for _ in range(4):
            model(torch.tensor([[rank + 1.0]])).sum().backward()
        return model.module.left.weight.grad.item(), model.module.right.weight.grad

    assert ranks(train, find_unused) == [(6.0, None)] * 2


@pytest.mark.needs("distributed")
def test_a_static_graph_needs_all_outputs(ranks):
    """``DDP(static_graph=True)`` raises ``RuntimeError`` in the third call if the loss ignores an output.

    So it does with ``find_unused_parameters=True`` too, which alone accepts such a loss (:issue:`79171`).
    """

    def train(rank):
        class Heads(Branches):
            def forward(self, x):
                return self.left(x), self.right(x)

        raised_at = []
        for options in ({}, {"find_unused_parameters": True}):
            model = DDP(Heads(), static_graph=True, **options)
            raised_at.append(0)
            with pytest.raises(RuntimeError, match="Expected to have finished reduction"):
                for _ in range(4):
                    raised_at[-1] += 1
                    model(torch.ones(1, 1))[0].sum().backward()
        model = DDP(Heads(), find_unused_parameters=True)
        for _ in range(4):
            model(torch.ones(1, 1))[0].sum().backward()
        return raised_at

    assert ranks(train) == [[3, 3]] * 2


@pytest.mark.needs("distributed")
def test_a_parameter_frozen_later_is_missed(ranks):
    """By default freezing a parameter after wrapping makes :class:`DDP
    <torch.nn.parallel.DistributedDataParallel>` raise ``RuntimeError`` in the second step.

    It waits for a gradient that does not come. Freeze first, wrap afterwards.

    See also :ref:`parallel.ddp_errors.a_parameter_frozen_before_is_left_out`
    """

    def train(rank):
        model = DDP(nn.Linear(1, 1))
        model.module.bias.requires_grad_(False)
        model(torch.ones(1, 1)).sum().backward()
        with pytest.raises(RuntimeError, match="Expected to have finished reduction in the prior iteration"):
            model(torch.ones(1, 1))

    assert ranks(train) == [None, None]


@pytest.mark.needs("distributed")
def test_a_parameter_frozen_before_is_left_out(ranks):
    """``DistributedDataParallel`` ignores parameters frozen before wrapping, even if unfrozen later."""

    def train(rank):
        net = nn.Linear(1, 1)
        net.bias.requires_grad_(False)
        model, grads = DDP(net), []
        for trained in (False, True):
            net.bias.requires_grad_(trained)
            (model(torch.ones(1, 1)) * (rank + 1)).sum().backward()
            grads.append([p.grad and p.grad.item() for p in net.parameters()])
        return grads

    assert ranks(train) == [[[1.5, None], [3.0, 1.0]], [[1.5, None], [3.0, 2.0]]]


@pytest.mark.needs("distributed")
def test_a_hook_for_communication_is_checked(ranks):
    """``register_comm_hook`` of DDP: ``TypeError`` if not callable, ``ValueError`` for wrong annotations."""

    def wrap(rank):
        def wrong_bucket(state, bucket: int): ...

        def wrong_return(state, bucket) -> int: ...

        def right(state, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]: ...

        model = DDP(nn.Linear(2, 3))
        with pytest.raises(TypeError, match="Communication hook must be callable"):
            model.register_comm_hook(None, 1)
        with pytest.raises(ValueError, match="bucket annotation should be dist"):
            model.register_comm_hook(None, wrong_bucket)
        with pytest.raises(ValueError, match="return annotation should be torch"):
            model.register_comm_hook(None, wrong_return)
        model.register_comm_hook(None, right)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
def test_one_hook_for_communication(ranks):
    """Calling ``DistributedDataParallel.register_comm_hook`` twice raises ``RuntimeError``."""

    def wrap(rank):
        def keep(state, bucket): ...

        model = DDP(nn.Linear(2, 3))
        model.register_comm_hook(None, keep)
        for hook in (keep, lambda state, bucket: None):
            with pytest.raises(RuntimeError, match="or register_builtin_comm_hook can only be called once"):
                model.register_comm_hook(None, hook)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_an_argument_without_effect_warns(ranks):
    """``DistributedDataParallel(check_reduction=True)`` gives a ``FutureWarning``."""

    def wrap(rank):
        with pytest.warns(FutureWarning, match="The `check_reduction` argument in `DistributedDataParallel`"):
            DDP(nn.Linear(2, 3), check_reduction=True)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
@pytest.mark.before("2.4")
def test_an_argument_without_effect_warned_users(ranks):
    """``DistributedDataParallel(check_reduction=True)`` gives a ``UserWarning``."""

    def wrap(rank):
        with pytest.warns(UserWarning, match="The `check_reduction` argument in `DistributedDataParallel`"):
            DDP(nn.Linear(2, 3), check_reduction=True)

    assert ranks(wrap) == [None, None]


@pytest.mark.needs("distributed")
def test_outputs_are_found_in_containers(ranks):
    """``DDP(find_unused_parameters=True)`` finds outputs in a dataclass, but not in a plain object.

    A parameter that such an object hides, here a ``SimpleNamespace``, counts as unused, and then as ready
    twice: ``RuntimeError``. Return tensors in tuples, lists, dicts or dataclasses. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def train(rank):
        class Net(nn.Linear):
            def forward(self, x):
                return self.output(super().forward(x))

        net, x = Net(1, 1, bias=False), torch.tensor([[rank + 1.0]])
        model = DDP(net, find_unused_parameters=True)
        net.output = output = dataclasses.make_dataclass("Output", ["y"])
        model(x).y.sum().backward()
        net.output = lambda y: ([{"y": output([y])}],)
        model(x)[0][0]["y"].y[0].sum().backward()
        grad = net.weight.grad.item()
        net.output = lambda y: types.SimpleNamespace(y=y)
        with pytest.raises(RuntimeError, match="Expected to mark a variable ready only once"):
            model(x).y.sum().backward()
        return grad

    assert ranks(train) == [3.0, 3.0]
