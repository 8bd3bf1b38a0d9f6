"""The suites of pytest-torch for each defect and its twin: ``test_suite`` classes that pytest collects."""

import torch
from compare import RATE, loss
from defects import DEFECTS
from pytest_torch import (
    ModelSuite,
    TensorSpec,
    assert_gradcheck,
    assert_mask_invariant,
    assert_padding_invariant,
)


def _suite(number, which):
    defect = DEFECTS[number]
    low, high = defect.told.get("range", (None, None))

    class Suite(ModelSuite):
        checks = ("contract", "compile", "export", "checkpoint", "layouts", "training")
        dynamic_batch = True
        check_options = {  # noqa: RUF012
            "inference_contract": {"dtypes": (torch.bfloat16,)},
            "loss_decreases": {"lr": RATE},
            "overfits_one_batch": {"lr": RATE},
        }

        def make_model(self):
            return getattr(defect, which)()

        def make_inputs(self, make_tensor):
            return defect.inputs()

        def loss(self, output, inputs):
            return loss(output)

    class Told(Suite):
        checks = (
            *Suite.checks,
            *(["frozen"] if "frozen" in defect.told else []),
            *(["output_spec"] if "range" in defect.told else []),
        )
        frozen = (f"{defect.told.get('frozen')}.*",)
        output_spec = TensorSpec(("B", 2), min=low, max=high)

        if isinstance(defect.inputs(), dict):

            def test_padding_invariance(self, torch_seed):
                assert_padding_invariant(self.make_model().eval(), defect.inputs())

            def test_mask_invariance(self, torch_seed):
                assert_mask_invariant(self.make_model().eval(), defect.inputs(), vocab_size=20)

        if "derivative" in defect.told:

            def test_gradcheck(self, torch_seed):
                assert_gradcheck(self.make_model(), defect.inputs())

    Told.__name__ = Told.__qualname__ = f"Test{number}{which}"
    return Told


for _number in range(len(DEFECTS)):
    for _which in ("faulty", "repaired"):
        globals()[f"Test{_number}{_which}"] = _suite(_number, _which)
