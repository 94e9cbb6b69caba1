"""What a box accepts: it stays until it is stored, or goes declared; numbers, lanes, disks that fail."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_BOOKS, _OUTBOX = "tests/unit/telemetry/test_books.py::", "tests/contract/test_telemetry_outbox.py::"
_FILE, _REFUSED = "tests/contract/test_outbox_file.py::", "tests/contract/test_outbox_refused.py::"
_SENDER, _RECORDS = "tests/unit/telemetry/test_sender.py::", "tests/unit/telemetry/test_records.py::"
_BACKFILL, _OUT = "tests/unit/telemetry/test_backfill.py::", "tests/contract/test_telemetry_out.py::"
_ADDS_UP = f"{_BOOKS}test_accepted_is_stored_and_declared_dropped_and_waiting_whatever_happens"

DELETING = (
    Mutant(
        "acknowledgement-alone-deletes",
        "No word of a broker deletes a record, not even success.",
        "agent/telemetry/sender.py",
        "            self.counts.published += 1\n",
        "            self.counts.published += 1\n"
        "            self._outbox.forget(flight.epoch, [(each, each) for each in flight.missing])\n",
        (
            f"{_SENDER}test_what_the_broker_took_stays_until_the_control_plane_says_stored",
            f"{_SENDER}test_after_a_restart_what_was_in_the_air_goes_out_again",
        ),
    ),
    Mutant(
        "watermark-exact",
        "A watermark covers the numbers up to it and none beyond.",
        "agent/telemetry/records.py",
        "    told = [(1, message.up_to), ",
        "    told = [(1, message.up_to + 1), ",
        (
            f"{_RECORDS}test_an_acknowledgement_may_cover_all_from_the_first_number",
            f"{_SENDER}test_a_watermark_and_ranges_are_both_understood",
        ),
    ),
    Mutant(
        "unsent-stays",
        "What was never sent stays, whoever says that it is stored.",
        "agent/telemetry/outbox.py",
        "            for sent in within(books.epochs[epoch_id].sent, first, last):\n",
        "            for sent in [(first, last)]:\n",
        (f"{_OUTBOX}test_what_was_never_sent_stays_whoever_says_that_it_is_stored",),
    ),
    Mutant(
        "sent-again",
        "What nobody acknowledged goes out again.",
        "agent/telemetry/window.py",
        "        self._flights = [flight for flight in self._flights if flight.missing]\n",
        "        self._flights = [flight for flight in self._flights if flight.epoch != epoch]\n",
        ("tests/unit/telemetry/test_window.py::test_a_batch_stays_until_every_record_of_it_is_acknowledged",),
    ),
    Mutant(
        "nobody-subscribes",
        "A publish that nobody hears is not delivered.",
        "agent/adapters/mqtt.py",
        "        if code >= FAILURE or code == NO_MATCHING_SUBSCRIBERS:\n",
        "        if code >= FAILURE:\n",
        (f"{_OUT}test_with_mqtt5_a_publish_that_nobody_hears_counts_as_not_delivered",),
    ),
)

DROPPING = (
    Mutant(
        "drop-is-declared",
        "A drop is a record itself, and delivered.",
        "agent/telemetry/outbox.py",
        "        _remove(rows, books, gap.epoch_id, gap.seq, gap.seq)\n    _keep_gap(rows, books, gap, at_ms)\n",
        "        _remove(rows, books, gap.epoch_id, gap.seq, gap.seq)\n",
        (f"{_OUTBOX}test_a_full_outbox_drops_results_declares_them_and_adds_up", _ADDS_UP),
    ),
    Mutant(
        "drop-is-counted",
        "A drop counts in the books of its epoch.",
        "agent/telemetry/books.py",
        "                self.epochs[each] = replace(epoch, dropped=epoch.dropped + hole.dropped)\n",
        "                self.epochs[each] = replace(epoch, dropped=epoch.dropped)\n",
        (f"{_OUTBOX}test_a_full_outbox_drops_results_declares_them_and_adds_up", _ADDS_UP),
    ),
    Mutant(
        "lowest-first",
        "The lowest class goes first.",
        "agent/telemetry/books.py",
        "DROPPABLE = tuple(sorted(set(RecordClass) - {RecordClass.GAP}))",
        "DROPPABLE = tuple(sorted(set(RecordClass) - {RecordClass.GAP}, reverse=True))",
        (f"{_BOOKS}test_the_lowest_class_goes_first",),
    ),
    Mutant(
        "oldest-first",
        "Of a class the oldest goes first, whichever start accepted it.",
        "agent/telemetry/books.py",
        "        return sorted(found, key=lambda epoch: epoch.id)\n",
        "        return sorted(found, key=lambda epoch: -epoch.id)\n",
        (f"{_BOOKS}test_the_oldest_start_of_a_class_goes_first",),
    ),
    Mutant(
        "share-of-a-class",
        "A class over its share drops records of its own.",
        "agent/telemetry/books.py",
        "            if over > 0 and bounds.of(record_class) < bounds.total_bytes:\n",
        "            if False:\n",
        (
            f"{_BOOKS}test_a_class_over_its_share_drops_its_own_records_and_no_others",
            f"{_OUTBOX}test_a_class_keeps_to_its_share",
        ),
    ),
    Mutant(
        "sent-is-never-dropped",
        "What may have been sent is never dropped: nobody could say which it was.",
        "agent/telemetry/books.py",
        "        return holes(epoch.sent, 1, epoch.accepted)\n",
        "        return holes((), 1, epoch.accepted)\n",
        (f"{_BOOKS}test_what_may_have_been_sent_is_never_dropped", _ADDS_UP),
    ),
    Mutant(
        "sending-is-noted-first",
        "That a record may be sent is in the books before it is.",
        "agent/telemetry/outbox.py",
        "            books.sending(epoch.id, fitting[0][0], fitting[-1][0])\n",
        "",
        (f"{_BOOKS}test_what_may_have_been_sent_is_never_dropped",),
    ),
    Mutant(
        "gap-that-was-sent",
        "A Gap that was sent is not changed any more.",
        "agent/telemetry/books.py",
        "        if epoch.record_class is RecordClass.GAP:\n            gone",
        "        if False:\n            gone",
        (f"{_BOOKS}test_drops_go_into_one_gap_until_it_is_sent_and_then_into_a_new_one",),
    ),
    Mutant(
        "gap-is-exact",
        "A Gap covers no number that was not dropped.",
        "agent/telemetry/books.py",
        "earlier is not None and earlier.hole.last + 1 == hole.first and earlier",
        "earlier is not None and earlier",
        (f"{_BOOKS}test_a_gap_covers_no_number_that_was_not_dropped",),
    ),
    Mutant(
        "age-of-a-class",
        "What waited longer than its class may goes, and is declared.",
        "agent/telemetry/outbox.py",
        "            if epoch.held.rows and epoch.oldest.at_ms < limit_ms:\n",
        "            if False:\n",
        (f"{_BOOKS}test_what_waited_longer_than_its_class_may_is_dropped_and_declared",),
    ),
    Mutant(
        "clock-set-ahead",
        "A clock that is set ahead makes nothing old.",
        "agent/adapters/outbox_file.py",
        "            now_ms = int((self._began + time.monotonic()) * 1000)\n",
        "            now_ms = int(self._unix() * 1000)\n",
        (f"{_FILE}test_a_clock_that_is_set_a_day_ahead_makes_nothing_old",),
    ),
    Mutant(
        "clock-never-set",
        "A record of a clock that was never set has no age.",
        "agent/telemetry/outbox.py",
        "        if not KNOWN_SINCE_MS <= row.at_ms < limit_ms:\n",
        "        if not row.at_ms < limit_ms:\n",
        (f"{_BOOKS}test_a_record_of_a_clock_that_was_never_set_has_no_age",),
    ),
)

STARTS = (
    Mutant(
        "start-names-itself",
        "Each start has a name of its own, and numbers of its own: a copied disk uses none twice.",
        "agent/adapters/outbox_file.py",
        "        self._start = secrets.token_hex(8)\n",
        '        self._start = "the-same"\n',
        (
            f"{_FILE}test_each_start_has_a_name_of_its_own_and_says_which_one_was_before_it",
            f"{_FILE}test_epochs_of_several_starts_wait_side_by_side_and_end_once_they_are_told",
        ),
    ),
    Mutant(
        "start-is-written-first",
        "A start stands in the file before anything is sent under its name.",
        "agent/adapters/outbox_file.py",
        "            outbox_tables.save(connection, books, earlier)\n",
        "",
        (f"{_FILE}test_the_start_is_in_the_file_before_anything_is_sent_under_its_name",),
    ),
    Mutant(
        "epoch-until-it-is-told",
        "An epoch of an earlier start stays until its last tally was told.",
        "agent/telemetry/books.py",
        "        unheard = [name for name, tally in silent.items() if self.told.get(name) != tally]\n",
        "        unheard: list[str] = []\n",
        (
            f"{_BOOKS}test_an_epoch_of_an_earlier_start_ends_when_nothing_of_it_waits_and_its_last_tally_was_told",
            f"{_FILE}test_epochs_of_several_starts_wait_side_by_side_and_end_once_they_are_told",
        ),
    ),
    Mutant(
        "silent-epochs-are-few",
        "Epochs that nobody hears of do not pile up.",
        "agent/telemetry/books.py",
        "*unheard[: max(0, len(unheard) - MOST_SILENT)]",
        "*unheard[:0]",
        (f"{_BOOKS}test_epochs_that_nobody_hears_of_do_not_pile_up_for_ever",),
    ),
)

DISKS = (
    Mutant(
        "each-commit-waits",
        "Accepted is synced: no commit returns before the disk has it.",
        "agent/adapters/outbox_file.py",
        '        "synchronous=FULL",\n',
        '        "synchronous=NORMAL",\n',
        (
            f"{_FILE}test_each_commit_waits_for_the_disk",
            "tests/crash/test_outbox_power_cuts.py::"
            "test_whatever_the_disk_held_when_the_power_went_nothing_accepted_is_lost",
        ),
    ),
    Mutant(
        "accepted-is-said-after",
        "A producer is told that a record is durable only when it is.",
        "agent/adapters/outbox_sqlite.py",
        "            _set(accept, taken is not None)\n",
        "            _set(accept, True)\n",
        (f"{_REFUSED}test_who_waits_for_a_record_is_told_that_nobody_knows",),
    ),
    Mutant(
        "below-the-volume",
        "The file takes two fifths of its volume at most.",
        "agent/adapters/outbox_file.py",
        "min(self.max_bytes, int(volume_bytes * VOLUME_SHARE))",
        "self.max_bytes",
        (f"{_FILE}test_a_file_takes_two_fifths_of_its_volume_at_most",),
    ),
    Mutant(
        "space-is-given-back",
        "Space goes back once a backlog is gone.",
        "agent/adapters/outbox_file.py",
        '                connection.executescript(f"PRAGMA incremental_vacuum({SHRINK_PAGES})")',
        '                connection.executescript("")',
        (f"{_FILE}test_the_file_gives_space_back_when_the_backlog_is_gone",),
    ),
    Mutant(
        "damage-is-found",
        "A damaged file is found at the start, and set aside.",
        "agent/adapters/outbox_file.py",
        "                _check(connection)\n",
        "",
        (f"{_FILE}test_damage_that_only_writing_would_meet_is_found_at_the_start",),
    ),
    Mutant(
        "damage-is-declared",
        "What waited in a file that was set aside is declared.",
        "agent/adapters/outbox_file.py",
        "        if not self._aside:\n            return []\n",
        "        if True:\n            return []\n",
        (
            f"{_FILE}test_a_damaged_outbox_that_nobody_declared_is_declared_once",
            f"{_FILE}test_damage_in_use_declares_what_is_known_to_have_waited",
        ),
    ),
    Mutant(
        "refused-is-declared",
        "What could not be written is declared when it can be again.",
        "agent/adapters/outbox_file.py",
        "        self._owed.lost.update(lost)\n        self.refused.add(lost)\n",
        "        self.refused.add(lost)\n",
        (
            f"{_REFUSED}test_an_outbox_that_cannot_be_opened_counts_and_starts_when_it_can",
            f"{_REFUSED}test_a_file_at_its_page_limit_counts_what_it_refuses",
            f"{_REFUSED}test_whatever_fails_and_whenever_accepted_is_stored_and_declared_and_waiting_exactly",
        ),
    ),
    Mutant(
        "refused-outlives-a-kill",
        "What was refused before a kill is counted beside the database.",
        "agent/adapters/outbox_refused.py",
        "            os.pwrite(self._descriptor, image, 0)\n",
        "",
        (f"{_REFUSED}test_what_was_refused_before_a_kill_is_declared_as_a_lower_bound_by_the_next_start",),
    ),
    Mutant(
        "lower-bound",
        "What the agent could not declare before it ended is told as a lower bound.",
        "agent/adapters/outbox_file.py",
        "self._owed.lost[Loss(each, reason, lower_bound=True)] += count",
        "self._owed.lost[Loss(each, reason)] += count",
        (f"{_REFUSED}test_what_was_refused_before_a_kill_is_declared_as_a_lower_bound_by_the_next_start",),
    ),
    Mutant(
        "failed-commit-is-looked-for",
        "A commit that failed and is in the file all the same is not counted as lost.",
        "agent/adapters/outbox_file.py",
        "        if limbo.before < limbo.after == self.books.accepted_here:\n",
        "        if False:\n",
        (f"{_REFUSED}test_a_commit_that_failed_but_is_in_the_file_is_not_counted_as_lost",),
    ),
    Mutant(
        "doubt-outlives-a-kill",
        "After a kill the file says what became of a commit that failed.",
        "agent/adapters/outbox_refused.py",
        "        if doubt is not None and accepted.get(doubt.start, 0) < doubt.accepted:\n",
        "        if False:\n",
        (f"{_REFUSED}test_a_kill_after_a_commit_that_failed_leaves_it_to_the_file_what_became_of_it",),
    ),
    Mutant(
        "overrun-is-counted",
        "What comes faster than the disk writes is counted.",
        "agent/adapters/outbox_sqlite.py",
        "            inbox.overrun[Loss(draft.record_class, OVERRUN)] += 1\n",
        "",
        (f"{_REFUSED}test_what_comes_while_the_disk_hangs_is_counted_where_there_is_no_room_for_it",),
    ),
    Mutant(
        "writer-ends-the-agent",
        "A writer that ends by itself ends the agent, and leaves nobody waiting.",
        "agent/adapters/outbox_sqlite.py",
        "            self._tell(self._died, error, inbox)\n",
        "            log.error('%s', error)\n",
        (f"{_FILE}test_a_writer_that_ends_by_itself_leaves_nobody_waiting_and_ends_the_agent",),
    ),
)

LANES = (
    Mutant(
        "live-first",
        "What waits when the way is back goes behind what is new.",
        "agent/telemetry/outbox.py",
        "        self.live_after = {each: books.epochs[each].accepted for each in books.current.values()}\n",
        "        self.live_after = {}\n",
        (
            f"{_OUTBOX}test_after_a_break_what_waits_is_historical_and_what_comes_is_live",
            f"{_SENDER}test_after_a_dark_time_what_is_new_goes_first_and_what_waited_is_marked",
        ),
    ),
    Mutant(
        "backlog-is-limited",
        "What waited goes out no faster than the limits say.",
        "agent/telemetry/backfill.py",
        "        self.next_at = max(self.next_at, now) + seconds\n",
        "        self.next_at = now\n",
        (
            f"{_SENDER}test_a_backlog_goes_out_no_faster_than_the_limits_say",
            f"{_BACKFILL}test_the_limits_hold_for_records_and_for_bytes_whichever_is_nearer",
        ),
    ),
    Mutant(
        "slow-means-less",
        "While acknowledgements are slow less is in the air.",
        "agent/telemetry/backfill.py",
        "            self._shrink(SHRINK, now - seconds, now)\n",
        "            pass\n",
        (
            f"{_BACKFILL}test_slow_acknowledgements_let_ever_less_into_the_air_but_never_nothing",
            f"{_BACKFILL}test_a_hundred_boxes_at_one_control_plane_share_it_alike_and_keep_its_queue_short",
        ),
    ),
    Mutant(
        "air-is-bounded",
        "No more live batches than allowed are in the air.",
        "agent/telemetry/sender.py",
        "            return 0 if self._window.full or now < self._gather_until else MOST_RECORDS[lane]\n",
        "            return 0 if now < self._gather_until else MOST_RECORDS[lane]\n",
        (f"{_SENDER}test_the_air_is_bounded_while_the_control_plane_is_silent",),
    ),
    Mutant(
        "compressed-once-it-is-read",
        "Nothing is compressed for a control plane that may not read it.",
        "agent/telemetry/sender.py",
        "        return payload.encoded(batch, self._settings.form, compress=self._modern)\n",
        "        return payload.encoded(batch, self._settings.form, compress=True)\n",
        (f"{_SENDER}test_nothing_is_compressed_until_a_watermark_says_that_it_can_be_read",),
    ),
    Mutant(
        "silence-alarms",
        "Two minutes without an acknowledgement are an alarm.",
        "agent/telemetry/silence.py",
        "        return self.seconds(now) >= ALARM_SECONDS\n",
        "        return False\n",
        (
            f"{_SENDER}test_two_minutes_without_an_acknowledgement_are_a_problem_until_the_next",
            f"{_SENDER}test_refusals_are_counted_by_reason_and_the_alarm_says_what_to_see_to",
        ),
    ),
)

MUTANTS = (*DELETING, *DROPPING, *STARTS, *DISKS, *LANES)
