"""What never leaves a box: pictures of the cameras that its operator named. They stand beside `deciding`."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "stays-whatever-was-decided",
        "A camera that stays is not sent up, whatever was decided.",
        "agent/pipeline/run.py",
        "            if not self.settings.may_go_up(frame.tap.camera):",
        "            if False:",
        ("tests/unit/pipeline/test_board.py::test_a_camera_that_stays_is_never_sent_up_whatever_was_decided",),
    ),
    Mutant(
        "all-stay-and-those-that-leave",
        "Where all cameras stay, so does one that has just left the deployment.",
        "agent/desired.py",
        "offload=spec.offload.enabled and not spec.terms.all_stay,",
        "offload=spec.offload.enabled,",
        ("tests/unit/node/test_desired.py::test_where_all_stay_nothing_is_sent_up_of_a_camera_that_is_leaving_either",),
    ),
    Mutant(
        "stays-before-there-were-terms",
        "An agent that knows no terms is told to send up nothing where a camera stays.",
        "controlplane/fleet/desired.py",
        "    kept = spec.terms.all_stay or (old and spec.terms.keep(cameras))\n",
        "    kept = spec.terms.all_stay\n",
        ("tests/unit/fleet/test_desired.py::test_a_box_that_knows_no_terms_is_not_asked_to_offload_what_stays",),
    ),
)
