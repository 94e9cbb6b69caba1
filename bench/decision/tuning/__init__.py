"""The tuner of slow gains: searched for off-line (`search`), judged on worlds that no search saw (`verdict`)."""
