"""The rules on tiny modules, each with one fault that its own rule alone finds."""

import pytest
import torch
from judging import failures
from miniatures import Net, every_miniature, rows, sequences
from miniatures.accused import (
    CLEAN,
    BufferOfANestedTensor,
    BufferWithoutMemory,
    CountsPlacesBeforeItAttends,
    masked_by_whole_ones,
)
from miniatures.authoring import (
    LeavesOutWhatComes,
    LeavesOutWhatHasBeen,
    PassesOthersOnPurpose,
    TakesInWhatComes,
    TakesInWhatHasBeen,
)
from miniatures.libraries import (
    NOT_ACCUSED,
    Coarse,
    HalvesSixTimes,
    KeepsItsBuffers,
    KeepsMuchOfACall,
    ScoresAndRounds,
)
from miniatures.reported import (
    AppliesAndReturnsNothing,
    HingeOfDistances,
    MovesAndReturnsNothing,
    QuietTeacherFollowsAlways,
    far_apart,
)
from miniatures.unusual import UNUSUAL, HasATaggedWeight, Scores, Sparse, scripted, traced
from miniatures.values import KnowsItsWhole, LosesMessages, LosesMessagesUnread, edges
from torch import nn

from nnspec.contract import not_applicable
from nnspec.contract.another_process import source_of
from nnspec.contract.findings import (
    building,
    functions,
    masks,
    moving,
    names,
    registration,
    using_inputs,
    values,
)
from nnspec.contract.findings.first_step import first_step
from nnspec.contract.nested import differences
from nnspec.contract.outcomes import ERROR, HOLDS, NOT_APPLICABLE, VIOLATED
from nnspec.contract.rule import NOTES, WARNINGS
from nnspec.contract.target import Target

MINIATURES = every_miniature()


#: Of a module that no other process can import.
UNNAMED = "what makes it cannot be imported by its name, as another process would have to"


#: What needs a process of its own.
IN_ANOTHER_PROCESS = {"names.order_in_another_process", "names.building_leaves_its_defaults"}


def _name(miniature):
    made = miniature.faulty
    return made.__name__ if isinstance(made, type) else type(made()).__name__


def _target(miniature, make):
    """A process of its own takes its time: it is started for those that are judged by it only."""
    source = source_of(make) if miniature.rule in IN_ANOTHER_PROCESS else ""
    return Target("miniature", make, miniature.example, source=source)


@pytest.mark.parametrize("miniature", MINIATURES, ids=_name)
def test_a_fault_is_found_by_its_rule_alone(judge, miniature):
    violated = failures(judge(_target(miniature, miniature.faulty)))

    assert list(violated) == [miniature.rule]
    assert violated[miniature.rule].startswith(miniature.finding)
    assert violated[miniature.rule].endswith(miniature.cure)


@pytest.mark.parametrize("miniature", MINIATURES, ids=_name)
def test_its_repaired_twin_keeps_the_contract(judge, miniature):
    assert failures(judge(_target(miniature, miniature.repaired))) == {}


@pytest.mark.parametrize("make", [BufferOfANestedTensor, BufferWithoutMemory])
def test_an_odd_tensor_is_no_fault_of_the_tool(judge, make):
    verdicts = judge(Target("odd", make, rows))

    assert [verdict.reason for verdict in verdicts if verdict.outcome == ERROR] == []
    assert not {"state.values_are_references", "names.builds_share_nothing"} & failures(verdicts).keys()


def test_a_warning_in_a_layer_of_torch_has_no_place(judge):
    told = failures(judge(Target("loss", nn.KLDivLoss, lambda: ((torch.rand(3, 4), torch.rand(3, 4)), {}))))

    assert told["calling.torch_has_no_warning"].startswith("torch warns in a call: reduction: 'mean' divides")


@pytest.mark.parametrize("make", [AppliesAndReturnsNothing, MovesAndReturnsNothing])
def test_what_moves_and_returns_nothing_is_no_fault_of_the_tool(judge, make):
    verdicts = judge(Target("moving", make, rows))

    assert [verdict.reason for verdict in verdicts if verdict.outcome == ERROR] == []
    assert failures(verdicts)["modes.methods_return_it"].startswith("to() returns None instead of the module")


def test_a_teacher_that_follows_in_eval_mode_is_told_when(judge):
    told = failures(judge(Target("teacher", QuietTeacherFollowsAlways, rows)))

    assert told["calling.parameters_stay"].startswith("`teacher.weight` differs in 8 of 8 values")
    assert told["calling.parameters_stay"].endswith(
        "after a call in eval mode; change it only if self.training"
    )


def test_a_hinge_that_one_pair_passes_counts_the_others(judge):
    assert failures(judge(Target("hinge", HingeOfDistances, far_apart))) == {}


@pytest.mark.parametrize("make", [Sparse, HasATaggedWeight])
def test_a_tensor_that_cannot_be_copied_is_accused_of_that_alone(judge, make):
    told = failures(judge(Target("odd", make, rows)))

    assert told.keys() <= {"copying.a_deep_copy", "building.building_on_meta", "state.through_a_file"}


def test_what_a_scripted_module_refuses_is_no_fault_of_the_tool(judge):
    verdicts = judge(Target("scripted", scripted, rows))

    assert [verdict.reason for verdict in verdicts if verdict.outcome == ERROR] == []
    assert "is not supported on ScriptModules" in failures(verdicts)["gradients.freezing"]


def test_what_torch_traces_is_registered_and_copied_as_what_it_scripts(judge):
    assert failures(judge(Target("traced", traced, rows))).keys() <= {
        *failures(judge(Target("scripted", scripted, rows)))
    }


class MovesItsTable(Net):
    """Its to() moves a table that is registered nowhere, and returns nothing."""

    def __init__(self):
        super().__init__()
        self.table = torch.arange(4.0)

    def to(self, *args, **kwargs):
        super().to(*args, **kwargs)
        self.table = self.table.to(*args, **kwargs)

    def forward(self, x):
        return super().forward(x + self.table)


def test_a_to_that_returns_nothing_is_no_fault_of_the_tool(judge):
    verdicts = judge(Target("moves", MovesItsTable, rows))

    assert [verdict.reason for verdict in verdicts if verdict.outcome == ERROR] == []
    assert failures(verdicts).keys() == {"modes.methods_return_it", "moving.as_a_part"}


class SavesWhatItTrains(nn.Linear):
    """A state_dict of its own, which takes no arguments."""

    def state_dict(self):
        return {"weight": self.weight}


def test_what_a_narrow_override_raises_has_the_cure_of_its_rule(judge):
    told = failures(judge(Target("saves", lambda: nn.Sequential(SavesWhatItTrains(4, 4)), rows)))

    assert told["building.overrides_take_the_same"].startswith("`0.state_dict` is overridden")
    assert told["loading.a_fresh_build_takes_the_state"].endswith("and pass them on, or another name")


class Counts(nn.Module):
    def forward(self, x):
        return len(x)


def test_an_output_without_tensors_is_called_by_its_kind():
    told = ["its output, an int, has no tensors to compare"]
    assert not_applicable.unrepeatable(Counts, rows) == told


class HidesMethods(nn.Module):
    """An attribute each in the place of a method."""

    def __init__(self):
        super().__init__()
        self.eval, self.state_dict = 3, {}

    def forward(self, x):
        return x


def test_an_attribute_in_the_place_of_a_method_is_no_fault_of_the_tool(judge):
    verdicts = judge(Target("odd", HidesMethods, rows))

    assert [verdict.reason for verdict in verdicts if verdict.outcome == ERROR] == []
    assert any("'int' object is not callable" in told for told in failures(verdicts).values())


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_module_is_not_accused(judge, name):
    assert failures(judge(Target(name, *CLEAN[name]))) == {}


@pytest.mark.parametrize(("rule", "make"), NOT_ACCUSED)
def test_a_rule_that_was_wrong_says_nothing(judge, rule, make):
    verdicts = {verdict.rule.id: verdict for verdict in judge(Target(rule, make, rows))}

    assert verdicts[rule].outcome in (HOLDS, NOT_APPLICABLE)


def test_tensors_that_tell_their_values_by_dequantize_only():
    coarse, other = (torch.tensor([1.0, value]).as_subclass(Coarse) for value in (2.0, 3.0))

    assert differences(coarse, coarse.clone(), "weight") == []
    assert differences(coarse, other, "weight") == ["`weight` differs in 1 of 2 values, by up to 1"]


def test_buffers_that_a_move_leaves_behind(judge):
    violated = failures(judge(Target("buffers", KeepsItsBuffers, rows)))

    assert violated["moving.computing_on_meta"].startswith("on another device forward calls mul")


def test_what_one_attribute_keeps_is_one_finding(judge):
    (violated,) = (
        verdict for verdict in judge(Target("much", KeepsMuchOfACall, rows)) if verdict.outcome == VIOLATED
    )

    assert [finding.attribute for finding in violated.findings] == ["memo"]


def test_every_rule_has_a_miniature_but_one_that_needs_two_devices(rules):
    assert rules.keys() - {miniature.rule for miniature in MINIATURES} == {"moving.every_device"}


def test_every_severity_is_that_of_a_rule(rules):
    assert (WARNINGS | NOTES) - rules.keys() == set()
    assert not WARNINGS & NOTES


def test_what_is_written_twice_and_not_read_is_not_told():
    assert values.written_twice(LosesMessages(), edges) != []
    assert values.written_twice(LosesMessagesUnread(), edges) == []


def test_a_weak_reference_is_named_where_a_copy_follows_it(judge):
    told = failures(judge(Target("weak", KnowsItsWhole, rows)))

    assert told["copying.a_deep_copy_is_independent"].endswith(
        "`part.whole` is a weak reference, and in a copy still to the original: give forward what it needs, "
        "or keep the part that owns it"
    )
    assert "loading.the_loaded_build_computes_the_same" not in told


def test_a_softmax_that_leaves_out_is_not_named(judge):
    told = failures(judge(Target("conv", CountsPlacesBeforeItAttends, masked_by_whole_ones)))

    assert "how far a batch is filled up counts" in told["calling.more_padding_does_not_count"]


def test_rounding_that_passes_the_gradient_is_not_named(judge):
    told = failures(judge(Target("rounds", ScoresAndRounds, rows)))

    assert "round" not in told["gradients.gradients_are_not_zero"]
    assert "`down`, `up` is zero" in told["gradients.gradients_are_not_zero"]


def test_a_norm_behind_many_strides_is_not_told(judge):
    told = failures(judge(Target("strides", HalvesSixTimes, lambda: ((torch.rand(3, 2, 32, 32),), {}))))

    assert "modes.norms_have_places" not in told


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_inputs_and_outputs(judge, name):
    make, make_inputs, reasons = UNUSUAL[name]

    others = [verdict for verdict in judge(Target(name, make, make_inputs)) if verdict.outcome != HOLDS]

    assert {verdict.outcome for verdict in others} <= {NOT_APPLICABLE}
    assert {verdict.reason.split(" at unusual.py")[0] for verdict in others} == reasons | {UNNAMED}


def test_what_torch_compile_makes_is_not_accused():
    net = nn.Sequential(nn.Linear(4, 4), torch.compile(nn.Linear(4, 2), backend="eager"))
    net[0].compile(backend="eager")

    assert registration.closures(net) == []
    assert building.uninitialised(net) == []
    assert names.wrapped(net)[0].startswith("`1` is wrapped, an OptimizedModule, and all names in it go")


class KeepsInSlots(Net):
    __slots__ = ("blocks", "empty", "shift")

    def __init__(self):
        super().__init__()
        self.blocks, self.shift = [nn.Linear(2, 2)], torch.ones(2)

    def forward(self, x):
        return self.blocks[0](super().forward(x)) + self.shift


def test_what_is_kept_in_slots_is_found_as_in_any_attribute():
    (listed,) = registration.modules_in_containers(KeepsInSlots())
    (plain,) = registration.plain_attributes(KeepsInSlots(), rows)

    assert listed.startswith("`blocks` is a plain list with 1 module in it: ")
    assert plain.startswith("`shift` is a plain tensor that forward uses: ")


class InitialisedByItsInputs(Net):
    """Its first call in train mode sets a shift by what it is given, and notes that in a buffer."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(4))
        self.register_buffer("is_set", torch.tensor(False))

    def forward(self, x):
        if self.training and not x.is_meta and not self.is_set:
            with torch.no_grad():
                self.shift.copy_(-x.mean(0))
                self.is_set.fill_(True)
        return super().forward(x + self.shift)


class ForcesWithoutGradients(nn.Module):
    """The forces of an energy, which are computed under no_grad() too, and not in inference mode."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 1, bias=False)

    def forward(self, places):
        with torch.enable_grad():
            places = places.detach().requires_grad_()
            energy = self.head(self.body(places).tanh()).sum()
            return torch.autograd.grad(energy, places, create_graph=self.training)[0]


@pytest.mark.parametrize("make", [InitialisedByItsInputs, ForcesWithoutGradients])
def test_what_looks_like_a_fault_and_is_none(judge, make):
    assert failures(judge(Target("clean", make, rows))) == {}


def test_words_that_a_bag_does_not_tell_apart_count_all_the_same():
    words = torch.tensor([[1, 2], [3, 0]])

    assert using_inputs.uncounted(nn.EmbeddingBag(5, 4), lambda: ((words,), {})) == []


class TwoFaults(nn.Module):
    """A table is a plain tensor, and forward makes another on the CPU."""

    def __init__(self):
        super().__init__()
        self.inner, self.table = nn.Linear(4, 4), torch.arange(4.0)

    def forward(self, x):
        return self.inner(x) + self.table + torch.arange(4, device="cpu")


def test_one_fault_hides_no_other(judge):
    violated = failures(judge(Target("two faults", TwoFaults, rows)))

    assert list(violated) == ["moving.computing_on_meta", "registration.plain_attributes"]


class Noisy(nn.Linear):
    """A layer whose noise comes from a generator that no seed reaches."""

    generator = torch.Generator().manual_seed(0)

    def forward(self, x):
        return super().forward(x) + torch.rand(3, 4, generator=self.generator, device="cpu")


def test_outputs_that_cannot_be_compared(judge):
    verdicts = judge(Target("noisy", lambda: Noisy(4, 4), rows))

    reason = "two equal calls in eval mode from the same seed differ, so outputs cannot be compared"
    assert [verdict.rule.id for verdict in verdicts if verdict.reason == reason] == [
        "calling.every_input_counts",
        "calling.what_is_masked_does_not_count",
        "calling.more_padding_does_not_count",
        "calling.inputs_of_another_length",
        "calling.in_another_layout",
        "calling.without_gradients",
        "calling.no_place_is_written_twice",
        "calling.inputs_of_one_place",
        "calling.nearly_equal_numbers",
        "calling.a_call_computes_anew",
        "calling.lengths_in_between",
        "copying.a_deep_copy_computes_the_same",
        "copying.a_deep_copy_is_independent",
        "copying.pickling",
        "gradients.each_call_has_its_own",
        "gradients.every_step_gets_a_gradient",
        "loading.the_loaded_build_computes_the_same",
        "loading.what_training_changed_is_saved",
        "loading.a_load_after_a_call",
        "modes.training_goes_on_after_eval",
        "modes.one_row_spoils_nothing",
        "moving.float16_keeps_numbers",
        "replacing.its_own_state",
        "replacing.the_state_of_another",
        "replacing.a_replica",
        "rows.rows_are_independent",
        "rows.every_row_counts",
        "rows.a_row_stays_whole",
        "rows.another_batch_size",
        "rows.a_batch_of_one",
        "rows.an_empty_batch",
    ]
    (of_eval,) = (verdict for verdict in verdicts if verdict.rule.id == "modes.eval_is_deterministic")
    assert of_eval.outcome == VIOLATED


def drawing():
    torch.rand(7)
    return rows()


class Sampling(nn.Linear):
    """A layer that adds noise in eval mode too."""

    def forward(self, x):
        return super().forward(x) + torch.rand_like(x)


def test_every_call_starts_from_the_same_seed_whatever_the_inputs_draw(judge):
    violated = failures(judge(Target("sampling", lambda: Sampling(4, 4), drawing)))

    assert list(violated) == ["modes.eval_is_deterministic"]


class Forces(nn.Module):
    """The forces of an energy: gradients are what it computes with."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Linear(4, 1)

    def forward(self, places):
        places = places.detach().requires_grad_()
        energy = self.energy(places).tanh().sum()
        return torch.autograd.grad(energy, places, create_graph=self.training)[0]


def test_a_module_that_needs_gradients_is_told_so_once(judge):
    violated = failures(judge(Target("forces", Forces, rows)))

    assert list(violated) == ["calling.without_gradients"]
    assert violated["calling.without_gradients"].startswith(
        "under no_grad() it raises RuntimeError: element 0 of tensors does not require grad"
    )


class LeavesForTheCPU(nn.Linear):
    """A layer that returns a tensor on the CPU, wherever it is."""

    def forward(self, x):
        super().forward(x)
        return torch.zeros(3, 2, device="cpu")


def test_a_module_on_a_device_is_found_to_leave_it():
    net = LeavesForTheCPU(4, 2)
    assert building.left_behind(net, "meta")[0].startswith(
        "`weight`, `bias` are on cpu after the move to meta;"
    )

    assert moving.not_computed_there(net.to("meta"), rows, "meta") == [
        "`output` is on cpu though parameters and inputs are on meta; "
        "forward calls torch.zeros with device=cpu: give it device=x.device"
    ]


@pytest.mark.parametrize(
    ("got", "expected", "beginnings"),
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
def test_differences_of_nested_outputs(got, expected, beginnings):
    sentences = differences(got, expected)

    assert [
        sentence[: len(beginning)] for sentence, beginning in zip(sentences, beginnings, strict=True)
    ] == beginnings


def test_equal_computations_are_compared_in_every_bit():
    near = torch.tensor([1.0]), torch.tensor([1.0000001])

    assert differences(*near) == []
    assert differences(*near, exact=True) == ["`output` differs in 1 of 1 values, by up to 1.2e-07"]


@pytest.mark.parametrize("make", [LeavesOutWhatHasBeen, TakesInWhatComes])
def test_a_mask_of_the_other_attention_is_told_as_its_inverse(make):
    (told,) = masks.misplaced(make(), sequences)

    assert "shows each place only what comes after it, and the last none" in told
    assert "give it the inverse, ~mask" in told


@pytest.mark.parametrize("make", [LeavesOutWhatComes, TakesInWhatHasBeen])
def test_a_mask_of_what_comes_is_not_accused(make):
    assert masks.misplaced(make(), sequences) == []


def test_a_mask_of_the_other_attention_is_told_once(judge):
    assert list(failures(judge(Target("inverse", LeavesOutWhatHasBeen, sequences)))) == [
        "calling.masks_hide_what_comes"
    ]


def test_a_backward_that_is_another_on_purpose_is_not_accused():
    own = first_step(PassesOthersOnPurpose, rows).functions

    assert {function.__name__ for function in own} == {"_Reverse", "_Round", "_Clamp", "_Sign"}
    assert functions.wrong_backward(PassesOthersOnPurpose(), rows, own) == []
