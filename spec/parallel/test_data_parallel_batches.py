"""Batches under DataParallel: which replica gets which rows, and what becomes of the outputs.

Everything here is seen on one GPU: a device that is named twice gets two copies of the module. Only where the
pieces lie needs a second one, and that is in *data_parallel*.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("cuda")
@pytest.mark.claim("N5-27")
def test_each_replica_gets_a_piece():
    """:class:`~torch.nn.DataParallel` splits the batch into equal chunks, one per replica; the last may be
    smaller.

    The outputs are joined in the order of the batch.
    """
    pieces = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda _, args: pieces.append(args[0].tolist()))

    output = nn.DataParallel(net, device_ids=[0, 0])(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))

    assert sorted(pieces) == [[1.0, 2.0, 3.0], [4.0, 5.0]]
    assert output.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.needs("cuda")
def test_inputs_may_be_on_the_cpu():
    """:class:`~torch.nn.DataParallel` moves inputs from the CPU to its devices."""
    seen = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda _, args: seen.append(str(args[0].device)))

    output = nn.DataParallel(net, device_ids=[0, 0])(torch.rand(4, 2))

    assert seen == ["cuda:0", "cuda:0"]
    assert str(output.device) == "cuda:0"


@pytest.mark.needs("cuda")
def test_tensors_in_containers_are_cut():
    """:class:`~torch.nn.DataParallel` splits and gathers the tensors inside tuples, lists and dicts."""
    pieces = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda _, args: pieces.append([len(x) for x in tensors(args[0])]))
    x, y, z = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])

    def tensors(batch):
        return batch["x"], batch["y"][0], batch["z"][0]

    output = nn.DataParallel(net, device_ids=[0, 0])({"x": x, "y": [y], "z": (z,)})

    assert sorted(pieces) == [[1, 1, 1], [2, 2, 2]]
    assert {name: type(value) for name, value in output.items()} == {"x": torch.Tensor, "y": list, "z": tuple}
    assert [tensor.tolist() for tensor in tensors(output)] == [x.tolist(), y.tolist(), z.tolist()]


@pytest.mark.needs("cuda")
def test_dim_is_where_the_batch_lies():
    """:class:`~torch.nn.DataParallel` with ``dim=1`` splits inputs and gathers outputs along dimension 1."""
    pieces = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda _, args: pieces.append(args[0].tolist()))

    output = nn.DataParallel(net, device_ids=[0, 0], dim=1)(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))

    assert sorted(pieces) == [[[1.0, 2.0], [4.0, 5.0]], [[3.0], [6.0]]]
    assert output.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.mark.needs("cuda")
def test_states_are_joined_along_the_batch_dimension_too():
    """:class:`~torch.nn.DataParallel` joins all outputs along ``dim``, even an RNN state whose batch is in
    dimension 1.

    The final state of a recurrent layer has its batch in dimension 1, also with ``batch_first=True``: with
    two replicas it looks like that of a deeper layer for half the batch. Return it transposed.
    """

    class Recurrent(nn.Module):
        def forward(self, x):
            return x, x[:, -1].unsqueeze(0)

    outputs, state = nn.DataParallel(Recurrent(), device_ids=[0, 0])(torch.rand(4, 5, 3))

    assert outputs.shape == (4, 5, 3)
    assert state.shape == (2, 2, 3)
    assert Recurrent()(torch.rand(4, 5, 3))[1].shape == (1, 4, 3)


@pytest.mark.needs("cuda")
def test_a_shorter_argument_loses_rows_of_others():
    """``DataParallel`` drops rows of a long argument if another argument has fewer rows than devices.

    As many replicas run as the shortest argument has pieces. A tensor that is no part of the batch is given
    as a number, or expanded to the batch.
    """
    net = nn.Identity()
    net.forward = lambda x, scale: x * scale
    wrapped = nn.DataParallel(net, device_ids=[0, 0])
    x, scale = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0]])

    assert wrapped(x, scale).tolist() == [[10.0], [20.0]]
    assert wrapped(x, scale.expand(3, 1)).tolist() == [[10.0], [20.0], [30.0]]
    assert wrapped(x, 10).tolist() == [[10.0], [20.0], [30.0]]


@pytest.mark.needs("cuda")
def test_hooks_run_once_for_each_replica():
    """Forward and backward hooks of a module wrapped in :class:`~torch.nn.DataParallel` run once for each
    replica.

    The module that a hook is given is the replica.
    """
    forward, backward = [], []
    net = nn.Linear(2, 1, bias=False).cuda()
    net.register_forward_hook(lambda module, *_: forward.append(module))
    net.register_full_backward_hook(lambda module, *_: backward.append(module))

    nn.DataParallel(net, device_ids=[0, 0])(torch.rand(4, 2)).sum().backward()

    assert len(forward) == 2
    assert len(backward) == 2
    assert len(set(forward)) == 2
    assert set(forward) == set(backward)
    assert net not in forward


@pytest.mark.needs("cuda")
def test_replicas_live_for_one_call():
    """With several devices :class:`~torch.nn.DataParallel` calls new replicas each time, not the wrapped
    module itself.
    """
    given = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda module, _: given.append(module))
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    wrapped(torch.rand(4, 2))
    wrapped(torch.rand(4, 2))

    assert len({id(module) for module in given}) == 4
    assert net not in given


@pytest.mark.needs("cuda")
def test_batch_norm_normalises_each_piece():
    """BatchNorm under :class:`~torch.nn.DataParallel` normalizes the chunk of each replica separately.

    Large batches cut into small pieces train like small ones.
    """
    net = nn.BatchNorm1d(1).cuda()
    x = torch.tensor([[1.0], [3.0], [10.0], [20.0]])

    output = nn.DataParallel(net, device_ids=[0, 0])(x)

    assert output.flatten().tolist() == pytest.approx([-1.0, 1.0, -1.0, 1.0], abs=1e-4)


@pytest.mark.needs("cuda")
def test_buffers_of_the_first_replica_stay():
    """:class:`~torch.nn.DataParallel` keeps in-place changes that its first replica makes to buffers.

    What the others write is lost: the running statistics of BatchNorm are those of the first piece.
    """
    net = nn.BatchNorm1d(1, momentum=1.0).cuda()

    nn.DataParallel(net, device_ids=[0, 0])(torch.tensor([[1.0], [3.0], [10.0], [20.0]]))

    assert net.running_mean.tolist() == [2.0]


@pytest.mark.needs("cuda")
def test_minus_one_joins_outputs_on_the_cpu():
    """``output_device=-1`` makes :class:`~torch.nn.DataParallel` gather the outputs on the CPU, and warn."""
    wrapped = nn.DataParallel(nn.Identity(), device_ids=[0, 0], output_device=-1)

    with pytest.warns((UserWarning, FutureWarning), match="Using -1 to represent CPU tensor is deprecated"):
        output = wrapped(torch.tensor([1.0, 2.0, 3.0]))

    assert output.device.type == "cpu"
    assert output.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.needs("cuda")
def test_one_device_keeps_its_output():
    """With a single device :class:`~torch.nn.DataParallel` ignores ``output_device``: outputs stay on that
    device.
    """
    wrapped = nn.DataParallel(nn.Identity(), device_ids=[0], output_device=-1)

    assert str(wrapped(torch.rand(4, 2)).device) == "cuda:0"


@pytest.mark.needs("cuda")
def test_the_cpu_has_no_name_as_output_device():
    """:class:`~torch.nn.DataParallel` raises ``ValueError`` for ``"cpu"`` in ``device_ids`` or as
    ``output_device``.
    """
    with pytest.raises(ValueError, match="Expected a non cpu device, but got: cpu"):
        nn.DataParallel(nn.Identity(), device_ids=[0, 0], output_device="cpu")
    with pytest.raises(ValueError, match="Expected a non cpu device, but got: cpu"):
        nn.DataParallel(nn.Identity(), device_ids=["cpu"])


@pytest.mark.needs("cuda")
def test_replicas_need_no_gradient_under_no_grad():
    """Under :class:`~torch.no_grad`, outputs of all replicas of :class:`~torch.nn.DataParallel` do not
    require grad.
    """
    net = nn.Linear(2, 1, bias=False).cuda()
    seen = []
    net.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    with torch.no_grad():
        quiet = wrapped(torch.rand(4, 2))
    loud = wrapped(torch.rand(4, 2))

    assert seen == [False, False, True, True]
    assert quiet.requires_grad is False
    assert loud.requires_grad is True
