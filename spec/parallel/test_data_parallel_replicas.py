"""What happens to the replicas of DataParallel while they run.

Each runs in a thread of its own. The first one shares its tensors with the module, so what it changes in
place stays; the others work on copies.
"""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn.parallel import data_parallel, replicate
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.needs("cuda")
def test_the_first_replica_shares_storage(detach):
    """The first replica of :class:`~torch.nn.DataParallel` shares the storage of parameters and buffers with
    the module.

    That is so with and without grad mode. Other replicas have copies. See
    :func:`parallel.replicate <torch.nn.parallel.replicate>`.
    """
    net = nn.BatchNorm1d(3).cuda()
    names = ["weight", "bias", "running_mean", "running_var"]

    first, second = replicate(net, [0, 0], detach)

    def shared(replica):
        return [name for name in names if getattr(replica, name).data_ptr() == getattr(net, name).data_ptr()]

    assert shared(first) == names
    assert shared(second) == []


@pytest.mark.needs("cuda")
def test_parameters_of_the_first_replica_change():
    """``DataParallel`` keeps its first replica's changes to parameters; in grad mode they raise
    ``RuntimeError``.

    They have to be made under :class:`~torch.no_grad`, since the weights of a replica are views. Those of
    other replicas are lost.
    """

    class Net(nn.Linear):
        def forward(self, x, grad_mode):
            with torch.set_grad_enabled(grad_mode):
                self.weight.fill_(x.sum())
            return x

    net, x = Net(1, 1).cuda(), torch.tensor([[2.0], [3.0], [7.0], [11.0]])
    wrapped = nn.DataParallel(net, device_ids=[0, 0])

    wrapped(x, False)

    assert net.weight.tolist() == [[5.0]]
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        wrapped(x, True)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: nn.BatchNorm2d(1), "running_mean"),
        (lambda: nn.utils.spectral_norm(nn.Conv2d(1, 3, 1)), "weight_u"),
    ],
    ids=["BatchNorm2d", "spectral_norm"],
)
@pytest.mark.needs("cuda")
def test_statistics_and_vectors_are_updated(layer, name):
    """``DataParallel`` keeps only its first replica's updates of ``BatchNorm2d`` and ``spectral_norm``
    buffers.

    See :class:`~torch.nn.BatchNorm2d` and :func:`torch.nn.utils.spectral_norm`.
    """
    net = layer().cuda()
    plain, before = copy.deepcopy(net), getattr(net, name).clone()
    x = torch.tensor([2.0, 3.0, 7.0, 11.0]).view(4, 1, 1, 1)

    nn.DataParallel(net, device_ids=[0, 0])(x)
    plain(x[:2].cuda())

    assert not torch.equal(getattr(net, name), before)
    torch.testing.assert_close(getattr(net, name), getattr(plain, name))


@pytest.mark.needs("cuda")
def test_hooks_of_a_replica_wait_for_no_other():
    """In :class:`~torch.nn.DataParallel` a forward pre-hook runs before ``forward`` of its replica, not of
    all replicas.

    Here the hook of the second replica waits until the first one has run.
    """
    events, first_ran = [], threading.Event()

    def hook(module, args):
        if args[0].item() == 3.0:
            first_ran.wait(10)
        events.append(("hook", args[0].item()))

    class Net(nn.Module):
        def forward(self, x):
            events.append(("forward", x.item()))
            first_ran.set()
            return x

    net = Net()
    net.register_forward_pre_hook(hook)

    nn.DataParallel(net, device_ids=[0, 0])(torch.tensor([2.0, 3.0]))

    assert events == [("hook", 2.0), ("forward", 2.0), ("hook", 3.0), ("forward", 3.0)]


@pytest.mark.needs("cuda")
def test_unpacked_sequences_need_their_total_length():
    """``DataParallel`` raises ``RuntimeError`` if outputs of ``pad_packed_sequence`` differ in length.

    Each replica pads up to its own longest sequence. Pass the length of the padded input as ``total_length``.
    See :func:`torch.nn.utils.rnn.pad_packed_sequence`.
    """

    class Net(nn.Module):
        def forward(self, x, lengths, total_length=None):
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True)
            return pad_packed_sequence(packed, batch_first=True, total_length=total_length)[0]

    wrapped = nn.DataParallel(Net(), device_ids=[0, 0])
    x, lengths = torch.tensor([[2.0, 3.0, 5.0], [7.0, 11.0, 0.0]]), torch.tensor([3, 2])

    with pytest.raises(RuntimeError, match=r"index 1 has invalid shape \[1, 2\], but expected \[1, 3\]"):
        wrapped(x, lengths)
    assert wrapped(x, lengths, x.size(1)).tolist() == x.tolist()


@pytest.mark.needs("cuda")
def test_the_function_runs_a_replica_for_each_piece():
    """:func:`~torch.nn.parallel.data_parallel` runs a replica of the module on each piece of the batch.

    The outputs are joined on the first device.
    """
    ran = []

    class Net(nn.Linear):
        def forward(self, x):
            ran.append((self, x.tolist()))
            return x + self.bias

    net = Net(1, 1).cuda()
    nn.init.constant_(net.bias, 10.0)

    output = data_parallel(net, torch.tensor([[2.0], [3.0], [5.0]]), [0, 0])

    assert sorted(piece for _, piece in ran) == [[[2.0], [3.0]], [[5.0]]]
    assert len({ran[0][0], ran[1][0], net}) == 3
    assert str(output.device) == "cuda:0"
    assert output.tolist() == [[12.0], [13.0], [15.0]]


@pytest.mark.needs("cuda")
def test_the_function_warns_of_minus_one():
    """:func:`~torch.nn.parallel.data_parallel` gathers on the CPU for ``output_device=-1``, and warns;
    ``"cpu"`` raises ``ValueError``.

    The warning advises ``"cpu"`` all the same.
    """
    net, x = nn.Identity(), torch.tensor([2.0, 3.0])

    with pytest.warns((UserWarning, FutureWarning), match="Using -1 to represent CPU tensor is deprecated"):
        output = data_parallel(net, x, [0, 0], -1)

    assert output.device.type == "cpu"
    assert output.tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="Expected a non cpu device, but got: cpu"):
        data_parallel(net, x, [0, 0], "cpu")


@pytest.mark.needs("cuda")
def test_one_device_returns_what_the_module_returns():
    """With one device :func:`~torch.nn.parallel.data_parallel` ignores ``output_device`` and returns what the
    module returns.

    That may be a dict or tuple; with more devices it is one as well, with gathered tensors.
    """
    net, x = nn.Identity(), torch.tensor([2.0, 3.0])
    net.forward = lambda x: {"twice": x * 2}

    one, two = data_parallel(net, x, [0], -1), data_parallel(net, x, [0, 0], 0)

    assert str(one["twice"].device) == "cuda:0"
    assert [type(one), type(two)] == [dict, dict]
    assert [one["twice"].tolist(), two["twice"].tolist()] == [[4.0, 6.0], [4.0, 6.0]]


@pytest.mark.needs("cuda", 2)
def test_the_function_runs_on_each_device():
    """:func:`~torch.nn.parallel.data_parallel` runs the pieces on ``device_ids``, and gathers on the first
    one by default.
    """
    ran = []

    class Net(nn.Linear):
        def forward(self, x):
            ran.append((str(x.device), str(self.weight.device), x.tolist()))
            return x

    net, x = Net(1, 1).cuda(1), torch.tensor([[2.0], [3.0], [5.0]])

    output, elsewhere = data_parallel(net, x, [1, 0]), data_parallel(net, x, [1, 0], 0)

    assert sorted(ran[:2]) == [("cuda:0", "cuda:0", [[5.0]]), ("cuda:1", "cuda:1", [[2.0], [3.0]])]
    assert [str(output.device), str(elsewhere.device)] == ["cuda:1", "cuda:0"]
    assert output.tolist() == [[2.0], [3.0], [5.0]]


@pytest.mark.needs("cuda", 2)
def test_each_module_has_its_current_device():
    """:func:`~torch.nn.parallel.parallel_apply` makes the entry of ``devices`` the current one while its
    module runs.
    """
    net = nn.Identity()
    net.forward = lambda x: (x, torch.cuda.current_device())

    assert nn.parallel.parallel_apply([net, net], ["a", "b"], devices=[1, 0]) == [("a", 1), ("b", 0)]
