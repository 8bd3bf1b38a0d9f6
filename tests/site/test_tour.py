"""The tour is about an hour long."""

from pathlib import Path

from nnspec.clauses.tables import read_tour

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_tour_has_about_sixty_clauses_each_once():
    tour = [name for stage in read_tour(DOCS / "tour.toml") for name in stage.clauses]

    assert 55 <= len(tour) == len(set(tour)) <= 70
