"""Checkpoints in a folder: ``torch.distributed.checkpoint``.

``save(state, checkpoint_id=folder)`` writes a dict of tensors, which may be shards, from all ranks into one
folder; ``load`` fills a dict that is there already. Without a process group both work in a single process.
"""

import pytest
import torch
from torch import nn


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_the_given_dict_is_filled(tmp_path):
    """``torch.distributed.checkpoint.load(state)`` fills tensors of ``state`` in place and replaces numbers.

    It returns ``None``. A module whose ``state_dict()`` is in the dict is loaded by that; a number has to be
    taken out of the dict afterwards. See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp

    net, other = nn.Linear(2, 1), nn.Linear(2, 1)
    weight = other.weight
    dcp.save({"model": net.state_dict(), "epoch": 7, "rate": 0.5, "name": "a"}, checkpoint_id=tmp_path)

    state = {"model": other.state_dict(), "epoch": 0, "rate": 0.0, "name": "?"}
    assert dcp.load(state, checkpoint_id=tmp_path) is None

    assert other.weight is weight
    assert weight.tolist() == net.weight.tolist()
    assert other.bias.tolist() == net.bias.tolist()
    assert (state["epoch"], state["rate"], state["name"]) == (7, 0.5, "a")


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_only_what_is_asked_for_is_loaded(tmp_path):
    """``torch.distributed.checkpoint.load`` silently leaves out what the given dict has no key for.

    An empty dict stays empty (:issue:`148252`). See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp

    a, b, c = torch.tensor([5.0]), torch.tensor([6.0]), torch.tensor([7.0])
    dcp.save({"a": a, "net": {"b": b, "c": c}}, checkpoint_id=tmp_path)
    part, nothing = {"net": {"c": torch.tensor([0.0])}}, {}
    dcp.load(part, checkpoint_id=tmp_path)
    dcp.load(nothing, checkpoint_id=tmp_path)

    assert part == {"net": {"c": torch.tensor([7.0])}}
    assert nothing == {}


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_a_key_that_the_checkpoint_lacks_is_an_error(tmp_path):
    """``torch.distributed.checkpoint.load`` raises ``CheckpointException`` for a missing key, before loading.

    ``planner=DefaultLoadPlanner(allow_partial_load=True)`` leaves such a tensor as it is; there is nothing
    that tells which ones. ``CheckpointException`` is a ``BaseException``: ``except Exception`` does not catch
    it. See :class:`torch.distributed.checkpoint.DefaultLoadPlanner`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    dcp.save({"model": {"weight": torch.tensor([5.0])}}, checkpoint_id=tmp_path)
    inner = {"weight": torch.tensor([0.0]), "bias": torch.tensor([3.0])}

    with pytest.raises(CheckpointException, match=r"Missing key in checkpoint state_dict: model\.bias"):
        dcp.load({"model": inner}, checkpoint_id=tmp_path)
    assert inner == {"weight": torch.tensor([0.0]), "bias": torch.tensor([3.0])}
    assert not issubclass(CheckpointException, Exception)

    planner = dcp.DefaultLoadPlanner(allow_partial_load=True)
    dcp.load({"model": inner}, checkpoint_id=tmp_path, planner=planner)
    assert inner == {"weight": torch.tensor([5.0]), "bias": torch.tensor([3.0])}


@pytest.mark.needs("distributed")
@pytest.mark.since("2.6")
def test_another_size_is_an_error(tmp_path):
    """``torch.distributed.checkpoint.load`` raises ``CheckpointException`` for a tensor of another size.

    So it is with ``allow_partial_load`` as well. See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    dcp.save({"a": torch.tensor([5.0, 6.0])}, checkpoint_id=tmp_path)
    for size in (3, 1, (2, 1)):
        for partial in (False, True):
            planner = dcp.DefaultLoadPlanner(allow_partial_load=partial)
            with pytest.raises(CheckpointException, match="Size mismatch between saved"):
                dcp.load({"a": torch.zeros(size)}, checkpoint_id=tmp_path, planner=planner)


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
@pytest.mark.before("2.6")
def test_another_size_was_filled_in_part(tmp_path):
    """``torch.distributed.checkpoint.load`` silently fills a larger tensor as far as the saved one goes.

    See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp

    dcp.save({"a": torch.tensor([5.0, 6.0])}, checkpoint_id=tmp_path)
    state = {"a": torch.tensor([1.0, 2.0, 3.0])}
    dcp.load(state, checkpoint_id=tmp_path)

    assert state["a"].tolist() == [5.0, 6.0, 3.0]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_values_take_the_dtype_of_the_given_tensor(tmp_path):
    """``torch.distributed.checkpoint.load`` casts a saved value to the dtype of the tensor that it fills.

    See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp

    dcp.save({"a": torch.tensor([1.0, 2.75]), "n": torch.tensor([3, 4])}, checkpoint_id=tmp_path)
    cases = (torch.float64, [1.0, 2.75]), (torch.bfloat16, [1.0, 2.75]), (torch.int64, [1, 2])
    for dtype, expected in cases:
        state = {"a": torch.zeros(2, dtype=dtype), "n": torch.zeros(2, dtype=dtype)}
        dcp.load(state, checkpoint_id=tmp_path)
        assert [value.dtype for value in state.values()] == [dtype, dtype]
        assert [value.tolist() for value in state.values()] == [expected, [3, 4]]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_a_checkpoint_names_its_tensors_with_dots(tmp_path):
    """``torch.distributed.checkpoint.save`` names nested entries with dots, lists of tensors by numbers.

    A list without a tensor is one entry. ``FileSystemReader(folder).read_metadata()`` tells names and shapes
    without reading values. The folder holds ``.metadata`` and a file per rank, by default. See
    :class:`torch.distributed.checkpoint.FileSystemReader`.
    """
    import torch.distributed.checkpoint as dcp

    state = {"net": {"head": nn.Linear(2, 3).state_dict()}, "l": [torch.ones(4), 2], "steps": [1, 2]}
    dcp.save(state, checkpoint_id=tmp_path)
    entries = dcp.FileSystemReader(tmp_path).read_metadata().state_dict_metadata

    sizes = {name: list(entry.size) for name, entry in entries.items() if hasattr(entry, "size")}
    assert list(entries) == ["net.head.weight", "net.head.bias", "l.0", "l.1", "steps"]
    assert sizes == {"net.head.weight": [3, 2], "net.head.bias": [3], "l.0": [4]}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".metadata", "__0_0.distcp"]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_objects_with_a_state_dict_are_called(tmp_path):
    """``torch.distributed.checkpoint`` calls ``state_dict()`` and ``load_state_dict()`` of an object in the
    dict.

    A module may stand in the dict itself, and so may any class with these two methods. In a dict within the
    dict they are not called: the object is pickled. See :func:`torch.distributed.checkpoint.save`.
    """
    import torch.distributed.checkpoint as dcp

    class Progress:
        epoch = 0

        def state_dict(self):
            return {"epoch": torch.tensor(self.epoch)}

        def load_state_dict(self, state):
            self.epoch = state["epoch"].item()

    net, other, first, second = nn.Linear(2, 1), nn.Linear(2, 1), Progress(), Progress()
    first.epoch = 7
    inner = {"net": net, "x": torch.ones(1)}
    dcp.save({"net": net, "progress": first, "inner": inner}, checkpoint_id=tmp_path)
    entries = dcp.FileSystemReader(tmp_path).read_metadata().state_dict_metadata
    dcp.load({"net": other, "progress": second}, checkpoint_id=tmp_path)

    assert sorted(entries) == ["inner.net", "inner.x", "net.bias", "net.weight", "progress.epoch"]
    assert second.epoch == 7
    assert other.weight.tolist() == net.weight.tolist()


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_the_state_of_a_fresh_optimizer_is_not_loaded(tmp_path):
    """``torch.distributed.checkpoint.load`` into ``state_dict()`` of a fresh optimizer loads no momentum.

    The fresh dict has no keys for it yet, and nothing warns. ``get_optimizer_state_dict`` makes them, if no
    gradient is there: :ref:`parallel.state_dicts_by_name.a_gradient_keeps_a_fresh_optimizer_empty`. See
    :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

    net = nn.Linear(1, 1, bias=False)
    trained, fresh = (torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9) for _ in range(2))
    net(torch.tensor([3.0])).sum().backward()
    trained.step()
    net.zero_grad()
    dcp.save({"plain": trained.state_dict()}, checkpoint_id=tmp_path / "plain")
    dcp.save({"named": get_optimizer_state_dict(net, trained)}, checkpoint_id=tmp_path / "named")

    plain = {"plain": fresh.state_dict()}
    dcp.load(plain, checkpoint_id=tmp_path / "plain")
    named = {"named": get_optimizer_state_dict(net, fresh)}
    dcp.load(named, checkpoint_id=tmp_path / "named")

    assert plain["plain"]["state"] == {}
    assert named["named"]["state"]["weight"]["momentum_buffer"].item() == 3.0


@pytest.mark.needs("distributed")
@pytest.mark.since("2.3")
def test_a_folder_becomes_a_file(ranks, tmp_path):
    """``dcp_to_torch_save(folder, file)`` makes one file for ``torch.load`` of a distributed checkpoint.

    It needs one process only, whatever number of ranks saved. See
    :func:`torch.distributed.checkpoint.format_utils.dcp_to_torch_save`.
    """
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    def save(rank, folder):
        import torch.distributed.checkpoint as dcp

        state = {"model": {f"part{rank}": torch.tensor([rank + 5.0])}, "epoch": 7}
        dcp.save(state, checkpoint_id=folder)

    ranks(save, str(tmp_path / "folder"))
    dcp_to_torch_save(tmp_path / "folder", tmp_path / "net.pt")
    loaded = torch.load(tmp_path / "net.pt", weights_only=False)

    assert loaded == {"model": {"part0": torch.tensor([5.0]), "part1": torch.tensor([6.0])}, "epoch": 7}


@pytest.mark.needs("distributed")
@pytest.mark.since("2.5")
def test_shards_are_loaded_by_another_number_of_ranks(ranks, tmp_path):
    """A ``torch.distributed.checkpoint`` of two ranks' shards loads into a plain tensor of one process.

    The shapes have to be those of the whole tensors. See :func:`torch.distributed.checkpoint.load`.
    """
    import torch.distributed.checkpoint as dcp

    def save(rank, folder):
        import torch.distributed.checkpoint as dcp
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.tensor import Shard, distribute_tensor

        mesh = init_device_mesh("cpu", (2,))
        whole = torch.arange(6.0).reshape(3, 2)
        dcp.save({"a": distribute_tensor(whole, mesh, [Shard(0)])}, checkpoint_id=folder)

    ranks(save, str(tmp_path))
    state = {"a": torch.zeros(3, 2)}
    dcp.load(state, checkpoint_id=tmp_path)

    assert state["a"].tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
