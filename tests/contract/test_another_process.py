"""A module built once more, in a process of other hashes."""

import os
import subprocess
import sys

import pytest
import torch
from miniatures import Net
from miniatures.names import OrderFromASet, OrderFromASortedSet

import nnspec.contract
from nnspec.contract.another_process import building_elsewhere, source_of
from nnspec.contract.outcomes import NotApplicable


class Local(Net):
    """A class that is imported by its name."""


def built_elsewhere(source, **options):
    with building_elsewhere(source, Net(), **options) as another:
        return another.tell()


def test_what_can_be_imported_has_a_name():
    assert source_of(Net) == "miniatures:Net"
    assert source_of(Local) == f"{__name__}:Local"


@pytest.mark.parametrize("build", [lambda: Net(), type("Net", (Net,), {"__module__": "miniatures"}), 3])
def test_what_cannot_be_imported_has_none(build):
    assert source_of(build) == ""


def test_what_a_script_makes_has_none():
    assert source_of(type("Net", (), {"__module__": "__main__"})) == ""


def test_it_is_not_judged_where_another_process_cannot_build_it(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("raise RuntimeError('not in this process')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        NotApplicable, match=r"does not build it: .*raised when imported.*not in this process"
    ):
        built_elsewhere("only_here:Net")


def test_it_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    (tmp_path / "never_there.py").write_text("import time\ntime.sleep(60)", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(
        NotApplicable,
        match=r"another process took longer than 0.1 seconds to build it, and was not waited for",
    ):
        built_elsewhere("never_there:Net", patience=0.1)


def test_it_tells_which_defaults_the_first_build_changes():
    assert built_elsewhere("miniatures.names:PopsItsSettings").changed == [
        ["PopsItsSettings.__init__", "settings", "{'label': 'first'}", "{}"]
    ]


OTHERS = """
from miniatures import Net

class Unspoken:
    def __repr__(self):
        raise RuntimeError("no words")

class Other(Net):
    def __init__(self, parts=[Unspoken()]):
        super().__init__()

class Closed(type):
    def __getattribute__(cls, name):
        if name == "__module__":
            raise RuntimeError("no module")
        return super().__getattribute__(name)

class Odd(Net, metaclass=Closed):
    pass
"""


def test_it_asks_nothing_of_other_modules_that_they_do_not_tell(tmp_path, monkeypatch):
    (tmp_path / "beside_others.py").write_text(OTHERS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    assert built_elsewhere("beside_others:Net").changed == []


def test_it_starts_no_third_process(monkeypatch):
    monkeypatch.setenv("NNSPEC_ANOTHER_PROCESS", "1")

    with pytest.raises(NotApplicable, match="another process already"):
        built_elsewhere("miniatures:Net")


SLOW = """
import os, time, torch
from miniatures import Net

if "NNSPEC_ANOTHER_PROCESS" in os.environ:
    time.sleep(1)

threads = []

class Slow(Net):
    def forward(self, x):
        threads.append(torch.get_num_threads())
        return super().forward(x)
"""


def test_it_has_a_processor_to_itself(tmp_path, monkeypatch):
    (tmp_path / "slow_elsewhere.py").write_text(SLOW, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import slow_elsewhere

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        rules = ["calling.a_second_call", "names.order_in_another_process", "rows.a_batch_of_one"]
        nnspec.contract.check(slow_elsewhere.Slow, torch.rand(3, 4), only=rules)
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    used = slow_elsewhere.threads
    assert (used[0], used[1], used[-1], after) == (3, 2, 3, 3)  # the first call is to see whether it works


def test_check_judges_what_it_can_import():
    order = "names.order_in_another_process"
    report = nnspec.contract.check(OrderFromASet, torch.rand(3, 4), only=[order])
    assert [finding.rule for finding in report.findings] == [order]

    report = nnspec.contract.check(lambda: OrderFromASet(), torch.rand(3, 4), only=[order])
    (verdict,) = report.verdicts
    assert verdict.reason == "what makes it cannot be imported by its name, as another process would have to"

    report = nnspec.contract.check(OrderFromASortedSet, torch.rand(3, 4), only=[order])
    assert [verdict.outcome for verdict in report.verdicts] == ["holds"]


def test_names_of_one_place_in_a_set_are_told_from_names_of_one_order():
    """With the seed 12 both names have one place: which comes first depends on which was put in first."""
    check = (
        "import nnspec.contract, torch; from miniatures.names import OrderFromASet; "
        "print(nnspec.contract.check("
        "OrderFromASet, torch.rand(3, 4), only=['names.order_in_another_process']).verdicts[0].outcome)"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        env={**os.environ, "PYTHONHASHSEED": "12", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "violated"
