"""What a box keeps, and for how long it believes it: roots, clocks, what lies on the disk, releases on trial."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ATTACK, _BACK = "tests/unit/signed/test_attacks.py::", "tests/unit/signed/test_rollback.py::"
_FLOORS = "tests/unit/signed/test_floors.py::"
_FILES, _UPDATER = "tests/unit/update/test_files.py::", "tests/unit/update/test_updater.py::"
_HEALTH, _BOARD = "tests/unit/pipeline/test_health.py::", "tests/unit/pipeline/test_board.py::"
_PROGRESS, _MACHINE = "tests/unit/update/test_progress.py::", "tests/unit/update/test_machine.py::"
_POWER = (
    "tests/unit/signed/test_power_cuts.py::test_after_a_power_cut_at_any_write_the_box_answers_and_the_update_goes_on"
)

ROOTS = (
    Mutant(
        "root-by-the-one-before",
        "A root counts when keys of the root before it have signed it.",
        "agent/adapters/tuf_metadata.py",
        "    root.verify_delegate(Root.type, read.signed_bytes, read.signatures)\n",
        "",
        (f"{_BACK}test_a_root_that_only_its_own_new_key_has_signed_is_refused",),
    ),
    Mutant(
        "root-by-itself",
        "A root counts when its own keys have signed it, too.",
        "agent/adapters/tuf_metadata.py",
        "    read.signed.verify_delegate(Root.type, read.signed_bytes, read.signatures)\n    return",
        "    return",
        (
            f"{_BACK}test_a_root_whose_own_new_key_has_not_signed_is_refused",
            f"{_BACK}test_a_root_that_two_must_sign_is_refused_with_one_signature_and_taken_with_both",
        ),
    ),
    Mutant(
        "root-in-order",
        "No root is left out.",
        "agent/adapters/tuf_metadata.py",
        "    if after.version != root.version + 1:\n",
        "    if False:\n",
        (f"{_BACK}test_a_root_that_leaves_one_out_is_refused",),
    ),
    Mutant(
        "first-root-once",
        "A box that joined before there were roots takes one, once.",
        "agent/trust/service.py",
        "        if not kept and self.around.floors.now.root:\n",
        "        if False:\n",
        (f"{_BACK}test_a_box_that_joined_before_takes_a_root_once",),
    ),
    Mutant(
        "garbage-is-set-aside",
        "A root that lies garbled on this disk is fetched anew.",
        "agent/adapters/tuf_metadata.py",
        "        with contextlib.suppress(OSError, RepositoryError, DeserializationError):\n"
        "            content = path.read_bytes()\n",
        "        if path.exists():\n            content = path.read_bytes()\n",
        (f"{_BACK}test_roots_that_lie_garbled_on_the_disk_are_fetched_anew",),
    ),
    Mutant(
        "half-written-goes",
        "What the library left half written goes at the next start.",
        "agent/adapters/tuf_metadata.py",
        "                left.unlink(missing_ok=True)\n",
        "                pass\n",
        (f"{_BACK}test_what_the_library_left_behind_when_it_was_killed_goes_at_the_next_start",),
    ),
)

CLOCKS = (
    Mutant(
        "clock-behind",
        "A clock behind a time that was signed installs nothing.",
        "agent/trust/freshness.py",
        "    if now + TOLERANCE_SECONDS < signed:\n",
        "    if False:\n",
        (
            f"{_ATTACK}test_a_clock_behind_what_was_signed_installs_nothing_and_says_so",
            f"{_ATTACK}test_a_clock_that_was_set_back_does_not_make_old_metadata_fresh",
        ),
    ),
    Mutant(
        "signed-time-rises",
        "The highest time that was signed is never taken back.",
        "agent/trust/floors.py",
        "signed=max(floors.signed, seen.signed))\n",
        "signed=seen.signed)\n",
        (f"{_FLOORS}test_time_that_was_signed_never_goes_back",),
    ),
    Mutant(
        "expiry",
        "What expired is not believed, also between two looks.",
        "agent/trust/freshness.py",
        "    if now >= soonest:\n",
        "    if False:\n",
        (f"{_ATTACK}test_a_file_that_expires_before_the_next_look_is_not_believed_until_then",),
    ),
    Mutant(
        "expiry-of-every-file",
        "The file that expires first counts, whichever it is.",
        "agent/trust/service.py",
        "        self._check({**(self.view.expires if self.view else {}), **expires})\n",
        "        self._check(self.view.expires if self.view else {})\n",
        (f"{_ATTACK}test_a_file_that_expires_before_the_next_look_is_not_believed_until_then",),
    ),
)

DISK = (
    Mutant(
        "metadata-synced",
        "Metadata is on the disk for good before floors are raised for it.",
        "agent/adapters/tuf_metadata.py",
        "            updater.refresh()\n            self._sync()\n",
        "            updater.refresh()\n",
        (_POWER,),
    ),
    Mutant(
        "metadata-folder-synced",
        "Names of metadata are on the disk for good, too.",
        "agent/adapters/tuf_metadata.py",
        "history.iterdir(), history, self._folder):\n",
        "history.iterdir(), history):\n",
        (_POWER,),
    ),
    Mutant(
        "file-synced",
        "A file is synced before it gets its name.",
        "agent/adapters/files.py",
        "        os.fsync(out.fileno())\n",
        "",
        (f"{_FILES}test_file_then_rename_then_directory_are_made_durable_in_that_order",),
    ),
    Mutant(
        "name-synced",
        "A file's name is synced before anything counts on it.",
        "agent/adapters/files.py",
        "        sync_directory(path.parent)\n\n",
        "\n",
        (f"{_FILES}test_file_then_rename_then_directory_are_made_durable_in_that_order",),
    ),
    Mutant(
        "staging",
        "A file is written beside its final name, and whole when it gets it.",
        "agent/adapters/files.py",
        '    beside = path.with_name(f".{path.name}.tmp")',
        "    beside = path",
        (f"{_FILES}test_a_power_cut_at_any_call_leaves_the_old_or_the_new",),
    ),
    Mutant(
        "blob-synced",
        "A file of a release is synced before it gets its final name.",
        "agent/adapters/files.py",
        "        sync_file(part)\n        part.replace(final)\n",
        "        part.replace(final)\n",
        (f"{_FILES}test_file_then_rename_then_directory_are_made_durable_in_that_order",),
    ),
    Mutant(
        "blob-name-synced",
        "The final name of a file of a release is synced.",
        "agent/adapters/files.py",
        "        sync_directory(final.parent)\n",
        "",
        (f"{_FILES}test_file_then_rename_then_directory_are_made_durable_in_that_order",),
    ),
    Mutant(
        "state-synced",
        "What the state database has taken survives a power cut.",
        "agent/adapters/state_sqlite.py",
        '"PRAGMA synchronous = FULL"',
        '"PRAGMA synchronous = NORMAL"',
        ("tests/contract/test_state_store.py::test_each_put_waits_for_the_disk",),
    ),
    Mutant(
        "damage-goes",
        "What proved to be damaged goes, and is fetched anew.",
        "agent/update/steps.py",
        "        releases.discard(Digest(wrong) for wrong in damaged.digests)\n",
        "",
        (f"{_UPDATER}test_bytes_garbled_once_are_fetched_again",),
    ),
)

TRIAL = (
    Mutant(
        "latency-budget",
        "A release whose frames take longer than its latency budget is taken back.",
        "agent/pipeline/health.py",
        "    if budget <= 0 or not health.is_slow(max(budget, warmed.core_seconds)):\n",
        "    if True:\n",
        (
            f"{_HEALTH}test_more_than_one_frame_in_twenty_and_at_least_three_must_be_slow",
            f"{_BOARD}test_a_release_whose_frames_take_longer_than_its_budget_is_not_confirmed",
        ),
    ),
    Mutant(
        "latency-budget-warmed",
        "A release that is too slow when it is warmed does not answer at all.",
        "agent/pipeline/health.py",
        "    if 0 < budget < warmed.model_seconds:\n",
        "    if False:\n",
        (
            f"{_HEALTH}test_a_release_that_is_too_slow_when_warmed_does_not_answer_at_all",
            f"{_BOARD}test_a_candidate_beyond_its_latency_budget_is_told_before_it_answers",
        ),
    ),
    Mutant(
        "latency-budget-judged",
        "What warming says of a release is asked before it answers.",
        "agent/update/steps.py",
        "    unfit = await ports.serving.judge(deployment, release.digest)\n",
        "    unfit = dict[str, str]()\n",
        (f"{_UPDATER}test_a_release_beyond_its_latency_budget_is_refused_until_the_budget_allows_it",),
    ),
    Mutant(
        "busy-box",
        "A box that leaves a model one core takes back no release for that.",
        "agent/pipeline/health.py",
        "health.is_slow(max(budget, warmed.core_seconds)):\n",
        "health.is_slow(budget):\n",
        (f"{_HEALTH}test_what_one_core_takes_is_what_a_busy_box_leaves_a_frame_and_no_fault_of_the_release",),
    ),
    Mutant(
        "budget-gives-back",
        "A budget gives back what it allows now, and nothing else.",
        "agent/update/progress.py",
        "if not 0 < known.took <= budget))\n",
        "if known.took > budget))\n",
        (f"{_PROGRESS}test_a_release_that_was_too_slow_is_given_back_by_a_budget_that_allows_as_much",),
    ),
    Mutant(
        "nan",
        "An answer that is no number is an error of its frame, and not told as nothing seen.",
        "agent/inference/boxes.py",
        "    if found.size and (not np.isfinite(scores[found]).all() or np.isnan(corners[found]).any()):\n",
        "    if False:\n",
        (
            "tests/unit/inference/test_boxes.py::test_what_is_no_number_is_no_answer",
            "tests/contract/test_engine.py::"
            "test_an_answer_that_is_no_number_is_the_error_of_its_frame_and_tensors_come_as_they_are",
        ),
    ),
    Mutant(
        "nan-rolled-back",
        "A release that answers three frames with what is no number is taken back.",
        "agent/pipeline/health.py",
        "not fails and self.not_a_number <= FORGIVEN_FRAMES\n",
        "not fails\n",
        (f"{_HEALTH}test_one_frame_in_five_or_three_that_are_no_number_are_the_releases_own",),
    ),
    Mutant(
        "nan-named",
        "A release that is taken back for NaN is refused by that name.",
        "agent/pipeline/health.py",
        "    if health.not_a_number and not health.good:\n",
        "    if False:\n",
        (f"{_BOARD}test_a_release_that_answers_what_is_no_number_goes_and_the_one_before_answers",),
    ),
    Mutant(
        "nan-warmed",
        "A detector that knows no number does not answer at all.",
        "agent/pipeline/health.py",
        "    if not warmed.in_numbers:\n",
        "    if False:\n",
        (
            f"{_HEALTH}test_a_release_that_knows_no_number_when_warmed_does_not_answer_at_all",
            f"{_BOARD}test_a_candidate_that_knows_no_number_is_told_before_it_answers",
        ),
    ),
    Mutant(
        "refused-is-remembered",
        "A release that failed is remembered by its digest.",
        "agent/update/record.py",
        "    return refused(after, message, rule, took) if event in (Event.REJECTED, Event.UNHEALTHY) else after\n",
        "    return after\n",
        (
            f"{_PROGRESS}test_an_unhealthy_release_is_remembered_with_its_reason",
            f"{_PROGRESS}test_a_release_that_was_too_slow_is_given_back_by_a_budget_that_allows_as_much",
        ),
    ),
    Mutant(
        "refused-stays-refused",
        "A release that was refused is not tried again.",
        "agent/update/record.py",
        "    if record.refusal(offered):\n",
        "    if False:\n",
        (f"{_PROGRESS}test_a_refused_release_is_answered_with_its_reason",),
    ),
    Mutant(
        "not-confirmed-is-not-kept",
        "After a start without a confirm the release before answers.",
        "agent/update/machine.py",
        "        _S.CONFIRMING: _S.ROLLING_BACK,  # not",
        "        _S.CONFIRMING: _S.CONFIRMING,  # not",
        (f"{_MACHINE}test_after_a_power_cut_nothing_goes_on_that_was_not_confirmed",),
    ),
)

MUTANTS = (*ROOTS, *CLOCKS, *DISK, *TRIAL)
