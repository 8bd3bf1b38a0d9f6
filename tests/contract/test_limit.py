"""What takes too long is interrupted, and nothing else is."""

import contextlib
import functools
import signal
import sys
import threading
import time

import pytest

from nnspec.contract import limit
from nnspec.contract.limit import OutOfTime, ensure_limit, within
from nnspec.errors import UsageError


def test_what_is_done_in_time_is_returned():
    assert [within(seconds, lambda: 3) for seconds in (None, 0, 5)] == [3, 3, 3]


def test_what_raises_in_time_raises_that():
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_what_takes_longer_is_interrupted_even_if_it_catches():
    caught = []

    def stubborn():
        for _ in range(10_000):
            try:
                time.sleep(0.01)
                if len(caught) > 1:
                    return
            except BaseException as error:
                caught.append(type(error))
                if len(caught) == 2:
                    raise

    with pytest.raises(OutOfTime):
        within(0.1, stubborn)

    assert caught == [OutOfTime, OutOfTime]


def test_what_keeps_every_error_is_interrupted_between_two_of_its_tries(monkeypatch):
    monkeypatch.setattr(limit, "AGAIN", 0.1)

    def keeps_all():
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(0.01)

    with pytest.raises(OutOfTime):
        within(0.1, keeps_all)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_no_import_is_interrupted(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.5)\nis_whole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    def imports():
        import slow

        while slow.is_whole:
            time.sleep(0.01)

    with pytest.raises(OutOfTime):
        within(0.1, imports)

    assert sys.modules.pop("slow").is_whole


def test_nothing_is_raised_later_and_another_alarm_is_kept():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append("another"))
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        for number in range(500):
            with contextlib.suppress(OutOfTime):
                within(0.001, functools.partial(time.sleep, number % 3 / 1500))
        assert rung == []
        time.sleep(1)
        assert rung == ["another"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_what_rings_at_once_leaves_no_alarm(monkeypatch):
    arm, before = signal.setitimer, signal.getsignal(signal.SIGALRM)

    def arm_and_ring(which, seconds, interval=0.0):
        arm(which, seconds, interval)
        if interval:
            raise OutOfTime
        return 0.0, 0.0

    monkeypatch.setattr(signal, "setitimer", arm_and_ring)
    with pytest.raises(OutOfTime):
        within(9, list)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize(
    "seconds", [10**400, -(10**5000), 10**6, float("nan"), True, "5"], ids=lambda value: type(value).__name__
)
def test_what_is_no_number_of_seconds(seconds):
    with pytest.raises(UsageError, match=r"limit.*is no number of seconds"):
        ensure_limit("limit", seconds)


def test_only_the_main_thread_can_be_limited():
    caught = []

    def work():
        with pytest.raises(UsageError, match="in the main thread"):
            ensure_limit("limit", 3)
        caught.append("refused")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert caught == ["refused"]
