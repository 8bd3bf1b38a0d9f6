"""DistributedDataParallel: one module in each of several processes.

Every process, or rank, wraps a module of its own and trains on its own batches. Here ``ranks`` runs a
function on two ranks, which meet over gloo on the CPU. The function gets the number of its rank, which is
also its seed; the results of rank 0 and rank 1 come back in a list.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP


@pytest.mark.needs("distributed")
def test_all_ranks_start_equal(ranks):
    """By default ``DistributedDataParallel`` copies the parameters of rank 0 to all ranks when constructed.

    So it is enough to load a checkpoint on rank 0 before wrapping. See
    :class:`~torch.nn.parallel.DistributedDataParallel`.
    """

    def wrap(rank):
        net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1, dtype=torch.float64)))
        net.scale = nn.Parameter(torch.rand(2))
        net[0].bias.requires_grad_(False)
        before = [p.tolist() for p in net.parameters()]
        DDP(net)
        return before, [p.tolist() for p in net.parameters()]

    (before, after), (other_before, other_after) = ranks(wrap)

    assert other_before != before
    assert after == before
    assert other_after == before


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_init_sync_can_be_left_out(ranks):
    """``DistributedDataParallel(init_sync=False)`` lets every rank start with its own parameters."""

    def wrap(rank):
        net = nn.Sequential(nn.Linear(1, 1))
        net.scale = nn.Parameter(torch.tensor([rank + 5.0]))
        nn.init.constant_(net[0].weight, rank + 7.0)
        nn.init.constant_(net[0].bias, rank + 9.0).requires_grad_(False)
        return [p.item() for p in DDP(net, init_sync=False).module.parameters()]

    assert ranks(wrap) == [[5.0, 7.0, 9.0], [6.0, 8.0, 10.0]]


def test_it_is_in_nn_parallel():
    """``DistributedDataParallel`` is in ``torch.nn.parallel``; unlike ``DataParallel``, not in ``torch.nn``.

    Torch's documentation of :class:`~torch.nn.SyncBatchNorm` calls it ``torch.nn.DistributedDataParallel``.
    """
    assert nn.DataParallel is nn.parallel.DataParallel
    assert nn.parallel.DistributedDataParallel is nn.parallel.distributed.DistributedDataParallel
    assert not hasattr(nn, "DistributedDataParallel")
    assert "torch.nn.DistributedDataParallel" in nn.SyncBatchNorm.__doc__


@pytest.mark.needs("distributed")
def test_parameters_are_kept(ranks):
    """:class:`~torch.nn.parallel.DistributedDataParallel` keeps the same ``Parameter`` objects of the module
    it wraps.

    An optimizer made before the wrapping therefore still steps on them.
    """

    def train(rank):
        net = nn.Sequential(nn.Linear(1, 1))
        net[0].scale = nn.Parameter(torch.tensor(9.0), requires_grad=False)
        before = list(net.parameters())
        optimizer = torch.optim.SGD(before, lr=0.5)
        nn.init.constant_(net[0].weight, 4.0)
        nn.init.constant_(net[0].bias, 2.0)
        model = DDP(net)
        model(torch.tensor([[rank + 1.0]])).sum().backward()
        optimizer.step()
        kept = [new is old for new, old in zip(model.module.parameters(), before, strict=True)]
        return kept, [p.item() for p in before]

    assert ranks(train) == [([True, True, True], [3.25, 1.5, 9.0])] * 2


@pytest.mark.needs("distributed")
@pytest.mark.question("Q91")
def test_state_dict_keys_start_with_module(ranks):
    """:class:`~torch.nn.parallel.DistributedDataParallel` puts ``module.`` before ``state_dict()`` keys and
    parameter names.

    Save ``model.module.state_dict()`` to get keys that a plain module has.

    See also :ref:`parallel.ddp.a_state_dict_of_a_rank_fits_elsewhere`
    """

    def wrap(rank):
        net = nn.Linear(3, 1)
        net.bias.requires_grad_(False)
        net.norm = nn.BatchNorm1d(3)
        model = DDP(net)
        names = [name for name, _ in model.named_parameters()]
        return list(model.state_dict()), names, list(model.module.state_dict())

    parameters = ["weight", "bias", "norm.weight", "norm.bias"]
    plain = [*parameters, "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    prefixed = [f"module.{name}" for name in plain]
    assert ranks(wrap) == [(prefixed, prefixed[:4], plain)] * 2


@pytest.mark.needs("distributed")
@pytest.mark.since("2.2")
def test_get_model_state_dict_drops_module(ranks):
    """``get_model_state_dict`` of a ``DistributedDataParallel`` has the keys of the wrapped module.

    So ``set_model_state_dict`` takes them. Both are in ``torch.distributed.checkpoint.state_dict``.
    """

    def wrap(rank):
        from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict

        net = nn.Linear(2, 1, bias=False)
        net.layer = nn.Linear(1, 1, bias=False).requires_grad_(False)
        net.layer.register_buffer("mean", torch.tensor(7.0))
        model = DDP(net)
        weight, other = torch.tensor([[3.0, 5.0]]), torch.tensor([[11.0]])
        given = {"weight": weight, "layer.weight": other, "layer.mean": torch.tensor(9.0)}
        set_model_state_dict(model, given)
        states = get_model_state_dict(model), net.state_dict()
        return [{name: value.tolist() for name, value in state.items()} for state in states]

    given = {"weight": [[3.0, 5.0]], "layer.weight": [[11.0]], "layer.mean": 9.0}
    assert ranks(wrap) == [[given, given]] * 2


@pytest.mark.needs("distributed")
@pytest.mark.question("Q91")
def test_attributes_are_found_on_module(ranks):
    """Attributes of a module are not found on its ``DistributedDataParallel``, but on ``model.module``.

    To read ``model.scale`` raises ``AttributeError``; ``model.module.scale`` is what works.
    """

    def wrap(rank):
        net = nn.BatchNorm1d(3)
        net.scale, net.head = 5, nn.Linear(3, 1)
        model = DDP(net)
        for name in ("scale", "weight", "running_mean", "head", "reset_parameters"):
            with pytest.raises(AttributeError, match=f"'DistributedDataParallel' object has no .* '{name}'"):
                getattr(model, name)
        return model.module is net, model.module.scale

    assert ranks(wrap) == [(True, 5)] * 2


@pytest.mark.needs("distributed")
def test_a_state_dict_of_a_rank_fits_elsewhere(ranks):
    """``model.module.state_dict()`` of a ``DistributedDataParallel`` loads into a plain module."""

    def save(rank):
        model = DDP(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))
        model(torch.rand(4, 2)).sum().backward()
        return model.module.state_dict()

    for saved in ranks(save):
        net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

        assert str(net.load_state_dict(saved)) == "<All keys matched successfully>"
        assert [torch.equal(value, saved[name]) for name, value in net.state_dict().items()] == [True] * 7
        assert net[1].num_batches_tracked.item() == 1


@pytest.mark.needs("distributed")
def test_arguments_are_not_split(ranks):
    """``DistributedDataParallel`` passes all arguments of a call to its module, without splitting the batch.

    Each rank needs a batch of its own, from a ``DistributedSampler`` for instance. With ``device_ids``
    tensors are moved to that device.
    """

    def run(rank):
        calls = []

        class Net(nn.Linear):
            def forward(self, x, pair, *, mask, flag):
                calls.append([x.tolist(), pair[0].tolist(), pair[1], mask.tolist(), flag])
                return "output"

        model, x, mask = DDP(Net(1, 1)), torch.tensor([rank, 7, 8]), torch.tensor([[3], [rank]])
        return model(x, [torch.tensor([rank, 5]), "b"], mask=mask, flag=True), calls

    assert ranks(run) == [("output", [[[r, 7, 8], [r, 5], "b", [[3], [r]], True]]) for r in (0, 1)]


@pytest.mark.needs("distributed")
def test_hooks_run_on_every_rank(ranks):
    """Forward hooks on ``DistributedDataParallel`` and its module run on each rank, with that rank's
    input.
    """

    def run(rank):
        calls = []

        def hook(module, args, output):
            calls.append((type(module).__name__, args[0].item()))

        net = nn.Linear(1, 1)
        net.register_forward_hook(hook)
        model = DDP(net)
        model.register_forward_hook(hook)
        model.module.register_forward_hook(hook)
        model(torch.tensor([[rank + 1.0]]))
        return calls

    assert ranks(run) == [
        [("Linear", 1.0), ("Linear", 1.0), ("DistributedDataParallel", 1.0)],
        [("Linear", 2.0), ("Linear", 2.0), ("DistributedDataParallel", 2.0)],
    ]


@pytest.mark.needs("distributed")
def test_mode_reaches_the_module(ranks):
    """``train()`` and ``eval()`` on ``DistributedDataParallel`` also set the mode of the wrapped module."""

    def run(rank):
        def modes(returned):
            return returned is model, [module.training for module in model.modules()]

        model = DDP(nn.Sequential(nn.Linear(1, 1)))
        return modes(model.eval()), modes(model.train()), modes(model.train(False))

    assert ranks(run) == [((True, [False] * 3), (True, [True] * 3), (True, [False] * 3))] * 2


@pytest.mark.needs("distributed")
def test_a_copy_averages_as_well(ranks):
    """``copy.deepcopy`` of a ``DistributedDataParallel`` averages the gradients of the copied module."""

    def train(rank):
        model = DDP(nn.Linear(1, 1))
        twin = copy.deepcopy(model)
        (twin(torch.tensor([[4.0]])) * (rank + 1.0)).sum().backward()
        return [p.grad for p in model.parameters()], [p.grad.item() for p in twin.parameters()]

    assert ranks(train) == [([None, None], [6.0, 1.5])] * 2
