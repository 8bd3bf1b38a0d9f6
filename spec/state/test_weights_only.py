"""What :func:`torch.load` accepts: anything at all, or only tensors and plain data.

Loading a pickle may run any code. With ``weights_only=True`` only tensors, plain Python data and what was
declared safe are loaded; everything else raises ``UnpicklingError``.
"""

import argparse
import collections
import datetime
import decimal
import io
import os
import pathlib
import pickle
import random
import warnings
from collections import Counter

import pytest
import torch
from torch import nn


@pytest.mark.since("2.6")
def test_a_whole_module_is_refused_by_default(tmp_path):
    """:func:`torch.load` without ``weights_only`` raises ``UnpicklingError`` for a file with a whole module.

    The default became ``True`` in torch 2.6. Where the file is trusted, give ``weights_only=False``;
    better, save state dicts, which load either way.

    See also :ref:`state.weights_only.a_class_may_be_declared_safe`
    """
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)
    file.seek(0)
    (tmp_path / "net.pt").write_bytes(file.getvalue())

    for given in (file, tmp_path / "net.pt", str(tmp_path / "net.pt")):
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            torch.load(given)


@pytest.mark.before("2.6")
def test_a_whole_module_is_loaded_by_default():
    """:func:`torch.load` without ``weights_only`` loads a file with a whole module."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)
    file.seek(0)

    assert type(torch.load(file)) is nn.Linear


@pytest.mark.since("2.4")
@pytest.mark.before("2.6")
def test_the_old_default_warns():
    """:func:`torch.load` without ``weights_only`` gives a ``FutureWarning`` that the default will change."""
    file = io.BytesIO()
    torch.save({"w": torch.rand(2)}, file)
    file.seek(0)

    with pytest.warns(FutureWarning, match="the default value for `weights_only` will be flipped to `True`"):
        torch.load(file)


@pytest.mark.parametrize("weights_only", [True, False])
def test_an_explicit_choice_does_not_warn(weights_only):
    """:func:`torch.load` with an explicit ``weights_only`` gives no ``FutureWarning``."""
    file = io.BytesIO()
    torch.save({"w": torch.rand(2)}, file)
    file.seek(0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.load(file, weights_only=weights_only)

    assert [str(w.message) for w in caught if issubclass(w.category, FutureWarning)] == []


def test_a_whole_module_is_refused_on_request():
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for a whole module and names its class."""
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)
    file.seek(0)

    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.linear\.Linear"):
        torch.load(file, weights_only=True)


def test_plain_data_are_accepted():
    """``torch.load(weights_only=True)`` loads tensors, parameters, numbers, strings, lists, tuples and
    dicts.
    """
    data = {
        "w": nn.Parameter(torch.tensor([1.5])),
        "mean": torch.tensor([3, 4]),
        "steps": [1, (2.5, None)],
        "best": {"name": "a", "on": True},
    }
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)

    loaded = torch.load(file, weights_only=True)

    assert list(loaded) == ["w", "mean", "steps", "best"]
    assert [type(loaded["w"]), type(loaded["mean"])] == [nn.Parameter, torch.Tensor]
    assert [loaded["w"].tolist(), loaded["mean"].tolist()] == [[1.5], [3, 4]]
    assert loaded["steps"] == [1, (2.5, None)]
    assert loaded["best"] == {"name": "a", "on": True}


@pytest.mark.parametrize(
    "value", [datetime.timedelta(days=3), decimal.Decimal("1.5")], ids=["timedelta", "decimal"]
)
def test_other_objects_are_refused(value):
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for objects such as
    ``datetime.timedelta``.

    It does so for all classes that are not allowed, even Python's own.
    """
    file, kind = io.BytesIO(), type(value)
    torch.save({"took": value}, file)
    file.seek(0)

    name = rf"{kind.__module__}\.{kind.__name__}"
    with pytest.raises(pickle.UnpicklingError, match=rf"Weights only load failed(.|\n)*{name}"):
        torch.load(file, weights_only=True)


def test_the_state_of_an_optimizer_is_accepted():
    """``torch.load(weights_only=True)`` loads the state of optimizers, and of schedulers such as ``StepLR``.

    ``weights_only`` is about classes, not about what belongs to the weights: moments, steps and groups are
    tensors, numbers and dicts. Up to torch 2.3 those of ``MultiStepLR`` and ``OneCycleLR`` raised.
    """
    layer, file, schedulers = nn.Linear(2, 3), io.BytesIO(), torch.optim.lr_scheduler
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5)
    layer(torch.ones(2)).sum().backward()
    optimizer.step()
    made = [kind(optimizer, 7) for kind in (schedulers.CosineAnnealingLR, schedulers.StepLR)]
    made += [schedulers.ReduceLROnPlateau(optimizer), schedulers.LambdaLR(optimizer, lambda epoch: 0.5)]

    torch.save([optimizer.state_dict(), *[each.state_dict() for each in made]], file)
    file.seek(0)
    state, *schedules = torch.load(file, weights_only=True)

    assert state["param_groups"] == optimizer.state_dict()["param_groups"]
    assert sorted(state["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    for name, value in state["state"][0].items():
        assert torch.equal(value, optimizer.state[layer.weight][name])
    assert schedules == [each.state_dict() for each in made]


@pytest.mark.since("2.4")
def test_the_state_of_a_multi_step_scheduler_is_accepted():
    """``torch.load(weights_only=True)`` loads the state of ``MultiStepLR``, which holds a ``Counter``."""
    optimizer, file = torch.optim.SGD(nn.Linear(2, 3).parameters(), lr=0.5), io.BytesIO()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 4, 7])
    torch.save(scheduler.state_dict(), file)
    file.seek(0)

    state = torch.load(file, weights_only=True)

    assert state == scheduler.state_dict()
    assert state["milestones"] == Counter({4: 2, 7: 1})


@pytest.mark.before("2.4")
def test_the_state_of_a_multi_step_scheduler_was_refused():
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for the state of ``MultiStepLR``.

    It holds a :class:`collections.Counter`, which no state of weights has.
    """
    optimizer, file = torch.optim.SGD(nn.Linear(2, 3).parameters(), lr=0.5), io.BytesIO()
    torch.save(torch.optim.lr_scheduler.MultiStepLR(optimizer, [4, 7]).state_dict(), file)
    file.seek(0)

    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)


def test_an_optimizer_itself_is_refused():
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for an optimizer or scheduler object.

    Save its ``state_dict()``. With ``weights_only=False`` the object comes back with parameters of its own,
    and trains the model only if both were saved in one file.
    """
    layer, file, apart = nn.Linear(2, 3), io.BytesIO(), io.BytesIO()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)

    for value, name in ((optimizer, "SGD"), (scheduler, "StepLR")):
        refused = io.BytesIO()
        torch.save({"kept": value}, refused)
        refused.seek(0)
        with pytest.raises(pickle.UnpicklingError, match=rf"Weights only load failed(.|\n)*{name}"):
            torch.load(refused, weights_only=True)

    torch.save(optimizer, apart)
    torch.save([optimizer, layer], file)
    apart.seek(0), file.seek(0)
    alone, (together, model) = (torch.load(f, weights_only=False) for f in (apart, file))
    assert alone.param_groups[0]["params"][0] is not layer.weight
    assert together.param_groups[0]["params"][0] is model.weight


def test_loading_a_pickle_runs_code(tmp_path):
    """``torch.load(weights_only=False)`` can run code from the file; ``True`` raises ``UnpicklingError``
    instead.

    A file from somebody else is a program. With ``weights_only=True`` a callable in it raises unless it
    is allowed; a class that was declared safe runs its own ``__setstate__`` still.
    """

    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    torch.save(Attack(), tmp_path / "model.pt")

    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(tmp_path / "model.pt", weights_only=True)
    assert os.listdir(tmp_path) == ["model.pt"]
    torch.load(tmp_path / "model.pt", weights_only=False)
    assert sorted(os.listdir(tmp_path)) == ["made", "model.pt"]


@pytest.mark.since("2.5")
def test_a_safe_class_runs_its_setstate():
    """``torch.load(weights_only=True)`` runs ``__setstate__`` of a class declared in ``safe_globals``.

    Declare safe only what may run. ``random.Random`` restores its state there.
    """
    file = io.BytesIO()
    torch.save(random.Random(7), file)
    file.seek(0)

    with torch.serialization.safe_globals([random.Random]):
        loaded = torch.load(file, weights_only=True)

    assert type(loaded) is random.Random
    assert loaded.random() == random.Random(7).random()


@pytest.mark.since("2.5")
def test_a_class_may_be_declared_safe():
    """Inside :class:`torch.serialization.safe_globals`, ``torch.load`` accepts objects of the given classes.

    After the block it raises for them again.
    """
    file = io.BytesIO()
    torch.save({"took": datetime.timedelta(days=3), "price": decimal.Decimal("1.5")}, file)
    file.seek(0)

    with torch.serialization.safe_globals([datetime.timedelta, decimal.Decimal]):
        loaded = torch.load(file, weights_only=True)
    file.seek(0)

    assert loaded == {"took": datetime.timedelta(days=3), "price": decimal.Decimal("1.5")}
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)


@pytest.mark.since("2.4")
def test_a_class_may_be_declared_safe_for_good():
    """:func:`torch.serialization.add_safe_globals` lets ``torch.load(weights_only=True)`` load
    given classes.

    :func:`torch.serialization.clear_safe_globals` removes all that were declared.
    """
    before = list(torch.serialization.get_safe_globals())
    file = io.BytesIO()
    torch.save({"took": datetime.timedelta(days=3), "price": decimal.Decimal("1.5")}, file)
    file.seek(0)

    torch.serialization.add_safe_globals([datetime.timedelta])
    torch.serialization.add_safe_globals([decimal.Decimal])
    declared = torch.serialization.get_safe_globals()
    loaded = torch.load(file, weights_only=True)
    torch.serialization.clear_safe_globals()
    cleared = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(before)

    assert {datetime.timedelta, decimal.Decimal} <= {*declared}
    assert loaded == {"took": datetime.timedelta(days=3), "price": decimal.Decimal("1.5")}
    assert cleared == []


@pytest.mark.since("2.6")
def test_what_is_refused_can_be_listed(tmp_path):
    """:func:`get_unsafe_globals_in_checkpoint(f) <torch.serialization.get_unsafe_globals_in_checkpoint>`
    lists classes in ``f`` that ``torch.load(weights_only=True)`` rejects.
    """
    file = tmp_path / "last.pt"
    torch.save({"took": datetime.timedelta(days=3), "w": torch.rand(2), "net": nn.Flatten()}, file)

    refused = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    with torch.serialization.safe_globals([nn.Flatten]):
        still_refused = torch.serialization.get_unsafe_globals_in_checkpoint(file)

    assert sorted(refused) == ["datetime.timedelta", "torch.nn.modules.flatten.Flatten"]
    assert still_refused == ["datetime.timedelta"]


def test_another_pickle_module_cannot_be_safe():
    """``torch.load(pickle_module=..., weights_only=True)`` raises ``RuntimeError``.

    Only torch's own unpickler raises for what is not allowed.
    """
    with pytest.raises(RuntimeError, match="Can not safely load weights when explicit pickle_module"):
        torch.load(io.BytesIO(), pickle_module=pickle, weights_only=True)


def test_the_environment_may_force_safe_loading(monkeypatch):
    """With ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=1``, ``torch.load(weights_only=False)`` refuses whole modules.

    It raises ``UnpicklingError``, as with ``weights_only=True``.
    """
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)

    file.seek(0)
    assert type(torch.load(file, weights_only=False)) is nn.Linear

    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=False)


@pytest.mark.since("2.6")
def test_the_environment_may_bring_back_the_old_default(monkeypatch):
    """``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` makes ``torch.load`` default to ``weights_only=False``, with a
    warning.

    It does not override ``weights_only=True`` in the call.
    """
    file = io.BytesIO()
    torch.save(nn.Linear(2, 3), file)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

    file.seek(0)
    with pytest.warns(UserWarning, match="forcing weights_only=False"):
        loaded = torch.load(file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)

    assert type(loaded) is nn.Linear


@pytest.mark.parametrize(
    "value",
    [
        *(argparse.Namespace(lr=3), pathlib.PurePosixPath("a"), collections.deque([3]), frozenset([3])),
        *(collections.defaultdict(list), range(3), slice(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_containers_of_python_are_refused(value):
    """``torch.load(weights_only=True)`` raises ``UnpicklingError`` for ``Namespace``, paths and ``deque``.

    Also for ``defaultdict``, ``frozenset``, ``range`` and ``slice``. Save ``vars(namespace)``,
    ``str(path)``, a list or a dict.
    """
    file = io.BytesIO()
    torch.save({"value": value}, file)
    file.seek(0)

    with pytest.raises(pickle.UnpicklingError, match="Unsupported"):
        torch.load(file, weights_only=True)
