"""The modes of a module.

``train()`` and ``eval()`` set a flag on every submodule, and nothing else. In eval mode a module is a
function: the same inputs give the same outputs, and no call changes it.
"""

import torch

from nnspec.contract import nested, not_applicable, tree
from nnspec.contract.findings import building, calling, keeping, modes, values


def test_methods_return_it(ready, unless):
    """``train``, ``eval``, ``requires_grad_`` and ``to`` return the module itself."""
    net = ready()
    unless(building.shadowed_methods(net) + building.narrowed(net, ["train", "eval", "requires_grad_", "to"]))
    returned = {
        "train()": net.train(),
        "eval()": net.eval(),
        "requires_grad_()": net.requires_grad_(),
        "to()": net.to(torch.float64),
    }

    yield modes.not_itself(net, returned)


def test_eval_reaches_every_submodule(build):
    """:meth:`~torch.nn.Module.eval` reaches every submodule."""
    net = build()
    net.eval()

    yield modes.left_in_train_mode(net)


def test_eval_is_train_of_false(ready, unless):
    """``eval()`` does what ``train(False)`` does.

    The ``eval()`` of a whole calls ``train(False)`` on its parts: what a part does in an ``eval`` of its own
    is not done.
    """
    net, same = ready(), ready()
    net.eval(), same.train(False)
    unless(modes.left_in_train_mode(net))

    yield modes.eval_of_its_own(net, same)


def test_train_reaches_every_submodule(build):
    """:meth:`~torch.nn.Module.train` reaches every submodule.

    Batch norm that is kept in eval mode, so that small batches do not spoil its statistics, is often meant.
    """
    net = build()
    net.eval()
    net.train()

    yield modes.left_in_eval_mode(net)


def test_modes_change_nothing_else(ready):
    """``eval()`` and ``train()`` change no parameter, no buffer and no ``requires_grad``."""
    net = ready()
    before = modes.snapshot(net)
    net.eval()
    after_eval = modes.snapshot(net)
    net.train()

    yield modes.changed_by_modes(before, after_eval, modes.snapshot(net))


def test_training_goes_on_after_eval(build, ready, example, unless):
    """A call in eval mode does not change what later calls in train mode compute.

    Dropout whose rate is set to zero for the evaluation drops nothing in the epochs after it.
    """
    unless(not_applicable.unrepeatable(build, example))
    unless(not_applicable.kept_from_the_first_call(build, example))
    found = modes.other_in_training(ready(), ready(), example)
    if found:
        unless(modes.random_in_training(ready(), ready(), example))

    yield found


def test_a_call_keeps_eval_mode(ready, example):
    """A call in eval mode leaves every submodule in eval mode.

    Who switches dropout on to draw several times switches it off again.
    """
    yield modes.put_in_train_mode(ready(), example)


def test_frozen_norms_stay(ready, example):
    """A norm whose weight is frozen keeps its statistics in train mode.

    ``requires_grad_(False)`` freezes parameters; running statistics are buffers, and every call in train mode
    moves them.
    """
    net = ready()
    net.train()
    frozen = modes.statistics_of_frozen(net)
    nested.run(net, example)

    yield modes.drifted(frozen, modes.statistics_of_frozen(net))


def test_what_is_built_in_eval_mode_stays(build):
    """A frozen part that is built in eval mode drops nothing in train mode.

    ``teacher.eval()`` in ``__init__`` lasts until the first ``train()`` of the whole.
    """
    net = build()
    frozen = modes.frozen_in_eval_mode(net)
    net.train()

    yield modes.dropping_again(frozen)


def test_statistics_are_of_one_place(ready, example):
    """No batch norm is run twice in a call on values of different mean and spread.

    In train mode each run takes its own statistics, and in eval mode all take one mixture.
    """
    net = ready()
    net.train()

    yield modes.mixed_statistics(net, example)


def test_norms_have_places(ready, example):
    """No batch norm of images is given one place for each row.

    After pooling to one place a batch of one has one number for each channel, and torch refuses it in train
    mode; the last batch of a data set may be one.
    """
    net = ready()
    net.train()

    yield modes.norms_of_one_place(net, example)


def test_statistics_are_of_many_batches(looked_at):
    """The running statistics of a norm are those of many batches.

    The momentum of torch is the share of the new value, and in other libraries that of the old.
    """
    yield modes.fast_statistics(looked_at())


def test_one_row_spoils_nothing(build, ready, example, unless):
    """In train mode a batch of one is refused, or leaves numbers.

    The last batch of a data set may have one row, and its variance is none.
    """
    unless(not_applicable.unrepeatable(build, example) + not_applicable.without_batch(build, example))

    yield modes.spoilt_by_one_row(ready(), ready(), example)


def test_eval_is_deterministic(build, ready, example, unless):
    """In eval mode equal inputs give equal outputs, whatever the seed.

    :func:`torch.nn.functional.dropout` drops in eval too, unless it is told the mode.
    """
    unless(not_applicable.one_call_only(build, example))
    net, same = ready(), ready()
    net.eval(), same.eval()
    found = modes.random_in_eval(net, example)
    if found:
        unless(values.left_empty(same, example) + keeping.layers_made(ready(), example))

    yield found


def test_buffers_stay_in_eval(build, ready, example, unless):
    """In eval mode a call changes no buffer."""
    net = ready()
    net.eval()
    if not not_applicable.one_call_only(build, example):
        unless([one for one in modes.random_in_eval(net, example) if "since each changes" in one])
    before = tree.copies(dict(net.named_buffers()))
    nested.run(net, example)

    yield calling.changed_buffers(net, before)
