"""Where a frame goes: what a lane may never do, whatever it is worth. agent/pipeline, agent/offload."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_WORTH, _PROPERTIES = "tests/unit/pipeline/test_worth.py::", "tests/unit/pipeline/test_lane_properties.py::"
_LANES = "tests/unit/pipeline/test_lane.py::"
_SIZES, _LOADED = "tests/unit/pipeline/test_sizes.py::", "tests/unit/update/test_sizes.py::"
_RUN = "agent/pipeline/run.py"
_LANE, _HERE, _THERE = "agent/pipeline/lane.py", "agent/pipeline/local_side.py", "agent/pipeline/cloud_side.py"

_LOWERING, _RATES = "tests/unit/pipeline/test_lowering.py::", "tests/unit/offload/test_rates.py::"

MUTANTS = (
    Mutant(
        "lane-starts-in-time",
        "No frame starts that can no longer be in time.",
        _LANE,
        "            if not head.trial and now + self.here.planned > head.frame.deadline:\n",
        "            if False:\n",
        (
            f"{_WORTH}test_a_frame_that_can_no_longer_be_in_time_when_its_turn_comes_is_shed_and_not_run",
            f"{_PROPERTIES}test_none_starts_late_each_ends_once_and_each_slot_is_given_back_once",
        ),
    ),
    Mutant(
        "lane-ends-once",
        "A frame that has ended does not end again.",
        "agent/pipeline/ending.py",
        "    if job.ended:\n        return []\n    job.ended",
        "    job.ended",
        (f"{_LANES}test_a_frame_that_ended_and_is_still_in_the_cloud_does_not_end_again_when_its_deployment_leaves",),
    ),
    Mutant(
        "lane-slot-once",
        "A slot is given back once.",
        "agent/pipeline/ending.py",
        "    if job.reads_slot or not job.slot_held:\n",
        "    if job.reads_slot:\n",
        (f"{_PROPERTIES}test_none_starts_late_each_ends_once_and_each_slot_is_given_back_once",),
    ),
    Mutant(
        "lane-minute-on-the-wire",
        "No minute carries more than its budget and a twentieth, whatever the prices say.",
        _THERE,
        "        if self.parts.hard_bucket and not self.budget.correct(job.booking, nbytes * 8, now):\n",
        "        if not self.budget.correct(job.booking, nbytes * 8, now) and False:\n",
        (
            f"{_WORTH}test_a_picture_larger_than_what_is_left_of_the_minute_is_called_off_and_the_box_answers",
            f"{_PROPERTIES}test_no_minute_carries_more_than_its_budget_and_a_twentieth",
        ),
    ),
    Mutant(
        "lane-probe-limit",
        "No limit on money, power or carbon is passed by looking how the link is.",
        _THERE,
        "way is None or self._overspent(way, job.value) else",
        "way is None else",
        (f"{_WORTH}test_looking_how_the_link_is_spends_no_more_than_the_limit_on_money",),
    ),
    Mutant(
        "lane-order",
        "Frames that wait start in order of deadline.",
        _HERE,
        "    return min(job.due, job.frame.deadline), job.turn or job.number\n",
        "    return 0.0, job.turn or job.number\n",
        (f"{_PROPERTIES}test_with_deadlines_apart_their_order_matters",),
    ),
    Mutant(
        "lane-stays",
        "Pictures of a camera that stays never leave the box.",
        _THERE,
        "        if not self.terms.may_leave(job.frame.tap.camera):\n",
        "        if False:\n",
        (f"{_WORTH}test_pictures_of_a_camera_that_stays_never_leave_the_box",),
    ),
    Mutant(
        "lane-earlier-only",
        "What is due later than a frame is not counted as ahead of it.",
        _HERE,
        "        return ends if self._earlier_only else [ends[-1]] * count if ends else ends\n",
        "        return [ends[-1]] * count if ends else ends\n",
        (f"{_WORTH}test_what_is_due_later_is_not_counted_as_ahead",),
    ),
    Mutant(
        "lane-in-hand",
        "An answer in hand is told before its deadline, when the cloud is silent.",
        _LANE,
        "            if job.held and job.heard is not None and job.frame.deadline - HELD_SECONDS <= now:\n",
        "            if False and job.heard is not None:\n",
        (f"{_WORTH}test_an_answer_in_hand_is_told_just_in_time_when_the_cloud_is_silent",),
    ),
    Mutant(
        "lane-size-leaves-time",
        "No size is taken that makes what waits late.",
        _HERE,
        '            return "what waits would be late"\n',
        "            pass\n",
        (f"{_WORTH}test_no_size_is_taken_that_makes_what_waits_late",),
    ),
    Mutant(
        "lane-worth-least",
        "Where not all can be in time, the one worth least is given up.",
        "agent/offload/feasibility.py",
        "        if losses[position] < losses[best]:\n",
        "        if losses[position] > losses[best]:\n",
        (
            f"{_WORTH}test_where_not_all_can_be_in_time_the_one_worth_least_is_given_up",
            "tests/unit/offload/test_feasibility.py::test_what_is_kept_is_worth_the_most_of_all_sets_that_can_be_in_time",
        ),
    ),
    Mutant(
        "lane-door",
        "A door that turns a frame away is left alone for as long as it says.",
        _THERE,
        "        if now < self._shut_until:\n",
        "        if False:\n",
        (f"{_WORTH}test_a_door_that_turns_a_frame_away_is_left_alone_for_as_long_as_it_says_and_is_no_failure",),
    ),
    Mutant(
        "lane-few-under-way",
        "Beyond four, frames go up only while no picture is on the wire to a far node.",
        _THERE,
        "        return self.in_flight >= MOST_IN_FLIGHT or not (far and carried)\n",
        "        return self.in_flight >= MOST_IN_FLIGHT\n",
        (
            f"{_WORTH}test_beyond_four_frames_are_under_way_only_while_they_wait_for_a_far_node_and_never_more_than_eight",
        ),
    ),
    Mutant(
        "rates-floor",
        "No camera is lowered below the floor of the terms.",
        "agent/pipeline/lowering.py",
        "max(LEAST_RATE, lane.terms.floor_rate)",
        "LEAST_RATE",
        (
            f"{_LOWERING}test_no_camera_goes_below_the_floor_of_the_terms_whatever_is_lost",
            f"{_LOWERING}test_a_release_of_two_sizes_at_its_floor_is_told_which_cameras_are_smaller",
        ),
    ),
    Mutant(
        "rates-lasting",
        "Overload that does not last lowers nothing.",
        "agent/offload/rates.py",
        "            if self._overload_for(now) >= OVERLOAD_SECONDS:\n",
        "            if True:\n",
        (
            f"{_RATES}test_overload_that_does_not_last_lowers_nothing",
            f"{_LOWERING}test_a_load_that_passes_lowers_nothing",
        ),
    ),
    Mutant(
        "rates-answered",
        "Where a box answers nothing in time itself, nothing is lowered.",
        "agent/pipeline/lowering.py",
        "        return share if self.here else min(SHED, share)\n",
        "        return share\n",
        (
            f"{_LOWERING}test_a_box_too_slow_for_the_deadline_answers_nothing_and_lowers_nothing",
            f"{_LOWERING}test_what_was_given_up_is_told_as_a_share_where_the_box_answered_something",
        ),
    ),
    Mutant(
        "rates-cloud",
        "Where the cloud helps and next to nothing is given up, rates come back though the box is full.",
        "agent/offload/rates.py",
        "(busy >= ROOM and not helped)",
        "busy >= ROOM",
        (f"{_LOWERING}test_with_the_cloud_back_rates_come_back_though_the_box_stays_full",),
    ),
    Mutant(
        "rates-tap",
        "A tap takes no more frames than its rate, whatever others take of its camera.",
        "agent/cameras/loop.py",
        "        taps = [tap for tap in self.taps if tap.due(shot.stream_time)]\n",
        "        taps = list(self.taps)\n",
        ("tests/unit/cameras/test_tap.py::test_a_camera_gives_what_its_fastest_tap_takes_and_each_tap_takes_its_own",),
    ),
    Mutant(
        "lane-size-chosen",
        "A frame runs in the size that its lane chose.",
        _RUN,
        "        if size in engines and engines[size].ready:\n",
        "        if False:\n",
        (f"{_SIZES}test_frames_run_in_the_full_size_at_rest_and_in_the_small_one_under_load",),
    ),
    Mutant(
        "lane-size-there",
        "While the worker of one size is away, another answers.",
        _RUN,
        "        return there[-1] if there else (size, engines.get(size, self.engine))\n",
        "        return size, engines.get(size, self.engine)\n",
        (f"{_SIZES}test_while_the_worker_of_one_size_is_away_the_other_answers_and_is_told",),
    ),
    Mutant(
        "lane-size-learns",
        "What one size takes teaches nothing of another.",
        _HERE,
        "        if any(answer.error or answer.size is not None for answer in answers):\n",
        "        if any(answer.error for answer in answers):\n",
        (f"{_SIZES}test_while_the_worker_of_one_size_is_away_the_other_answers_and_is_told",),
    ),
    Mutant(
        "lane-size-left-out",
        "A size that does not run on a box keeps no other from running there.",
        "agent/update/sizes.py",
        "    if len(left_out) == len(loads):\n",
        "    if left_out:\n",
        (
            f"{_LOADED}test_a_lighter_size_that_does_not_load_here_is_left_out_and_told",
            f"{_LOADED}test_where_the_full_size_does_not_load_a_lighter_one_answers_alone",
        ),
    ),
    Mutant(
        "lane-size-memory",
        "No lighter size is loaded into memory that the box has not.",
        "agent/update/sizes.py",
        "    if free < needed:\n",
        "    if False:\n",
        (f"{_LOADED}test_a_lighter_size_is_loaded_only_where_there_is_memory_for_it",),
    ),
    Mutant(
        "lane-size-sound",
        "A size whose file is damaged is fetched again, and not left out.",
        "agent/update/sizes.py",
        "        except Damaged:\n            raise\n",
        "",
        (f"{_LOADED}test_a_size_whose_file_rots_while_the_release_is_warmed_is_fetched_again_and_not_left_out",),
    ),
)
