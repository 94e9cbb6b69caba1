"""What a box proves before it runs a release: bytes, that both agree, floors. agent/trust, agent/update, adapters."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SIGNED, _UPDATE = "tests/unit/signed", "tests/unit/update"
_AGREE, _ATTACK = f"{_SIGNED}/test_agreement.py::", f"{_SIGNED}/test_attacks.py::"
_FLOORS, _BACK = f"{_SIGNED}/test_floors.py::", f"{_SIGNED}/test_rollback.py::"
_UPDATES = f"{_SIGNED}/test_signed_updates.py::"
_HTTPS, _BLOBS = f"{_SIGNED}/test_metadata_https.py::", "tests/contract/test_blob_source.py::"
_VERIFY, _UPDATER = f"{_UPDATE}/test_verify.py::", f"{_UPDATE}/test_updater.py::"
_GOES_BACK = f"{_BACK}test_a_repository_that_goes_back_is_refused_whatever_happened_to_the_disk"

BYTES = (
    Mutant(
        "manifest-hash",
        "A manifest is the one that was named by its hash.",
        "agent/update/verify.py",
        "    if release_digest(content) != expected:\n",
        "    if False:\n",
        (f"{_VERIFY}test_any_changed_byte_of_the_manifest_is_refused",),
    ),
    Mutant(
        "file-hash",
        "Every file of a release has the hash that its manifest gives.",
        "agent/update/verify.py",
        "files.get(entry.path) != FileFacts(entry.size, entry.digest)]",
        "entry.path not in files or files[entry.path].size != entry.size]",
        (f"{_VERIFY}test_a_changed_file_is_refused_by_name",),
    ),
    Mutant(
        "file-length",
        "Every file of a release has the length that its manifest gives.",
        "agent/update/verify.py",
        "files.get(entry.path) != FileFacts(entry.size, entry.digest)]",
        "entry.path not in files or files[entry.path].digest != entry.digest]",
        (f"{_VERIFY}test_a_file_of_another_size_is_refused",),
    ),
    Mutant(
        "hash-before-loading",
        "What a loader reads was hashed after it was read, whatever was proven before.",
        "agent/update/verify.py",
        "    if len(content) != entry.size or digest_of(content) != entry.digest:\n",
        "    if False:\n",
        (f"{_VERIFY}test_a_file_that_changed_on_disk_after_verification_does_not_reach_the_loader",),
    ),
    Mutant(
        "staged-is-hashed",
        "A staged file gets its final name after its bytes were hashed.",
        "agent/update/steps.py",
        "        release = proof.verify(content, approval, facts, kept)\n",
        "        release = VerifiedRelease(approval, proof.manifest(content, approval.digest))\n",
        (
            f"{_VERIFY}test_nobody_but_verify_makes_a_verified_release",
            f"{_UPDATER}test_a_file_that_nothing_loads_is_hashed_as_well",
        ),
    ),
    Mutant(
        "bytes-of-a-file",
        "Of a file no more bytes are taken than its manifest says.",
        "agent/adapters/blob_https.py",
        "        wanted = wanted[: int(min(left, len(wanted)))]\n",
        "",
        (f"{_BLOBS}test_a_server_that_knows_no_range_is_read_up_to_where_it_was_told_to",),
    ),
    Mutant(
        "bytes-of-a-manifest",
        "Of a manifest no more bytes are taken than one may have.",
        "agent/update/steps.py",
        "            if len(content) > manifests.MAX_BYTES:\n                break",
        "            if False:\n                break",
        (f"{_UPDATER}test_a_manifest_without_an_end_is_not_read_to_its_end",),
    ),
    Mutant(
        "bytes-of-metadata",
        "Of a file of metadata no more bytes are taken than it may have.",
        "agent/adapters/metadata_https.py",
        "                if len(content) > most:\n",
        "                if False:\n",
        (f"{_HTTPS}test_a_byte_too_many_is_refused_and_no_more_are_taken",),
    ),
    Mutant(
        "bytes-of-metadata-whoever-says-more",
        "No more of a document is read than any may have, however long signed metadata says it is.",
        "agent/adapters/tuf_metadata.py",
        "min(max_length, names.MOST_BYTES)",
        "max_length",
        (f"{_ATTACK}test_however_long_a_thief_of_online_keys_says_that_a_document_is_no_more_of_it_is_read",),
    ),
    Mutant(
        "minimum-rate",
        "A peer that trickles is given up.",
        "agent/adapters/blob_https.py",
        "            if received < patience.slowest * spent:\n",
        "            if False:\n",
        (f"{_HTTPS}test_a_peer_that_trickles_is_given_up", f"{_BLOBS}test_a_server_that_drips_is_given_up"),
    ),
    Mutant(
        "deadline",
        "A file of metadata has a deadline, however steadily it comes.",
        "agent/adapters/metadata_https.py",
        "asyncio.timeout(seconds)",
        "asyncio.timeout(None)",
        (f"{_HTTPS}test_a_file_has_a_deadline_however_steadily_it_comes",),
    ),
    Mutant(
        "pinned-ca",
        "Nobody but the control plane of this box's CA is asked, or told the bearer.",
        "agent/adapters/blob_https.py",
        '    return ssl.create_default_context(cadata=ca.decode("ascii", "replace"))\n',
        "    return ssl._create_unverified_context()\n",
        (f"{_BLOBS}test_a_server_of_another_ca_gets_no_bearer",),
    ),
    Mutant(
        "space",
        "A release that does not fit beside what answers is not begun.",
        "agent/update/steps.py",
        "    if missing + SPARE_BYTES > free:\n",
        "    if False:\n",
        (f"{_UPDATER}test_a_full_disk_is_told_and_waited_out",),
    ),
    Mutant(
        "quota",
        "Releases take no more of a disk than they may.",
        "agent/update/steps.py",
        "    if quota and missing and used + missing > quota:\n",
        "    if False:\n",
        (f"{_UPDATER}test_what_would_not_fit_the_quota_of_releases_is_told_with_numbers_until_it_does",),
    ),
)

AGREEMENT = (
    Mutant(
        "only-approved",
        "Nothing is installed without an approval that signed metadata gave.",
        "agent/update/steps.py",
        "    approval = await ports.trust.approved(deployment, digest, shadow=shadow)\n",
        "    approval = Approval(digest, None)\n",
        (
            f"{_VERIFY}test_nobody_but_the_agreement_makes_an_approval_and_one_alone_adopts_what_was_confirmed_before",
            f"{_UPDATES}test_what_is_not_signed_waits_with_the_next_step_and_goes_on_once_it_is",
        ),
    ),
    Mutant(
        "both-agree",
        "What is assigned and what is listed are the same manifest.",
        "agent/trust/agreement.py",
        "    if (listing.digest, listing.size) != (assignment.digest, assignment.size):\n",
        "    if False:\n",
        (
            f"{_AGREE}test_another_digest_or_length_than_was_listed_contradicts",
            f"{_ATTACK}test_a_listing_that_says_another_digest_than_the_assignment_is_refused_by_name",
        ),
    ),
    Mutant(
        "both-agree-length",
        "What is assigned and what is listed have the same length.",
        "agent/trust/agreement.py",
        "    if (listing.digest, listing.size) != (assignment.digest, assignment.size):\n",
        "    if listing.digest != assignment.digest:\n",
        (f"{_AGREE}test_another_digest_or_length_than_was_listed_contradicts",),
    ),
    Mutant(
        "hint-is-no-order",
        "What desired state names alone is not run: the signed assignment must name it.",
        "agent/trust/agreement.py",
        "    if found.assignment.digest != digest:\n",
        "    if False:\n",
        (f"{_ATTACK}test_what_desired_state_names_alone_is_never_approved",),
    ),
    Mutant(
        "listed-in-its-role",
        "A release is listed in its model's own document, whatever delegations would allow others.",
        "agent/adapters/tuf_metadata.py",
        "        return target if target == found else None\n",
        "        return found\n",
        (f"{_ATTACK}test_a_listing_in_another_role_than_its_models_counts_for_nothing",),
    ),
    Mutant(
        "manifest-as-signed",
        "A manifest's name, version, task and length are those that its signers described.",
        "agent/trust/agreement.py",
        "    if signed != found:\n",
        "    if False:\n",
        (
            f"{_AGREE}test_the_manifest_is_what_was_listed",
            f"{_UPDATES}test_a_manifest_that_is_not_what_was_listed_is_refused_by_name",
        ),
    ),
    Mutant(
        "device-class",
        "A release runs on the classes of boxes that its signers named.",
        "agent/trust/agreement.py",
        "    if listing.device_classes and not set(listing.device_classes) & set(kind.device_classes):\n",
        "    if False:\n",
        (
            f"{_AGREE}test_a_device_class_must_fit_where_any_is_named",
            f"{_UPDATES}test_a_rule_that_excludes_this_box_is_told_by_name_and_is_asked_again_when_it_changes",
        ),
    ),
    Mutant(
        "minimum-agent",
        "A release runs under agents as new as its signers asked for.",
        "agent/trust/agreement.py",
        "    if _ordered(kind.agent) < _ordered(listing.minimum_agent):\n",
        "    if False:\n",
        (f"{_AGREE}test_an_agent_must_be_new_enough",),
    ),
    Mutant(
        "shadow-apart",
        "Who may be compared with may not answer: the two are assigned apart.",
        "agent/adapters/tuf_metadata.py",
        "names.assigned_path(deployment, shadow=shadow), None, 0",
        "names.assigned_path(deployment), None, 0",
        (f"{_UPDATES}test_a_shadow_needs_an_assignment_of_its_own",),
    ),
    Mutant(
        "approval-kept",
        "What was confirmed answers after a power cut without network, metadata or a right clock.",
        "agent/update/steps.py",
        "    ports.approvals[digest] = approval\n",
        "",
        (
            f"{_UPDATES}test_after_a_power_cut_what_was_approved_answers_without_network_metadata_or_a_right_clock",
            f"{_UPDATES}test_a_file_damaged_on_disk_is_fetched_again_though_metadata_has_expired",
        ),
    ),
    Mutant(
        "adopted-once",
        "What an agent without signatures confirmed is taken over once in a box's life.",
        "agent/trust/kept.py",
        '            self._state.put(SINCE, b"1")\n',
        "",
        (f"{_UPDATES}test_what_an_agent_without_signatures_confirmed_goes_on_and_nothing_else_does",),
    ),
)

FLOORS = (
    Mutant(
        "release-floor",
        "A release below the floor of its model is refused.",
        "agent/trust/agreement.py",
        "    if listing.number < floor:\n",
        "    if False:\n",
        (
            f"{_AGREE}test_a_number_below_the_floor_is_refused",
            f"{_ATTACK}test_a_release_below_the_floor_is_refused_by_name_though_the_listing_with_the_floor_is_gone",
        ),
    ),
    Mutant(
        "release-floor-outlasts-its-release",
        "The floor of a model holds for a box that never saw the release which brought it.",
        "agent/adapters/tuf_metadata.py",
        "    kept = said.unrecognized_fields.get(names.FLOOR, 0)\n",
        "    kept = 0\n",
        (f"{_ATTACK}test_a_box_that_never_saw_the_release_which_brought_a_floor_keeps_it_all_the_same",),
    ),
    Mutant(
        "release-floor-rises",
        "The floor of a model is never lowered.",
        "agent/trust/floors.py",
        "    if floor <= floors.releases.get(model, 0):\n",
        "    if floor == floors.releases.get(model, 0):\n",
        (
            f"{_FLOORS}test_a_release_floor_is_never_lowered",
            f"{_ATTACK}test_a_release_below_the_floor_is_refused_by_name_though_the_listing_with_the_floor_is_gone",
        ),
    ),
    Mutant(
        "role-floor",
        "No role goes back to a version below the highest that was seen.",
        "agent/trust/floors.py",
        "        if found < floor:\n",
        "        if False:\n",
        (f"{_FLOORS}test_a_lower_version_of_any_role_is_refused_by_its_file", _GOES_BACK),
    ),
    Mutant(
        "root-floor",
        "No root is believed below the newest that was seen.",
        "agent/trust/floors.py",
        "    if newest < floors.root:\n",
        "    if False:\n",
        (
            f"{_FLOORS}test_an_older_root_is_refused",
            f"{_BACK}test_an_old_root_is_refused_though_the_newer_one_is_gone_from_the_disk",
        ),
    ),
    Mutant(
        "recovery",
        "A root with other online keys lets what they signed begin anew.",
        "agent/trust/floors.py",
        "    if changed:\n",
        "    if False:\n",
        (
            f"{_FLOORS}test_a_root_with_other_online_keys_lets_what_they_signed_begin_anew_and_nothing_else",
            f"{_BACK}test_after_a_thief_ran_versions_up_a_root_with_other_keys_lets_them_begin_anew",
        ),
    ),
    Mutant(
        "recovery-spares-releases",
        "Floors of releases never begin anew.",
        "agent/trust/floors.py",
        "since=changed[-1], roles={}, signed=0)\n",
        "since=changed[-1], roles={}, signed=0, releases={})\n",
        (f"{_BACK}test_floors_of_releases_and_of_root_never_begin_anew",),
    ),
    Mutant(
        "no-recovery-without-new-keys",
        "A root that leaves online keys as they are leaves their floors, too.",
        "agent/trust/floors.py",
        "if before.online != after.online]\n",
        "]\n",
        (f"{_FLOORS}test_a_root_without_other_online_keys_leaves_floors_as_they_are",),
    ),
    Mutant(
        "forget-online",
        "What the old online keys signed goes before the library looks at it again.",
        "agent/trust/service.py",
        "            await in_thread(around.metadata.forget_online)\n",
        "            pass\n",
        (f"{_BACK}test_keys_that_were_changed_and_changed_back_between_two_looks_count_as_changed",),
    ),
    Mutant(
        "distrust",
        "Metadata below a floor does not stay on the disk.",
        "agent/trust/service.py",
        "            await in_thread(self.around.metadata.forget_online)\n",
        "",
        (f"{_BACK}test_what_was_below_a_floor_does_not_stay_on_the_disk",),
    ),
    Mutant(
        "first-copy",
        "Floors count from the state database though the second copy is lost.",
        "agent/trust/kept.py",
        "for content in (state.get(FLOORS), second.floors())",
        "for content in (second.floors(),)",
        (
            f"{_FLOORS}test_either_place_may_be_lost",
            f"{_BACK}test_an_old_copy_of_one_place_brings_no_old_floor_back",
            _GOES_BACK,
        ),
    ),
    Mutant(
        "second-copy",
        "Floors count from the second copy though the state database is lost.",
        "agent/trust/kept.py",
        "for content in (state.get(FLOORS), second.floors())",
        "for content in (state.get(FLOORS),)",
        (
            f"{_FLOORS}test_either_place_may_be_lost",
            f"{_BACK}test_an_old_copy_of_one_place_brings_no_old_floor_back",
            _GOES_BACK,
        ),
    ),
    Mutant(
        "old-state-approves",
        "A state database that was put back alone approves nothing below a floor.",
        "agent/trust/kept.py",
        "            self._end_what_is_below()\n",
        "",
        (f"{_UPDATES}test_an_old_state_that_is_put_back_alone_brings_no_release_below_a_floor_back",),
    ),
    Mutant(
        "both-before-belief",
        "Floors are in both places before anything is believed that raised them.",
        "agent/trust/kept.py",
        "        self._second.keep_floors(content)\n",
        "",
        (f"{_FLOORS}test_floors_count_once_they_are_in_both_places",),
    ),
    Mutant(
        "floors-of-this-fleet",
        "Floors of another fleet mean nothing here.",
        "agent/trust/floors.py",
        "        if copy.fleet == fleet:\n",
        "        if copy.fleet:\n",
        (f"{_BACK}test_floors_of_another_fleet_mean_nothing",),
    ),
)

MUTANTS = (*BYTES, *AGREEMENT, *FLOORS)
