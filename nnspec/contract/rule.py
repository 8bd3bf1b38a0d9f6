"""A rule: its id, its statement, how bad it is to violate it, and the function that judges."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nnspec.clauses.chapter import read_chapter
from nnspec.contract.finding import Severity

RULES = Path(__file__).with_name("rules")

#: Rules whose violation surprises sooner or later; one of any other that is no note goes wrong.
WARNINGS = frozenset(
    {
        "building.reset_keeps_the_parameters",
        "building.torch_has_no_warning",
        "calling.losses_are_given_their_kind",
        "calling.formulas_hold_everywhere",
        "calling.a_call_computes_anew",
        "calling.buffers_do_not_grow",
        "calling.lengths_in_between",
        "calling.masks_hide_what_comes",
        "gradients.units_start_apart",
        "gradients.every_step_gets_a_gradient",
        "building.building_leaves_the_process",
        "building.building_on_meta",
        "building.no_method_is_shadowed",
        "building.overrides_take_the_same",
        "building.what_is_filled_counts",
        "building.a_missing_attribute",
        "calling.attributes_stay",
        "calling.both_directions_see_all",
        "calling.chance_is_of_torch",
        "calling.inputs_of_one_place",
        "calling.no_place_is_written_twice",
        "calling.nearly_equal_numbers",
        "calling.no_tensor_is_kept_elsewhere",
        "calling.every_input_counts",
        "calling.hooks_do_not_pile_up",
        "calling.hooks_of_submodules_run",
        "calling.in_another_layout",
        "calling.inputs_of_another_length",
        "calling.inputs_stay",
        "calling.its_hooks_run",
        "calling.more_padding_does_not_count",
        "calling.no_float64_comes_out",
        "calling.no_tensor_is_left_on_it",
        "calling.no_view_mixes_dimensions",
        "calling.nothing_keeps_it",
        "calling.outputs_are_numbers",
        "calling.parameters_stay",
        "calling.under_autocast",
        "calling.what_is_masked_does_not_count",
        "calling.the_process_stays",
        "calling.torch_has_no_warning",
        "calling.without_gradients",
        "copying.a_deep_copy",
        "copying.pickling",
        "gradients.a_row_of_zeros",
        "gradients.backward_after_two_calls",
        "gradients.backward_changes_no_buffer",
        "gradients.gradients_are_not_zero",
        "gradients.after_inference_mode",
        "gradients.backward_gives_the_gradient",
        "gradients.forward_uses_every_parameter",
        "loading.a_missing_key_is_refused",
        "loading.a_part_is_taken",
        "loading.assigning_onto_meta",
        "loading.built_on_meta",
        "loading.the_state_dict_stays",
        "modes.a_call_keeps_eval_mode",
        "modes.buffers_stay_in_eval",
        "modes.methods_return_it",
        "modes.modes_change_nothing_else",
        "modes.norms_have_places",
        "modes.frozen_norms_stay",
        "modes.what_is_built_in_eval_mode_stays",
        "modes.statistics_are_of_many_batches",
        "moving.a_cast_after_a_call",
        "moving.angles_are_not_coarse",
        "moving.complex_numbers_stay",
        "moving.float16_keeps_numbers",
        "moving.computing_in_bfloat16",
        "moving.computing_in_float16",
        "moving.a_cast_reaches_all",
        "moving.computing_in_float64",
        "moving.to_meta_and_back",
        "names.no_part_is_wrapped",
        "replacing.a_parametrized_tensor",
        "replacing.a_replica",
        "replacing.another_part",
        "replacing.its_own_state",
        "replacing.the_state_of_another",
        "rows.a_batch_of_one",
        "rows.a_row_stays_whole",
        "rows.another_batch_size",
        "rows.every_row_counts",
        "rows.rows_are_independent",
        "state.memory_is_no_more_than_values",
        "state.memory_is_shared_by_ties_only",
        "state.through_a_file",
        "state.values_are_references",
    }
)

#: Rules whose violation is worth knowing, and often meant.
NOTES = frozenset(
    {
        "building.padding_is_zero",
        "building.printing",
        "building.weights_start_apart",
        "calling.no_number_is_read",
        "modes.statistics_are_of_one_place",
        "modes.train_reaches_every_submodule",
        "names.a_container_holds_each_part_once",
        "rows.an_empty_batch",
    }
)


class Rule(NamedTuple):
    """One rule.

    Attributes:
        id: ``chapter.rule``, such as ``calling.its_hooks_run``.
        statement: the first sentence of its docstring, as a terminal shows it.
        severity: of what it finds.
        judge: yields lists of sentences; the first that is not empty is what the module does wrong.
    """

    id: str
    statement: str
    severity: Severity
    judge: Callable[..., Iterable[list[str]]]


def severity_of(rule: str) -> Severity:
    """How bad it is to violate a rule, by its id."""
    return "note" if rule in NOTES else "warning" if rule in WARNINGS else "error"


@functools.cache
def load_rules() -> dict[str, Rule]:
    """The rules by id, in the order of chapters and lines."""
    rules: dict[str, Rule] = {}
    for path in sorted(RULES.glob("test_*.py")):
        functions: dict[str, Any] = vars(importlib.import_module(f"nnspec.contract.rules.{path.stem}"))
        chapter = path.stem.removeprefix("test_")
        for clause in read_chapter(path).clauses:
            id_ = f"{chapter}.{clause.name}"
            rules[id_] = Rule(id_, clause.plain, severity_of(id_), functions[f"test_{clause.name}"])
    return rules
