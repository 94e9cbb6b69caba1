"""What a box keeps, and for how long it believes it: roots, clocks, what lies on the disk."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ATTACK, _BACK = "tests/unit/signed/test_attacks.py::", "tests/unit/signed/test_rollback.py::"
_FLOORS = "tests/unit/signed/test_floors.py::"
_FILES, _UPDATER = "tests/unit/update/test_files.py::", "tests/unit/update/test_updater.py::"
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

MUTANTS = (*ROOTS, *CLOCKS, *DISK)
