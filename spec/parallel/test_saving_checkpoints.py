"""Saving into a folder: what ``torch.distributed.checkpoint.save`` overwrites, and ``async_save``.

*distributed_checkpoint* is about what is in the folder, and about loading.
"""

import threading

import pytest
import torch


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_an_older_checkpoint_is_overwritten(tmp_path):
    """``torch.distributed.checkpoint.save`` overwrites a checkpoint in the same folder, and warns.

    What the older one had and the newer has not can no longer be loaded. The warning says that the default
    of ``FileSystemWriter(folder, overwrite=True)`` will change; it has not. See
    :func:`torch.distributed.checkpoint.save`.
    """
    import torch.distributed.checkpoint as dcp

    dcp.save({"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}, checkpoint_id=tmp_path)
    with pytest.warns(UserWarning, match="Detected an existing checkpoint"):
        dcp.save({"a": torch.tensor([3.0])}, checkpoint_id=tmp_path)

    state = {"a": torch.tensor([0.0])}
    dcp.load(state, checkpoint_id=tmp_path)
    assert state["a"].item() == 3.0
    assert list(dcp.FileSystemReader(tmp_path).read_metadata().state_dict_metadata) == ["a"]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_overwriting_may_be_refused(tmp_path):
    """``torch.distributed.checkpoint.save`` raises for an older one if its writer has ``overwrite=False``.

    The error is a ``CheckpointException``, and the older checkpoint stays as it was. See
    :class:`torch.distributed.checkpoint.FileSystemWriter`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    for value in (1.0, 2.0):
        folder = tmp_path / str(value)
        dcp.save({"a": torch.tensor([value])}, storage_writer=dcp.FileSystemWriter(folder, overwrite=False))
        with pytest.raises(CheckpointException, match="Checkpoint already exists"):
            dcp.save({"a": torch.tensor([9.0])}, storage_writer=dcp.FileSystemWriter(folder, overwrite=False))
        state = {"a": torch.tensor([0.0])}
        dcp.load(state, checkpoint_id=folder)
        assert state["a"].item() == value


@pytest.mark.needs("distributed")
@pytest.mark.since("2.7")
def test_an_asynchronous_save_copies_first(tmp_path):
    """``torch.distributed.checkpoint.async_save`` saves values as they are at the call, on
    the CPU too.

    It copies them, writes in a thread, and returns a ``Future``: training may go on. Call its ``result()``
    before the next save, and at the end (:issue:`144657`). See
    :func:`torch.distributed.checkpoint.async_save`.
    """
    import torch.distributed.checkpoint as dcp

    class Late(dcp.DefaultSavePlanner):
        def create_local_plan(self):
            threads.append(threading.current_thread())
            go.wait(10)
            return super().create_local_plan()

    go, threads = threading.Event(), []
    value, state = torch.tensor([1.0, 2.0]), {"a": torch.zeros(2)}
    future = dcp.async_save({"a": value}, checkpoint_id=tmp_path, planner=Late())
    before = future.done()
    value.fill_(9.0)
    go.set()
    future.result()
    threads[0].join()

    dcp.load(state, checkpoint_id=tmp_path)
    assert (before, state["a"].tolist()) == (False, [1.0, 2.0])


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
@pytest.mark.before("2.7")
def test_an_asynchronous_save_shared_memory(tmp_path):
    """``torch.distributed.checkpoint.async_save`` saves tensors on the CPU as they are when they are written.

    A step in the meantime spoils the checkpoint (:issue:`144657`): wait for ``result()`` of the ``Future``
    before it, or copy the dict deeply. See :func:`torch.distributed.checkpoint.async_save`.
    """
    import torch.distributed.checkpoint as dcp

    class Late(dcp.DefaultSavePlanner):
        def create_local_plan(self):
            threads.append(threading.current_thread())
            go.wait(10)
            return super().create_local_plan()

    go, threads = threading.Event(), []
    value, state = torch.tensor([1.0, 2.0]), {"a": torch.zeros(2)}
    future = dcp.async_save({"a": value}, checkpoint_id=tmp_path, planner=Late())
    value.fill_(9.0)
    go.set()
    future.result()
    threads[0].join()

    dcp.load(state, checkpoint_id=tmp_path)
    assert state["a"].tolist() == [9.0, 9.0]


@pytest.mark.needs("distributed")
@pytest.mark.since("2.4")
def test_errors_of_an_asynchronous_save(tmp_path):
    """An error while ``async_save`` of ``torch.distributed.checkpoint`` writes is raised by ``result()``
    alone.

    Whoever does not ask the ``Future`` for its result does not notice that there is no checkpoint. See
    :func:`torch.distributed.checkpoint.async_save`.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.api import CheckpointException

    class Full(dcp.FileSystemWriter):
        def write_data(self, plan, planner):
            threads.append(threading.current_thread())
            raise OSError("no space left")

    threads = []
    future = dcp.async_save({"a": torch.ones(1)}, storage_writer=Full(tmp_path))

    with pytest.raises(CheckpointException, match="no space left"):
        future.result()
    threads[0].join()
    assert not (tmp_path / ".metadata").exists()
