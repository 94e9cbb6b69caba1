"""Why a frame went where it went: what is told of it, and a log that stands for all. agent/offload, agent/pipeline."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_OFF, _LOG = "tests/unit/offload/test_off_policy.py::", "tests/unit/node/test_decision_log.py::"
_FILE, _SERVICER = "agent/adapters/decision_log.py", "controlplane/fleet/servicer.py"

MUTANTS = (
    Mutant(
        "weighed-by-propensity",
        "A step of the log weighs by how likely it was.",
        "agent/offload/off_policy.py",
        "each.get(step.chosen, 0.0) / step.odds[step.chosen] for",
        "each.get(step.chosen, 0.0) for",
        (f"{_OFF}test_both_forms_find_what_always_going_up_is_worth_where_the_mean_of_those_that_went_does_not",),
    ),
    Mutant(
        "untold-is-left-out",
        "Of what was never tried, nothing is told.",
        "agent/offload/off_policy.py",
        ") >= RARE for",
        ") >= 0.0 for",
        (f"{_OFF}test_of_what_was_never_tried_nothing_is_told_and_that_is_counted",),
    ),
    Mutant(
        "interval-holds",
        "An interval of 95 % holds the truth in 95 of 100 logs.",
        "agent/offload/off_policy.py",
        "half = NORMAL_95 * math.sqrt(spread / count)",
        "half = math.sqrt(spread / count)",
        (f"{_OFF}test_95_of_100_intervals_hold_the_truth",),
    ),
    Mutant(
        "draws-are-kept",
        "What was left to chance is in the account, with its odds.",
        "agent/pipeline/jobs.py",
        "Draw(again is not None, ahead, price, likely, taken)",
        "Draw(again is not None, ahead, price, float(taken), taken)",
        ("tests/unit/offload/test_replay.py::test_what_a_lane_left_to_chance_has_its_odds_and_came_out_by_them",),
    ),
    Mutant(
        "box-and-cloud-have-one-measure",
        "What an answer of the box is worth in the log is the share that was evaluated, as of the cloud's.",
        "agent/pipeline/accounts.py",
        "return lane.profile.metric(account.size) if",
        'return account.features.get("confidence", 0.0) if',
        (
            "tests/unit/offload/test_replay.py::"
            "test_with_the_same_release_on_box_and_cloud_no_way_is_worth_more_than_the_other",
        ),
    ),
    Mutant(
        "log-tells-what-can-be",
        "A line of the log that tells what had no chance is passed over.",
        "agent/offload/decisions.py",
        " and _could_be(made):",
        ":",
        (
            "tests/unit/offload/test_decisions.py::"
            "test_a_line_of_the_right_types_that_tells_what_cannot_be_is_passed_over_too",
        ),
    ),
    Mutant(
        "log-is-bounded",
        "The decision log takes no more than its bytes.",
        _FILE,
        " and size + len(content) + len(lines[count]) <= self._half:",
        ":",
        (f"{_LOG}test_it_takes_no_more_than_its_bytes_and_the_oldest_go",),
    ),
    Mutant(
        "log-loses-lines-only",
        "A full disk costs lines of the log, and nothing else.",
        _FILE,
        "        except OSError as error:\n            self._lose(lines, error)\n",
        "        except ZeroDivisionError as error:\n            self._lose(lines, OSError(str(error)))\n",
        (
            f"{_LOG}test_a_full_disk_costs_lines_that_are_counted_and_said_once_and_nothing_else",
            f"{_LOG}test_a_place_that_is_no_folder_costs_lines_only",
        ),
    ),
    Mutant(
        "log-takes-half-lines-back",
        "A line that a full disk cut is taken back.",
        _FILE,
        "                os.ftruncate(descriptor, size)\n",
        "                pass\n",
        (f"{_LOG}test_a_full_disk_costs_lines_that_are_counted_and_said_once_and_nothing_else",),
    ),
    Mutant(
        "log-waits-bounded",
        "What waits for a disk has an end.",
        _FILE,
        "        if len(self._waiting) < MOST_WAITING:\n",
        "        if True:\n",
        (f"{_LOG}test_what_waits_for_a_disk_that_hangs_has_an_end",),
    ),
    Mutant(
        "accounts-bounded",
        "A box keeps the accounts of its last frames, and no more.",
        "agent/pipeline/accounts.py",
        "        if len(self._ended) > self._most:\n",
        "        if False:\n",
        ("tests/unit/pipeline/test_accounts.py::test_only_the_newest_are_kept",),
    ),
    Mutant(
        "accounts-of-own-cameras",
        "A box tells of its own cameras only.",
        _SERVICER,
        "                if accounts.camera in cameras:\n",
        "                if True:\n",
        (
            "tests/unit/fleet/test_servicer.py::"
            "test_a_question_about_a_frame_reaches_boxes_that_can_answer_it_alone_and_their_own_cameras_count",
        ),
    ),
    Mutant(
        "accounts-are-asked-of-who-can",
        "A question about a frame reaches only boxes that can answer it.",
        _SERVICER,
        "if request.accounts else ():",
        "if True else ():",
        (
            "tests/unit/fleet/test_servicer.py::"
            "test_a_question_about_a_frame_reaches_boxes_that_can_answer_it_alone_and_their_own_cameras_count",
        ),
    ),
)
