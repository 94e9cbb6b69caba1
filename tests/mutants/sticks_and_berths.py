"""What is carried to a box by hand, and how its agent gives way to another: agent/carried, agent/berths, reports."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_UPDATE, _JUDGED = "tests/unit/berths/test_update.py::", "tests/unit/berths/test_progress.py::"
_CHOICE, _LAUNCHER = "tests/unit/berths/test_choice.py::", "tests/unit/berths/test_launcher.py::"
_DISK = "tests/unit/berths/test_berths_disk.py::"
_FAR, _ROOT = "tests/unit/carried/test_air_gap.py::", "tests/unit/carried/test_import_as_root.py::"
_PROGRESS, _IMPORTING, _SEALED = "agent/berths/progress.py", "agent/carried/importing.py", "agent/carried/sealed.py"
_FOLDER = "agent/adapters/carried_folder.py"

BERTHS = (
    Mutant(
        "trial-is-reached",
        "An agent that no word reaches is not kept.",
        _PROGRESS,
        "    good = _reached(record, health) and not silent\n",
        "    good = not silent\n",
        (
            f"{_UPDATE}test_an_agent_that_never_syncs_is_tried_three_times_and_then_refused",
            f"{_JUDGED}test_a_trial_is_good_when_it_synced_and_answered_for_a_minute_on_end",
        ),
    ),
    Mutant(
        "network-where-there-was-one",
        "Where the last word came over the network, the next one must.",
        _PROGRESS,
        "    return health.synced or (record.carried and health.took)\n",
        "    return health.synced or health.took\n",
        (f"{_UPDATE}test_an_agent_that_breaks_the_network_is_taken_back_though_it_takes_up_what_is_carried",),
    ),
    Mutant(
        "import-counts-once",
        "What was carried is the newest word only until the control plane answers.",
        "agent/carried/uptake.py",
        "        if self._acted and told.written_unix_ms > self._word.written_unix_ms:\n",
        "        if self._acted:\n",
        (f"{_FAR}test_how_the_newest_word_came_outlasts_a_restart_and_an_import_counts_once",),
    ),
    Mutant(
        "trial-answers",
        "An agent under which something fell silent is not kept.",
        _PROGRESS,
        "    silent = (health.wanted & frozenset(record.answering)) - health.answering\n",
        "    silent: frozenset[str] = frozenset()\n",
        (
            f"{_UPDATE}test_an_agent_under_which_nothing_answers_is_left",
            f"{_JUDGED}test_a_trial_that_never_answers_what_the_one_before_did_is_refused",
        ),
    ),
    Mutant(
        "disk-is-no-fault",
        "A disk that fails for a while takes no good agent back.",
        "agent/berths/update.py",
        "            if not may_wait:\n",
        "            if True:\n",
        (f"{_UPDATE}test_a_disk_that_fails_for_a_while_takes_no_good_trial_back",),
    ),
    Mutant(
        "three-starts",
        "A trial that is not confirmed in three starts is left.",
        "agent/berths/choice.py",
        "    trial = (choice.trial,) if choice.trial and choice.starts < STARTS else ()\n",
        "    trial = (choice.trial,) if choice.trial else ()\n",
        (
            f"{_CHOICE}test_a_trial_starts_three_times_and_then_what_is_kept",
            f"{_UPDATE}test_an_agent_that_falls_at_each_start_is_left_after_three",
        ),
    ),
    Mutant(
        "starts-are-counted",
        "A start of a trial is on disk before it happens.",
        "agent/launcher.py",
        "    if after != choice and not _written(folder, after):\n",
        "    if False:\n",
        (f"{_LAUNCHER}test_a_start_is_on_disk_before_it_happens",),
    ),
    Mutant(
        "fallen-is-refused",
        "A trial that was started and does not run is refused.",
        _PROGRESS,
        "    if where is Place.BESIDE and choice.starts and record.state is not State.REVERTING:\n",
        "    if False:\n",
        (f"{_JUDGED}test_a_trial_that_was_started_and_does_not_run_is_refused",),
    ),
    Mutant(
        "kept-is-not-written",
        "The berth that is kept, and the one that runs, are never written.",
        "agent/berths/choice.py",
        "if each not in (running, choice.kept)",
        "if each != running",
        (f"{_CHOICE}test_the_berth_that_is_written_neither_runs_nor_is_kept",),
    ),
    Mutant(
        "installed-before-the-switch",
        "What is switched to was installed, all of it, and is what was proven.",
        "agent/berths/update.py",
        "        if berths.release(berth) != target:\n",
        "        if False:\n",
        (f"{_UPDATE}test_an_environment_that_went_away_is_not_switched_to",),
    ),
    Mutant(
        "agent-says-its-version",
        "What was installed is the agent that was signed.",
        "agent/adapters/berths_disk.py",
        '    if version != said and not version.startswith(f"{said}-"):\n',
        "    if False:\n",
        (f"{_DISK}test_a_version_may_say_more_than_the_agent_does",),
    ),
    Mutant(
        "trial-keeps-the-format",
        "An agent on trial leaves the box's state to the one before it.",
        "agent/adapters/state_sqlite.py",
        "    if found < FORMAT and not on_trial:\n",
        "    if found < FORMAT:\n",
        (f"{_UPDATE}test_an_agent_on_trial_leaves_the_format_of_the_box_as_it_is",),
    ),
)

STICKS = (
    Mutant(
        "told-by-the-ca",
        "What a box is told by a stick is signed by its fleet's CA.",
        _SEALED,
        "    if not keys.vouched(identity.ca, carried.spoken(carried.STATE, sealed.content), sealed.signature):\n",
        "    if False:\n",
        (
            f"{_FAR}test_what_is_told_to_another_box_or_by_another_fleet_is_refused",
            f"{_FAR}test_the_agent_itself_believes_nothing_that_was_changed_after_the_import",
        ),
    ),
    Mutant(
        "told-to-this-box",
        "What a box is told by a stick is for this box.",
        _SEALED,
        "    if found.node_id != identity.member.node_id:\n",
        "    if False:\n",
        (f"{_FAR}test_what_is_told_to_another_box_or_by_another_fleet_is_refused",),
    ),
    Mutant(
        "stick-is-not-older",
        "A stick that says less than the box acts on is not imported.",
        _IMPORTING,
        "    if desired.generation < known:\n",
        "    if False:\n",
        (f"{_FAR}test_an_older_stick_after_a_newer_one_is_refused_by_what_it_says_and_by_its_metadata",),
    ),
    Mutant(
        "generation-does-not-fall",
        "What is carried is acted on only if it is not older.",
        "agent/link/loop.py",
        "        if self.connected or desired.generation < self._desired.generation:\n",
        "        if self.connected:\n",
        (f"{_FAR}test_the_agent_acts_on_nothing_older_than_it_does_and_on_no_stick_while_its_control_plane_answers",),
    ),
    Mutant(
        "control-plane-before-sticks",
        "While the control plane answers, no stick is acted on.",
        "agent/link/loop.py",
        "        if self.connected or desired.generation < self._desired.generation:\n",
        "        if desired.generation < self._desired.generation:\n",
        (f"{_FAR}test_the_agent_acts_on_nothing_older_than_it_does_and_on_no_stick_while_its_control_plane_answers",),
    ),
    Mutant(
        "stick-meets-floors",
        "Metadata of a stick is proven against what the box has seen.",
        _IMPORTING,
        "    state.put(FLOORS, floors.to_bytes(known))\n",
        "",
        (f"{_FAR}test_an_older_stick_after_a_newer_one_is_refused_by_what_it_says_and_by_its_metadata",),
    ),
    Mutant(
        "old-metadata-is-not-asked",
        "What was carried is not asked for metadata when it is older than what is proven.",
        "agent/carried/nearest.py",
        "    return bool(timestamp) and (timestamp >= floors.timestamp or root > floors.root)\n",
        "    return bool(timestamp)\n",
        (f"{_FAR}test_what_was_carried_is_asked_unless_it_is_older_than_what_is_proven",),
    ),
    Mutant(
        "stick-file-is-hashed",
        "A file of a stick is what its name says before it gets that name here.",
        _FOLDER,
        "        if measured.hexdigest() != hex_of(digest):\n",
        "        if False:\n",
        (f"{_FAR}test_a_changed_byte_in_any_kind_of_file_is_refused_and_what_answers_goes_on",),
    ),
    Mutant(
        "no-first-root-by-hand",
        "A box takes no first root from a stick.",
        _FOLDER,
        '        if name == "root.json":\n',
        "        if False:\n",
        (f"{_FAR}test_links_and_first_roots_of_a_stick_are_not_followed",),
    ),
    Mutant(
        "links-of-a-stick",
        "Links of a stick lead nowhere.",
        _FOLDER,
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        (f"{_FAR}test_links_and_first_roots_of_a_stick_are_not_followed",),
    ),
    Mutant(
        "rights-of-the-owner",
        "Root writes into the agent's folder with the rights of the agent's user.",
        "agent/adapters/owned.py",
        "        if os.geteuid() or not self.user:\n",
        "        if True:\n",
        (
            f"{_ROOT}test_a_link_that_is_planted_after_the_look_leads_to_nothing_that_is_roots",
            f"{_ROOT}test_a_report_is_asked_for_and_read_with_the_owners_rights",
        ),
    ),
    Mutant(
        "report-is-signed",
        "A report counts by the key of the certificate that it came with.",
        "controlplane/adapters/x509.py",
        "            _p256(key).verify(signature, spoken, ec.ECDSA(hashes.SHA256()))\n"
        "        except InvalidSignature as error:\n"
        '            raise Unauthenticated("this is not signed',
        "            _p256(key)\n"
        "        except InvalidSignature as error:\n"
        '            raise Unauthenticated("this is not signed',
        (f"{_FAR}test_a_report_counts_by_the_key_that_signed_it",),
    ),
    Mutant(
        "report-of-a-member",
        "A report counts by a certificate that is known and was not revoked.",
        "controlplane/identity/service.py",
        "            found = IdentityRepository(session).certificate(fingerprint)\n"
        "        if found is None:\n"
        '            raise Unauthenticated(f"the certificate that signed',
        "            found = IdentityRepository(session).certificate(fingerprint)\n"
        "        if False:\n"
        '            raise Unauthenticated(f"the certificate that signed',
        (f"{_FAR}test_a_report_counts_by_the_key_that_signed_it",),
    ),
    Mutant(
        "report-is-not-older",
        "A report that is older than what is known changes nothing.",
        "controlplane/fleet/reports.py",
        "    if told.clock_unix_ms > before.clock_unix_ms or before.clock_unix_ms > now_ms:\n",
        "    if True:\n",
        (f"{_FAR}test_a_report_that_is_older_than_what_is_known_changes_nothing",),
    ),
    Mutant(
        "admins-export",
        "Only an admin exports: credentials of cameras are in it.",
        "controlplane/identity/roles.py",
        '"/api/v1/exports", ',
        "",
        (f"{_FAR}test_an_operator_cannot_export_since_credentials_of_cameras_are_in_it",),
    ),
    Mutant(
        "exported-whole",
        "A file gets its name on a stick after it was proven.",
        "controlplane/cli/stick.py",
        '        if not self.has(digest, f"{path.parent.relative_to(self._folder)}/{part.name}"):\n',
        "        if False:\n",
        (f"{_FAR}test_a_part_that_is_damaged_is_thrown_away_and_fetched_anew",),
    ),
)

MUTANTS = (*BERTHS, *STICKS)
