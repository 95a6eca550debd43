import math

import pytest
from stand_ins.training import HQ_STAGE, SAM_STAGE

from persam_hq.training.config.sam import TrainingStage
from persam_hq.training.sam.schedule import Schedule


def schedule(*stages, has_hq=False):
    return Schedule([TrainingStage.model_validate(stage) for stage in stages], epoch_steps=10, has_hq=has_hq)


def test_stages_follow_each_other():
    epochs = {k: v for k, v in HQ_STAGE.items() if k != "steps"} | {"epochs": 3}
    made = schedule(SAM_STAGE | {"steps": 5}, epochs)
    assert made.steps == 35
    assert made.parts == {"prompt_encoder", "mask_decoder", "hq"}
    assert [made.at(step).stage.name for step in (0, 4, 5, 34, 99)] == ["sam", "sam", "hq", "hq", "hq"]
    assert [(placed.begin, placed.end) for placed in made.stages] == [(0, 5), (5, 35)]


@pytest.mark.parametrize(
    ("stages", "has_hq", "attached"),
    [
        ((SAM_STAGE, HQ_STAGE), False, [False, True]),
        ((HQ_STAGE, SAM_STAGE), False, [True, True]),
        ((SAM_STAGE, HQ_STAGE), True, [True, True]),
        ((SAM_STAGE,), False, [False]),
    ],
)
def test_the_hq_parts_are_attached_from_their_stage_on(stages, has_hq, attached):
    made = schedule(*stages, has_hq=has_hq)
    assert [placed.hq_attached for placed in made.stages] == attached
    assert made.wants_hq == attached[-1]


def test_what_a_stage_teaches():
    joint = HQ_STAGE | {"train": ["mask_decoder", "hq"]}
    made = schedule(SAM_STAGE, HQ_STAGE, joint)
    assert [placed.teaches_sam for placed in made.stages] == [True, False, True]
    assert [placed.trains("hq") for placed in made.stages] == [False, True, True]


@pytest.mark.parametrize(
    ("step", "share"),
    [
        pytest.param(7, 0.1, id="first step of the warm-up"),
        pytest.param(57, 0.51, id="half way"),
        pytest.param(106, 0.02 + 0.98 * 0.5 * (1 + math.cos(0.99 * math.pi)), id="last step"),
    ],
)
def test_the_learning_rate_warms_up_and_falls_within_a_stage(step, share):
    made = schedule(SAM_STAGE | {"steps": 7}, HQ_STAGE | {"steps": 100, "warmup_steps": 10})
    assert made.at(step).rate(step) == pytest.approx(1e-3 * share, rel=1e-6)
