"""What a module forks does not judge it as well."""

import os

import torch
from torch import nn

from nnspec.contract import check

CHILDREN = []


class Forking(nn.Module):
    """Each call forks, and parent and child go on."""

    def __init__(self, file):
        super().__init__()
        self.inner, self.file = nn.Linear(2, 3), file

    def forward(self, x):
        CHILDREN.append(os.fork())
        with self.file.open("a") as file:
            file.write(".")
        return self.inner(x)


def test_a_process_that_forward_forks_ends_where_forward_does(tmp_path):
    check(lambda: Forking(tmp_path / "calls"), torch.rand(3, 2), only=["a_second_call", "inputs_stay"])
    statuses = [os.waitpid(child, 0)[1] for child in CHILDREN]

    assert len(CHILDREN) >= 4
    assert set(statuses) == {0}
    assert len((tmp_path / "calls").read_text()) == 2 * len(CHILDREN)


class Asking(nn.Module):
    """Each call has a process of its own compute something, which ends by itself."""

    def forward(self, x):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"2")
            os._exit(5)
        with open(reading, "rb", closefd=True) as answer:
            factor = int(answer.read(1))
        os.close(writing)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
        return x * factor


def test_one_that_ends_by_itself_is_let_be():
    report = check(Asking, torch.rand(3, 2), only=["a_second_call", "inputs_stay"])

    assert [verdict.outcome for verdict in report.verdicts] == ["holds", "holds"]
