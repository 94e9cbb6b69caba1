"""What stays once a process has started."""

from __future__ import annotations

import gc

from agent.workers.settled import settle


def test_what_is_there_once_a_process_has_started_is_looked_at_by_no_collection() -> None:
    there = [object()]
    settle()
    later = [object()]
    try:
        looked_at = {id(each) for each in gc.get_objects()}
        assert (id(there) in looked_at, id(later) in looked_at) == (False, True)
    finally:
        gc.unfreeze()
