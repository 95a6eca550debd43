from stand_ins.frame import FRAME, peaks, registered, view

from persamhq_plugins.prompt_selectors.dense_prior import DensePrior, persamhq_register_prompt_selectors


def test_the_dense_prior_needs_no_prompt():
    prompts = DensePrior()(peaks((0.9, (5, 7))), view(0, 0, 9, 9), FRAME)
    assert prompts.points.shape == (0, 2)
    assert (prompts.box, prompts.mask_input) == (None, None)


def test_it_is_offered_by_name_and_asks_for_a_dense_prior():
    (entry,) = registered(persamhq_register_prompt_selectors).values()
    made = entry.make({})
    assert (entry.name, made.needs_history, made.needs_dense_prior) == ("dense_prior", False, True)
    assert entry.summary
