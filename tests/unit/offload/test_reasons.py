"""Why a frame went where it went, in words."""

from __future__ import annotations

import pytest

from agent.offload import reasons
from agent.offload.decisions import Decision
from agent.offload.explain import Draw, Score
from agent.offload.policy import Route
from protos.outcomes import Outcome
from tests.sim.decisions import CLOUD, LOCAL, NOTHING, decided, lived

BARRED = Score(0.0, 0.0, 0.0, 0.0, "the breaker is open")
LATE_HERE = Score(0.06, 0.1, 0.0, 0.06)
TOO_LATE = Score(0.01, 0.02, 0.05, -0.04, "not in time")


def scored(local: Score, cloud: Score) -> dict[str, Score]:
    return {"local": local, "cloud": cloud, "shed": NOTHING}


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            decided(),
            "It was sent to the cloud: worth 0.730, 97% likely in time, less 0.210 for what it takes of the budgets; "
            "the box: worth 0.040 less; as two ways were nearly as good, by chance: 62% of such frames go this way.",
        ),
        (
            decided(chosen="local", draws=[], scores=scored(LOCAL, BARRED)),
            "It was run on the box: worth 0.480, 80% likely in time; the cloud: the breaker is open.",
        ),
        (
            decided(chosen="local", draws=[], scores=scored(LOCAL, Score(0.7, 0.9, 0.21, 0.49))),
            "It was run on the box: worth 0.480, 80% likely in time; the cloud: not better by 0.020, which going up "
            "must be.",
        ),
        (
            decided(chosen="shed", draws=[], scores=scored(LATE_HERE, BARRED)),
            "It was given up: the box: 10% likely in time; the cloud: the breaker is open.",
        ),
        (
            decided(chosen="cloud", draws=[], scores=scored(Score(0.6, 0.99, 0.0, 0.6), CLOUD)),
            "It was sent to the cloud: worth 0.730, 97% likely in time, less 0.210 for what it takes of the budgets; "
            "the box: it would have been late, or made another so.",
        ),
        (
            decided(
                chosen="cascade",
                draws=[Draw(again=True, ahead=0.3, price=0.1, likely=1.0, went=True)],
                features={"confidence": 0.41},
                scores={**scored(LOCAL, Score(0.5, 0.7, 0.21, 0.29)), "cascade": Score(0.4, 0.9, 0.08, 0.3)},
            ),
            "It was run on the box, and sent to the cloud for a second answer: its answer was thought right in 41% of "
            "such cases; worth 0.400, 90% likely in time, less 0.080 for what it takes of the budgets; the cloud: "
            "worth 0.190 less.",
        ),
        (
            decided(chosen="hedge", probe=True, draws=[], scores=scored(LOCAL, Score(0.44, 0.9, 0.0, 0.44))),
            "It was run on the box, and sent to the cloud to see how the link is: worth 0.480, 80% likely in time; the "
            "cloud: worth 0.040 less.",
        ),
        (
            decided(chosen="cloud", probe=True, draws=[], scores={"cloud": TOO_LATE, "shed": NOTHING}),
            "It was sent to the cloud to see how the link is: worth 0.010, 2% likely in time, less 0.050 for what it "
            "takes of the budgets.",
        ),
    ],
)
def test_a_frame_has_one_sentence(made: Decision, sentence: str) -> None:
    assert reasons.sentence(made) == sentence


def test_what_a_probe_was_sent_instead_of_was_left_for_the_sake_of_looking() -> None:
    made = decided(chosen="cloud", probe=True, draws=[], scores={"cloud": TOO_LATE, "shed": NOTHING})
    assert {action: reasons.why_not(made, action) for action in made.scores} == {
        "cloud": "",
        "shed": "it went up to see how the link is",
    }


def test_a_frame_of_which_nothing_was_decided_says_so() -> None:
    made = decided(chosen="", outcome=Outcome.SHED, draws=[], scores={})
    assert reasons.sentence(made) == "It was given up before anything was decided."


def test_every_way_that_a_frame_can_go_has_its_words() -> None:
    assert set(reasons.DONE) == set(Route)


def test_every_frame_of_a_busy_box_has_its_reasons() -> None:
    made = list(lived(30.0))
    assert len(made) > 500
    for each in made:
        words = reasons.sentence(each)
        assert words.startswith("It was ")
        assert words.count(".") >= 1
        told = {action: reasons.why_not(each, action) for action in each.scores}
        silent = [action for action, why in told.items() if not why]
        assert reasons.action(each) in silent
        assert len(silent) <= 1 + (each.chosen == Route.CASCADE), each
    assert {each.chosen for each in made} >= {"local", "cloud", "cascade"}
