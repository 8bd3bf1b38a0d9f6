"""The clauses of the contract on tiny modules, each with one fault that its own clause alone finds."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from miniatures import Miniature, every_miniature, rows
from miniatures.unusual import UNUSUAL, Scores
from torch import nn

from nnspec.clauses.chapter import read_chapter
from nnspec.contract import findings
from nnspec.contract.plugin import NotApplicable
from nnspec.contract.target import Subject
from nnspec.records.outcomes import NOT_APPLICABLE, VIOLATED
from nnspec.running import devices, isolation

CONTRACT = Path(__file__).parents[1] / "spec" / "contract"

MINIATURES = every_miniature()


class Contract:
    """All clauses of the contract that hold on this torch, as functions."""

    def __init__(self) -> None:
        self.clauses: dict[str, Callable[..., None]] = {}
        for path in sorted(CONTRACT.glob("test_*.py")):
            chapter, module = read_chapter(path), importlib.import_module(f"spec.contract.{path.stem}")
            for clause in chapter.clauses:
                if clause.bounds.place(torch.__version__) == "inside":
                    self.clauses[f"{chapter.name}.{clause.name}"] = getattr(module, f"test_{clause.name}")
        for name in [name for name in sys.modules if name.partition(".")[0] == "spec"]:
            del sys.modules[name]  # other tests bring a specification of their own

    def judged(self, subject: Subject, folder: Path) -> Iterator[tuple[str, str, str]]:
        """The clauses that do not simply hold for a module, each with the outcome and why."""
        for name, clause in self.clauses.items():
            found: list[str] = []
            given = self._given(subject, found) | {"tmp_path": folder}
            wanted = inspect.signature(clause).parameters
            for there in devices.present() if "device" in wanted else ["cpu"]:
                isolation.seed()
                try:
                    clause(**{argument: (given | {"device": there})[argument] for argument in wanted})
                except NotApplicable as reason:
                    yield name, NOT_APPLICABLE, str(reason)
                except AssertionError:
                    yield name, VIOLATED, found[0]
                except Exception as error:
                    yield name, VIOLATED, f"{type(error).__name__}: {error}"

    def violations(self, subject: Subject, folder: Path) -> dict[str, str]:
        """The clauses that a module violates, each with the first finding, or with the error."""
        judged = self.judged(subject, folder)
        return {name: finding for name, outcome, finding in judged if outcome == VIOLATED}

    def _given(self, subject: Subject, found: list[str]) -> dict[str, Any]:
        """What the plugin and the conftest of the part give to clauses."""

        def end(reason: str) -> None:
            raise NotApplicable(reason)

        return {
            "build": subject.build,
            "example": subject.example,
            "ready": lambda: findings.ready(subject.build, subject.example),
            "other": lambda: findings.ready(subject.build, subject.example, make=subject.make),
            "unless": lambda reasons: end(reasons[0]) if reasons else None,
            "not_applicable": end,
            "findings": _noting(found),
        }


def _noting(found: list[str]) -> SimpleNamespace:
    """The findings, with what the last one returned kept in a list."""

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            returned = function(*args, **kwargs)
            if isinstance(returned, list):
                found[:] = returned
            return returned

        return call

    return SimpleNamespace(**{name: noted(getattr(findings, name)) for name in findings.__all__})


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


def _name(miniature: Miniature) -> str:
    made = miniature.faulty
    return made.__name__ if isinstance(made, type) else type(made()).__name__


@pytest.mark.parametrize("miniature", MINIATURES, ids=_name)
def test_a_fault_is_found_by_its_clause_alone(
    contract: Contract, miniature: Miniature, tmp_path: Path
) -> None:
    subject = Subject("miniature", miniature.faulty, miniature.example)

    found = contract.violations(subject, tmp_path)

    assert list(found) == [miniature.clause]
    assert found[miniature.clause].startswith(miniature.finding)
    assert found[miniature.clause].endswith(miniature.cure)


@pytest.mark.parametrize("miniature", MINIATURES, ids=_name)
def test_its_repaired_twin_keeps_the_contract(
    contract: Contract, miniature: Miniature, tmp_path: Path
) -> None:
    subject = Subject("twin", miniature.repaired, miniature.example)

    assert contract.violations(subject, tmp_path) == {}


def test_every_clause_has_a_miniature_but_one_that_needs_two_devices(contract: Contract) -> None:
    without = sorted(contract.clauses.keys() - {miniature.clause for miniature in MINIATURES})

    assert without == ["moving.every_device"]


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_inputs_and_outputs(contract: Contract, name: str, tmp_path: Path) -> None:
    make, give, reasons = UNUSUAL[name]

    judged = list(contract.judged(Subject(name, make, give), tmp_path))

    assert {outcome for _, outcome, _ in judged} <= {NOT_APPLICABLE}
    assert {reason.split(" at unusual.py")[0] for _, _, reason in judged} == reasons


class Noisy(nn.Linear):
    """A layer whose noise comes from a generator that no seed reaches."""

    generator = torch.Generator().manual_seed(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.rand(3, 4, generator=self.generator, device="cpu")


def test_outputs_that_cannot_be_compared(contract: Contract, tmp_path: Path) -> None:
    judged = list(contract.judged(Subject("noisy", lambda: Noisy(4, 4), rows), tmp_path))

    reason = "two equal calls in eval mode from the same seed differ, so outputs cannot be compared"
    assert [name for name, _, why in judged if why == reason] == [
        "calling.without_gradients",
        "copying.a_deep_copy_computes_the_same",
        "copying.a_deep_copy_is_independent",
        "copying.pickling",
        "loading.the_loaded_build_computes_the_same",
        "replacing.its_own_state",
        "replacing.the_state_of_another",
        "replacing.a_replica",
        "rows.rows_are_independent",
        "rows.another_batch_size",
    ]
    assert "modes.eval_is_deterministic" in [name for name, outcome, _ in judged if outcome == VIOLATED]


class Forces(nn.Module):
    """The forces of an energy: gradients are what it computes with."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Linear(4, 1)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        places = places.detach().requires_grad_()
        energy = self.energy(places).tanh().sum()
        return torch.autograd.grad(energy, places, create_graph=self.training)[0]


def test_a_module_that_needs_gradients_is_told_so_once(contract: Contract, tmp_path: Path) -> None:
    violations = contract.violations(Subject("forces", Forces, rows), tmp_path)

    assert violations == {
        "calling.without_gradients": "RuntimeError: "
        "element 0 of tensors does not require grad and does not have a grad_fn"
    }


class LeavesForTheCPU(nn.Linear):
    """A layer that returns a tensor on the CPU, wherever it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        super().forward(x)
        return torch.zeros(3, 2, device="cpu")


def test_a_module_on_a_device_is_found_to_leave_it() -> None:
    net = LeavesForTheCPU(4, 2)
    assert findings.left_behind(net, "meta")[0].startswith(
        "`weight`, `bias` are on cpu after the move to meta;"
    )

    assert findings.not_computed_there(net.to("meta"), rows, "meta") == [
        "`output` is on cpu though parameters and inputs are on meta; "
        "forward calls torch.zeros with device=cpu: give it device=x.device"
    ]


@pytest.mark.parametrize(
    ("got", "expected", "difference"),
    [
        (torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")]), []),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0000001]), []),
        (
            torch.tensor([1.0, 2.0]),
            torch.tensor([1.0, 2.5]),
            ["`output` differs in 1 of 2 values, by up to 0.5"],
        ),
        (torch.tensor([1]), torch.tensor([2]), ["`output` differs in 1 of 1 values"]),
        (torch.ones(2), torch.ones(3), ["`output` has shape (2,) instead of (3,)"]),
        (torch.ones(2), torch.ones(2).half(), ["`output` has dtype torch.float32 instead of torch.float16"]),
        ((1, [2.0]), (1, [2.0]), []),
        ({"a": 1}, {"a": 2}, ["`output['a']` is 1 instead of 2"]),
        ({"a": 1}, {"b": 1}, ["`output` has the entries 'a' instead of 'b'"]),
        ([1], (1,), ["`output` is a list instead of a tuple"]),
        (
            Scores(torch.ones(1), (None,)),
            Scores(torch.zeros(1), (None,)),
            ["`output.logits` differs in 1 of 1"],
        ),
        (float("nan"), float("nan"), []),
    ],
    ids=str,
)
def test_differences_of_nested_outputs(got: Any, expected: Any, difference: list[str]) -> None:
    found = findings.differences(got, expected)

    assert [one[: len(told)] for one, told in zip(found, difference, strict=True)] == difference


def test_equal_computations_are_compared_in_every_bit() -> None:
    near = torch.tensor([1.0]), torch.tensor([1.0000001])

    assert findings.differences(*near) == []
    assert findings.differences(*near, exact=True) == ["`output` differs in 1 of 1 values, by up to 1.2e-07"]
