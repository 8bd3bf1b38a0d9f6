"""What the pages are made of: the specification, its records, the rules of the contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

from nnspec import contract
from nnspec.clauses import tables
from nnspec.clauses.clause import Clause
from nnspec.clauses.parts import Part, read_parts
from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification, read_specification
from nnspec.documentation.verdicts import FALSE, MISLEADING, TRUE, Tables, read_tables
from nnspec.records import checks, reading
from nnspec.records.outcomes import FAILURES, HOLDS, UNMET, VIOLATED
from nnspec.records.record import Record
from nnspec.strength.reading import Explanation, Reason, read_explanations, read_reasons

#: Shown where no record has the clause.
NOT_RUN = "not run"


@dataclass(frozen=True)
class Book:
    """Everything the site shows.

    Attributes:
        specification: the clauses and the tables beside them.
        records: oldest torch first.
        shown: which clauses stand at which place, from ``docs/site.toml``.
        tour: the stages of the tour, from ``docs/tour.toml``.
        survivors: why a change to torch.nn stays unnoticed, from ``docs/survivors.toml``.
        unfailing: why nothing makes an assertion fail, from ``docs/assertions.toml``.
        documentation: what is true of torch's documentation, from ``docs/documentation``.
        rules: the contract, a part that is no part of the specification.
        repository: the address of the source; empty if it has none.
    """

    specification: Specification
    records: tuple[Record, ...]
    shown: tables.Shown
    tour: tuple[tables.Stage, ...]
    survivors: Mapping[str, Explanation]
    unfailing: Mapping[str, Reason]
    documentation: Tables
    rules: Part
    repository: str

    @cached_property
    def by_release(self) -> Mapping[str, list[Record]]:
        """Each supported release with its records, the one on the CPU first."""
        records = sorted(self.records, key=lambda record: record.device == "cpu")
        return {
            release: [record for record in reversed(records) if record.release == release]
            for release in RELEASES
        }

    def on_cpu(self, release: str) -> Record | None:
        """The record of a release on the CPU, if there is one."""
        return next((record for record in self.by_release[release] if record.device == "cpu"), None)

    def outcome(self, clause: Clause, release: str) -> str:
        """The recorded outcome of a clause on a release; :data:`NOT_RUN` if there is none.

        What the CPU cannot judge, a run on another device may; where a device differs is no release's doing.
        """
        rows = [
            record.rows[clause.id]
            for record in self.by_release[release]
            if clause.id in record.rows
            and (record.device == "cpu" or record.rows[clause.id].outcome not in FAILURES)
        ]
        judged = [row for row in rows if row.outcome != UNMET]
        return next((row.outcome for row in judged or rows), NOT_RUN)

    def strip(self, clause: Clause) -> list[tuple[str, list[str]]]:
        """The outcomes of a clause in the order of releases, each with the neighbours that share it."""
        neighbours = groupby(RELEASES, key=lambda release: self.outcome(clause, release))
        return [(outcome, list(releases)) for outcome, releases in neighbours]

    @cached_property
    def _objects(self) -> Mapping[tuple[str, bool], list[str]]:
        """The objects with sentences of which a clause shows that they are true, or that they are not."""
        objects: dict[tuple[str, bool], dict[str, None]] = defaultdict(dict)
        for name, rows in self.documentation.items():
            for row in rows.values():
                if row.verdict in (TRUE, FALSE, MISLEADING):
                    for clause in row.clauses:
                        objects[clause, row.verdict == TRUE][name] = None
        return {key: list(names) for key, names in objects.items()}

    def promised_by(self, clause: Clause) -> list[str]:
        """The objects whose documentation says what a clause says."""
        return self._objects.get((clause.id, True), [])

    def contradicted_by(self, clause: Clause) -> list[str]:
        """The objects whose documentation says otherwise, or misleads."""
        return self._objects.get((clause.id, False), [])

    @cached_property
    def pending(self) -> Mapping[str, Mapping[str, str]]:
        """The name of each record with its pending rows: id to why the next run has to bring it."""
        clauses = self.specification.clauses
        return {record.name: checks.pending(record, clauses) for record in self.records}

    def stale(self, clause: Clause) -> list[str]:
        """The records that were made before the clause was changed, by name."""
        return [name for name, rows in self.pending.items() if rows.get(clause.id) == checks.CHANGED]

    def devices(self, clause: Clause) -> list[str]:
        """The devices on which a clause was seen to hold."""
        elsewhere = "device" in clause.arguments or any(need == "cuda" for need, _ in clause.needs)
        names = [
            str(name)
            for record in self.records
            if clause.id in record.rows and record.rows[clause.id].outcome == HOLDS
            for name in record.run["devices"]
        ]
        return list(dict.fromkeys(name for name in names if name == "cpu" or elsewhere))

    def elsewhere(self, clause: Clause) -> Mapping[str, str]:
        """The devices on which a clause was seen to be violated, each with why."""
        devices = {
            record.device
            for record in self.records
            if clause.id in record.rows and record.rows[clause.id].outcome == VIOLATED
        }
        known = {device: self.specification.explained(device) for device in sorted(devices)}
        return {device: explained[clause.id] for device, explained in known.items() if clause.id in explained}

    def source_of(self, clause: Clause) -> str:
        """The address of the source of a clause or a rule; empty if the repository has none."""
        root = self.specification.root
        if not clause.path.is_relative_to(root):
            root = Path(__file__).parents[2]
        path = clause.path.relative_to(root).as_posix()
        return f"{self.repository}/blob/main/{path}#L{clause.line}" if self.repository else ""


def read_book(root: Path) -> Book:
    """Read specification, tables and records below the root of a checkout.

    Raises:
        NnspecError: something there cannot be read.
    """
    docs = root / "docs"
    specification = read_specification(root)
    (rules,) = read_parts(Path(contract.__path__[0]))
    return Book(
        specification=specification,
        records=tuple(reading.read_all(specification.records_folder)),
        shown=tables.read_shown(docs / "site.toml"),
        tour=tuple(tables.read_tour(docs / "tour.toml")),
        survivors=read_explanations(docs / "survivors.toml"),
        unfailing=read_reasons(docs / "assertions.toml"),
        documentation=read_tables(docs / "documentation"),
        rules=rules,
        repository=tables.read_addresses(root / "pyproject.toml").source.rstrip("/"),
    )
