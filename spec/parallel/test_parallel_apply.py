"""parallel_apply: running several modules at once, each in a thread.

It takes as many inputs as modules, and keyword arguments and devices, where given, for each of them.
"""

import threading

import pytest
import torch
from torch import nn
from torch.nn.parallel import parallel_apply
from torch.nn.parallel.parallel_apply import get_a_var


@pytest.mark.parametrize(
    ("inputs", "kwargs", "devices"),
    [
        *[([1] * number, None, None) for number in (0, 1, 3)],
        *[([1, 2], [{}] * number, None) for number in (0, 1, 3)],
        *[([1, 2], [{}, {}], [0] * number) for number in (0, 1, 3)],
    ],
    ids=[f"{number} {name}" for name in ("inputs", "kwargs_tup", "devices") for number in (0, 1, 3)],
)
def test_each_module_needs_its_arguments(inputs, kwargs, devices):
    """:func:`~torch.nn.parallel.parallel_apply` raises ``AssertionError`` if modules, inputs, kwargs or
    devices differ in number.

    Modules, inputs, keyword arguments and devices are to be equally many.
    """
    with pytest.raises(AssertionError, match=r"^$|^The number of modules 2 is not equal"):
        parallel_apply([nn.ReLU(), nn.Tanh()], inputs, kwargs, devices)


@pytest.mark.since("2.1")
def test_the_error_tells_both_lengths():
    """:func:`~torch.nn.parallel.parallel_apply` raises ``AssertionError`` with both numbers if modules and
    inputs differ in number.
    """
    for number in (0, 1, 3):
        told = f"^The number of modules 2 is not equal to the number of inputs {number}$"
        with pytest.raises(AssertionError, match=told):
            parallel_apply([nn.ReLU(), nn.Tanh()], [1] * number)


@pytest.mark.parametrize(
    ("kwargs", "devices", "told"),
    [
        *[([{}] * number, None, f"kwargs_tup {number}") for number in (0, 1, 3)],
        *[([{}, {}], [0] * number, f"devices {number}") for number in (0, 1, 3)],
    ],
    ids=[f"{number} {name}" for name in ("kwargs_tup", "devices") for number in (0, 1, 3)],
)
@pytest.mark.since("2.11")
def test_every_error_tells_both_lengths(kwargs, devices, told):
    """The error of :func:`~torch.nn.parallel.parallel_apply` names both numbers if kwargs or devices do not
    match the modules.
    """
    with pytest.raises(
        AssertionError, match=f"^The number of modules 2 is not equal to the number of {told}$"
    ):
        parallel_apply([nn.ReLU(), nn.Tanh()], [1, 2], kwargs, devices)


def test_the_first_tensor_tells_the_device():
    """``get_a_var`` of ``parallel_apply`` returns the first tensor in nested tuples, lists and dicts.

    It does not choose a device: without ``devices``, :func:`~torch.nn.parallel.parallel_apply` runs all
    modules under the current one, wherever their inputs are. Name the devices.
    """
    x, other = torch.rand(2), torch.rand(3)

    assert get_a_var(x) is x
    assert get_a_var((1, [x], other)) is x
    assert get_a_var([{"a": 1, "c": (x, other), "b": other}, other]) is x
    assert get_a_var({"a": {"b": [(), ([None, x],)]}, "c": other}) is x
    assert get_a_var(((None, other), [x])) is other


@pytest.mark.parametrize("value", [1, "a", (), [1, (2,)], {"a": [1]}])
def test_without_a_tensor_there_is_none(value):
    """``get_a_var`` of ``parallel_apply`` returns ``None`` if its argument contains no tensor."""
    assert get_a_var(value) is None


@pytest.mark.needs("cuda")
def test_results_come_in_the_order_of_modules():
    """:func:`~torch.nn.parallel.parallel_apply` returns the outputs in the order of the modules.

    An input that is not a tuple or list is the only argument.
    """
    x = torch.tensor([-1.0, 2.0]).cuda()

    first, second = parallel_apply([nn.ReLU(), nn.Hardtanh()], [x, (x,)], devices=[0, 0])
    (third,) = parallel_apply([nn.Hardtanh()], [[x]], devices=[0])

    assert first.tolist() == [0.0, 2.0]
    assert second.tolist() == [-1.0, 1.0]
    assert third.tolist() == [-1.0, 1.0]


@pytest.mark.needs("cuda")
def test_modules_run_on_the_current_device_by_default():
    """Without ``devices``, :func:`~torch.nn.parallel.parallel_apply` runs all modules on the current device.

    They need not have an input to tell it.
    """

    class Where(nn.Module):
        def forward(self):
            return torch.cuda.current_device()

    here = torch.cuda.current_device()

    assert parallel_apply([Where()], [()]) == [here]
    assert parallel_apply([Where(), Where()], [(), ()]) == [here, here]


@pytest.mark.needs("cuda")
def test_each_module_gets_its_keyword_arguments():
    """:func:`~torch.nn.parallel.parallel_apply` calls each module with its own keyword arguments."""

    class Scale(nn.Module):
        def forward(self, x, by):
            return x * by

    x = torch.tensor([1.0, 2.0]).cuda()

    first, second = parallel_apply([Scale(), Scale()], [(x,), (x + 10,)], [{"by": 3}, {"by": 5}], [0, 0])

    assert first.tolist() == [3.0, 6.0]
    assert second.tolist() == [55.0, 60.0]


@pytest.mark.needs("cuda")
def test_a_lone_module_runs_without_a_thread():
    """:func:`~torch.nn.parallel.parallel_apply` runs several modules in new threads, but a single one in the
    calling thread.
    """
    seen = []
    net = nn.Identity()
    net.register_forward_pre_hook(lambda *_: seen.append(threading.current_thread()))
    x = torch.rand(2).cuda()

    parallel_apply([net], [x], devices=[0])
    parallel_apply([net, net], [x, x], devices=[0, 0])

    assert [thread is threading.current_thread() for thread in seen] == [True, False, False]


@pytest.mark.needs("cuda")
def test_threads_keep_the_grad_mode():
    """:func:`~torch.nn.parallel.parallel_apply` runs its threads in the grad mode of the caller, such as
    ``no_grad``.
    """
    nets = [nn.Linear(2, 3).cuda(), nn.Linear(2, 3).cuda()]
    x = torch.rand(4, 2).cuda()

    with torch.no_grad():
        quiet = parallel_apply(nets, [x, x], devices=[0, 0])
    loud = parallel_apply(nets, [x, x], devices=[0, 0])

    assert [y.requires_grad for y in quiet] == [False, False]
    assert [y.requires_grad for y in loud] == [True, True]


@pytest.mark.needs("cuda")
def test_threads_forget_the_dtype_of_autocast():
    """:func:`~torch.nn.parallel.parallel_apply` under :class:`torch.autocast` computes in float16, even with
    ``dtype=torch.bfloat16``.

    Its threads are told that autocast is on, but not its dtype. With ``torch.bfloat16`` under
    :class:`~torch.nn.DataParallel` put the autocast into ``forward``.
    """

    class Square(nn.Module):
        def forward(self, x):
            return x @ x

    net, x = Square(), torch.rand(3, 3).cuda()

    with torch.autocast("cuda", dtype=torch.bfloat16):
        first, second = parallel_apply([net, net], [x, x], devices=[0, 0])
        plain = net(x)

    assert [y.dtype for y in (plain, first, second)] == [torch.bfloat16, torch.float16, torch.float16]


@pytest.mark.needs("cuda")
def test_an_error_names_its_replica():
    """An error of a module in :func:`~torch.nn.parallel.parallel_apply` keeps its type, and its message names
    the replica.

    The message begins with the number of the replica and its device, and goes on with the traceback.
    """

    def fail(x):
        raise KeyError("lost")

    net = nn.Identity()
    net.forward = fail
    x = torch.rand(2).cuda()

    with pytest.raises(KeyError, match=r"(?s)^Caught KeyError in replica 1 on device 0\.\n.*Traceback.*lost"):
        parallel_apply([nn.Identity(), net], [x, x], devices=[0, 0])
