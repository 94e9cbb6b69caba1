"""What the control plane stores of telemetry: once, acknowledged behind the commit, rolled up once, verified."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_LOOP, _WIRE = "tests/unit/ingest/test_loop.py::", "tests/unit/ingest/test_wire.py::"
_INBOX, _PAYLOAD = "tests/unit/ingest/test_inbox.py::", "tests/unit/ingest/test_payload.py::"
_BOOKS, _NUMBERS = "tests/contract/test_ingest_books.py::", "tests/unit/ingest/test_numbers.py::"
_ROLLUPS, _VERIFYING = "tests/contract/test_rollups.py::", "tests/unit/books/test_verifying.py::"
_KEPT = "tests/contract/test_books_repository.py::"
_ABSENCE, _BEATS, _QUIET = (
    f"tests/unit/{path}.py::" for path in ("fleet/test_absence", "link/test_beats", "link/test_silence")
)
_HISTORY = "tests/unit/bench/test_telemetry_history.py::test_what_is_wrong_is_said"
_SHUFFLED = (
    "tests/contract/test_ingest_shuffled.py::"
    "test_what_comes_often_shuffled_to_two_ingests_is_stored_as_in_one_ordered_pass"
)
_REPLICAS = (
    "tests/e2e/test_ingest_replicas.py::"
    "test_what_comes_to_two_replicas_in_any_order_is_stored_once_and_acknowledged_whole"
)
_ONCE = f"{_ROLLUPS}test_hours_minutes_and_raw_rows_add_up_to_the_same_however_often_and_in_whatever_order_records_come"
_WRONG_IS_FOUND = f"{_VERIFYING}test_what_is_wrong_is_found_and_named"

ACKNOWLEDGING = (
    Mutant(
        "commit-before-acknowledgement",
        "Nothing is acknowledged before it is committed.",
        "controlplane/ingest/loop.py",
        "        with self._metrics.seconds.time():\n            stored",
        "        for batch in batches:\n"
        '            self._source.acknowledge(batch.node, b"")\n'
        "        with self._metrics.seconds.time():\n            stored",
        (f"{_LOOP}test_while_the_database_is_away_nothing_is_acknowledged_and_then_everything",),
    ),
    Mutant(
        "watermark-ends-before-a-hole",
        "The watermark is the last number before the first that is missing.",
        "controlplane/ingest/numbers.py",
        "            return Numbers(all_of_them[0][1], tuple(all_of_them[1:][-MOST_RANGES:]))\n",
        "            return Numbers(all_of_them[-1][1])\n",
        (
            f"{_NUMBERS}test_numbers_hold_what_was_put_in_and_up_to_is_the_last_before_the_first_hole",
            f"{_BOOKS}test_an_acknowledgement_says_how_far_all_is_stored_and_what_lies_beyond",
            _SHUFFLED,
        ),
    ),
    Mutant(
        "watermark-said-as-it-is",
        "An acknowledgement says no more than the database has.",
        "controlplane/ingest/wire.py",
        "stored=stored, up_to=receipt.up_to)",
        "stored=stored, up_to=receipt.up_to + 1)",
        (
            f"{_WIRE}test_an_acknowledgement_says_what_is_stored",
            f"{_BOOKS}test_an_acknowledgement_says_how_far_all_is_stored_and_what_lies_beyond",
        ),
    ),
    Mutant(
        "ranges-for-an-old-agent",
        "An agent that tells no start gets all as ranges.",
        "controlplane/ingest/intake.py",
        "        if not knows_up_to and up_to:\n",
        "        if False:\n",
        (f"{_BOOKS}test_an_agent_that_tells_no_start_gets_ranges_alone",),
    ),
    Mutant(
        "unknown-box",
        "A box that is not in the fleet is neither stored nor acknowledged.",
        "controlplane/ingest/service.py",
        "            welcome = [batch for batch in batches if batch.node in known]\n",
        "            welcome = list(batches)\n",
        (
            f"{_LOOP}test_a_box_that_is_not_in_the_fleet_is_neither_stored_nor_acknowledged",
            f"{_LOOP}test_a_deleted_box_is_unknown",
        ),
    ),
    Mutant(
        "one-keeps-nobody-out",
        "A message that can't be stored costs its own box and no other.",
        "controlplane/ingest/loop.py",
        "            for message in messages:\n                self.handle([message])\n",
        "            return\n",
        (f"{_LOOP}test_a_message_that_cannot_be_stored_costs_only_its_own_box",),
    ),
    Mutant(
        "transaction-is-bounded",
        "A transaction holds so many records and no more.",
        "controlplane/ingest/loop.py",
        "            if records >= MOST_RECORDS:\n",
        "            if False:\n",
        (f"{_LOOP}test_a_transaction_holds_so_many_records_and_no_more_than_its_last_message_beyond",),
    ),
)

ONCE = (
    Mutant(
        "told-once",
        "A number that was received is stored no second time.",
        "controlplane/ingest/intake.py",
        "        if row.seq in seqs and row.seq not in received and not received.in_doubt(row.seq):\n",
        "        if row.seq in seqs:\n",
        (
            f"{_BOOKS}test_what_comes_again_is_counted_as_such_and_a_clash_is_not",
            _SHUFFLED,
        ),
    ),
    Mutant(
        "stored-before-books",
        "What was stored before there were books stands in them.",
        "controlplane/ingest/repository.py",
        "_epoch_row(line, self._begun(line))",
        "_epoch_row(line, Books())",
        (f"{_BOOKS}test_what_was_stored_before_there_were_books_stands_in_them_and_is_stored_once",),
    ),
    Mutant(
        "books-are-locked",
        "Of two replicas one sees what the other did.",
        "controlplane/ingest/repository.py",
        ".order_by(_EPOCHS.c.node_id, _EPOCHS.c.epoch).with_for_update()",
        ".order_by(_EPOCHS.c.node_id, _EPOCHS.c.epoch)",
        (_REPLICAS,),
    ),
    Mutant(
        "replicas-share",
        "Of telemetry each replica gets a share.",
        "controlplane/adapters/mqtt_in.py",
        "shared(telemetry, REPLICAS_GROUP) if self._settings.mqtt5 else telemetry",
        "telemetry",
        (
            "tests/contract/test_telemetry_in.py::"
            "test_replicas_share_telemetry_all_hear_presence_and_each_reaches_every_box",
        ),
    ),
    Mutant(
        "clash-is-kept",
        "A record under the name of another is kept aside and told.",
        "controlplane/ingest/intake.py",
        "            elif known[row.seq] not in (None, row.digest) and not row.damaged:\n",
        "            elif False:\n",
        (
            f"{_BOOKS}test_a_record_under_the_name_of_another_is_kept_aside_told_once_and_acknowledged",
            f"{_BOOKS}test_a_record_of_another_kind_under_the_same_name_is_a_conflict_too",
        ),
    ),
    Mutant(
        "two-starts",
        "Two starts that follow the same one are two boxes.",
        "controlplane/ingest/repository.py",
        ".having(func.count() > 1))",
        ".having(func.count() > 2))",
        (f"{_BOOKS}test_two_starts_after_the_same_one_are_two_boxes",),
    ),
    Mutant(
        "declared-is-received",
        "What a Gap declares needs no row: the watermark goes on.",
        "controlplane/ingest/intake.py",
        "            self.received = self.received.plus([(hole.first, hole.last)])\n",
        "            pass\n",
        (f"{_BOOKS}test_what_a_gap_declares_counts_as_told_in_the_epoch_it_names", _SHUFFLED),
    ),
    Mutant(
        "dropped-and-stored",
        "A record that was under way when it was dropped counts as stored.",
        "controlplane/ingest/intake.py",
        "                books.dropped = max(0, books.dropped - dropped)\n",
        "",
        (
            f"{_BOOKS}test_a_record_that_was_under_way_when_it_was_dropped_counts_as_stored_whichever_comes_first",
            _SHUFFLED,
        ),
    ),
    Mutant(
        "later-tally",
        "Only a later tally takes the place of one.",
        "controlplane/ingest/intake.py",
        "        if self.told is None or tally.progress >= self.told.progress:\n",
        "        if True:\n",
        (f"{_BOOKS}test_only_a_later_tally_takes_the_place_of_one", _SHUFFLED),
    ),
    Mutant(
        "broken-leaves-a-gap",
        "A record that breaks a rule leaves a Gap in its place.",
        "controlplane/ingest/wire.py",
        "            row = _refusal(record, seq, str(error), received_ms)\n",
        "            continue\n",
        (
            f"{_WIRE}test_a_record_that_breaks_a_rule_leaves_a_gap_and_is_acknowledged",
            f"{_LOOP}test_a_broken_record_does_not_hold_up_its_neighbours_and_leaves_a_gap_so_that_all_adds_up",
        ),
    ),
    Mutant(
        "clock-of-a-box",
        "What a box with a wrong clock tells stands at the right time.",
        "controlplane/ingest/domain.py",
        "        return min(max(0, told_ms + self.offset_ms), self.received_ms)\n",
        "        return max(0, told_ms)\n",
        (f"{_LOOP}test_what_a_box_with_a_wrong_clock_tells_stands_at_the_right_time",),
    ),
)

BOUNDS = (
    Mutant(
        "unpacked-is-bounded",
        "No payload takes more memory than it may, whatever it claims.",
        "controlplane/ingest/payload.py",
        "        content = stream.decompress(payload, MOST_BYTES)\n",
        "        content = stream.decompress(payload)\n",
        (f"{_PAYLOAD}test_what_unpacks_to_more_is_refused_however_well_it_is_formed",),
    ),
    Mutant(
        "inbox-is-bounded",
        "So many bytes wait for the database and no more.",
        "controlplane/adapters/inbox.py",
        "            if self._bytes + _size(message) > self._room(message):\n",
        "            if False:\n",
        (
            "tests/contract/test_telemetry_in.py::test_more_bytes_than_may_wait_are_dropped_and_counted",
            f"{_INBOX}test_a_backlog_leaves_half_of_the_room_to_what_is_new",
        ),
    ),
    Mutant(
        "boxes-take-turns",
        "A box that sends without a pause keeps no other waiting.",
        "controlplane/adapters/inbox.py",
        "            self._boxes[node] = messages\n",
        "            self._boxes = {node: messages, **self._boxes}\n",
        (f"{_INBOX}test_boxes_take_turns_however_much_one_of_them_sends",),
    ),
    Mutant(
        "new-before-backlog",
        "What is new goes before a backlog, but for its share.",
        "controlplane/adapters/inbox.py",
        "        if self._historical and (self._owed <= 0 or not self._live):\n",
        "        if self._historical:\n",
        (
            f"{_INBOX}test_what_is_new_goes_first_but_a_backlog_gets_through",
            f"{_INBOX}test_large_messages_of_a_backlog_take_no_more_than_their_share_of_bytes_from_what_is_new",
        ),
    ),
    Mutant(
        "backlog-gets-through",
        "A backlog gets through however much is new.",
        "controlplane/adapters/inbox.py",
        "            self._owed -= _size(message)\n",
        "",
        (f"{_INBOX}test_what_is_new_goes_first_but_a_backlog_gets_through",),
    ),
    Mutant(
        "gaps-stay",
        "Gaps outlive what retention takes.",
        "controlplane/ingest/domain.py",
        "        **dict.fromkeys((Kind.OUTCOMES, Kind.CAMERA, Kind.NODE), telemetry),\n",
        "        **dict.fromkeys((Kind.OUTCOMES, Kind.CAMERA, Kind.NODE, Kind.GAP), telemetry),\n",
        (f"{_LOOP}test_old_telemetry_goes_and_gaps_stay",),
    ),
)

ROLLED_UP = (
    Mutant(
        "note-in-the-transaction",
        "What is stored is noted with it.",
        "controlplane/ingest/service.py",
        "            RollupRepository(session).note(outcome_deltas(outcomes), stat_deltas(stats))\n",
        "",
        (_ONCE, f"{_ROLLUPS}test_what_a_box_spends_is_mean_and_extremes_and_its_outbox_as_told_last"),
    ),
    Mutant(
        "note-of-what-was-inserted",
        "Only what was inserted is noted.",
        "controlplane/ingest/service.py",
        "                if repository.put(kind, rows) < len(rows):\n",
        "                if repository.put(kind, rows) < 0:\n",
        (f"{_BOOKS}test_of_what_the_table_already_has_nothing_is_added_to_minutes_and_hours",),
    ),
    Mutant(
        "note-leaves-when-it-is-added",
        "A note is gone when it was added.",
        "controlplane/rollups/repository.py",
        "                self._session.execute(delete(table).where(table.c.id.in_(ids[first : first + _SOME])))\n",
        "                pass\n",
        (_ONCE,),
    ),
    Mutant(
        "sums-are-capped",
        "No number that a box tells breaks a sum.",
        "controlplane/rollups/domain.py",
        "    return min(max(0, number), CAP)\n",
        "    return max(0, number)\n",
        (f"{_ROLLUPS}test_a_number_that_no_box_can_mean_breaks_no_sum",),
    ),
    Mutant(
        "late-lands-where-it-belongs",
        "A late record counts in the minute in which it happened.",
        "controlplane/rollups/domain.py",
        'Level.MINUTE.start(row["at_ms"])\n        found[key] = added',
        'Level.MINUTE.start(row["stored_ms"])\n        found[key] = added',
        (_ONCE,),
    ),
)

TOLD = (
    *(
        Mutant(f"verify-{name}", guarantee, "controlplane/books/checking.py", old, new, (_WRONG_IS_FOUND,))
        for name, guarantee, old, new in (
            (
                "missing",
                "A row that was counted and is gone is found.",
                "    elif found.rows < line.stored and not found.swept:\n",
                "    elif False:\n",
            ),
            (
                "uncounted",
                "A row that nobody counted is found.",
                "    if found.rows > line.stored:\n",
                "    if False:\n",
            ),
            ("hole", "A number that is nowhere is found.", "    if below < line.up_to:\n", "    if False:\n"),
            (
                "beyond",
                "A number that was never acknowledged is found.",
                "    if outside or (found.rows and found.least < 1):\n",
                "    if False:\n",
            ),
            (
                "gaps",
                "A Gap that was taken away is found.",
                "    if declared != line.dropped and not (found.swept or found.unbooked):\n",
                "    if False:\n",
            ),
            (
                "gap-twice",
                "A number declared by two Gaps is found.",
                "    if twice:\n        yield Code.GAP",
                "    if False:\n        yield Code.GAP",
            ),
            ("unaccounted", "A record that is nowhere is found.", "    if sums.unaccounted:\n", "    if False:\n"),
        )
    ),
    Mutant(
        "what-was-swept-is-noted",
        "What retention took is not missed, whatever it is by now.",
        "controlplane/ingest/repository.py",
        "                SettingsRepository(self._session).note_swept(rows.name, unix_ms)\n",
        "                pass\n",
        (
            f"{_KEPT}test_what_a_shorter_retention_took_is_not_missed_when_it_is_longer_again",
            f"{_VERIFYING}test_what_retention_took_is_not_missed",
        ),
    ),
    *(
        Mutant(
            f"history-{name}", f"The checker of kills sees {what}.", "bench/telemetry/history.py", old, new, (_HISTORY,)
        )
        for name, what, old, new in (
            (
                "lost",
                "what is lost",
                "            if lost := sorted(missing - declared):\n",
                "            if lost := []:\n",
            ),
            ("twice", "what is stored twice", "            if count > 1:\n", "            if count > 2:\n"),
            ("order", "what is out of order", "                if before >= after:\n", "                if False:\n"),
            (
                "holes",
                "numbers that are missing",
                "            if missing := top - len(numbers):\n",
                "            if missing := 0:\n",
            ),
            ("books", "books that are untrue", "self.books is not None and self.books != known", "False"),
            ("counted", "a watermark that is untrue", "            if of != rows:\n", "            if False:\n"),
        )
    ),
    Mutant(
        "silence-is-bounded",
        "Who is gone is shown within five minutes, whatever a box claimed.",
        "controlplane/fleet/generations.py",
        "min(told_seconds, MOST_SILENT_SECONDS)",
        "told_seconds",
        (f"{_ABSENCE}test_what_a_box_claims_of_its_silence_is_bounded",),
    ),
    Mutant(
        "beat-that-nobody-heard",
        "A box whose beat nobody heard has to call in.",
        "agent/link/beats.py",
        '            log.info("nobody hears that this box is there: %s", error)\n            self._arrived = False\n',
        '            log.info("nobody hears that this box is there: %s", error)\n',
        (f"{_BEATS}test_a_control_plane_that_left_the_broker_is_noticed_at_the_next_beat",),
    ),
    Mutant(
        "news-are-told",
        "A Sync that has something to say is not left out.",
        "agent/link/silence.py",
        "all(map(_at_rest, now.deployments)) and not _news(told, now)",
        "all(map(_at_rest, now.deployments))",
        (f"{_QUIET}test_news_are_told",),
    ),
    Mutant(
        "under-way-is-told",
        "A box with something under way does not stay silent.",
        "agent/link/silence.py",
        "all(map(_at_rest, now.deployments)) and not _news(told, now)",
        "not _news(told, now)",
        (f"{_QUIET}test_whatever_is_under_way_needs_answers_though_it_is_no_news",),
    ),
)

MUTANTS = (*ACKNOWLEDGING, *ONCE, *BOUNDS, *ROLLED_UP, *TOLD)
