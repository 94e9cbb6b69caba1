"""The contract between a recipe and whoever runs it: a folder, its files, a signal, an exit code.

    settings.json    what the Run was asked for: every setting by name, and `model` and `version`
    progress.jsonl   one object a line, appended: step, steps, epoch, epochs, loss, metrics, phase
    work/            what makes the same command, started again, go on where it was
    release/         the release, whole or not there

Rules that hold here: SIGTERM ends a Run at the next step with a checkpoint and exit code 143; every file that is read
again is written whole (beside, then renamed). torch is imported by `checkpoint`, `fitting` and `machine` only.
"""
