"""Runs from being asked for to their release, over REST, with an executor that the test plays and a clock it turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.adapters.executor_memory import MemoryExecutor
from controlplane.training.domain import KEEP_WORK
from controlplane.training.ports import Job, Look, Part, State, Trainer
from controlplane.training.service import Wish
from protos.errors import Rejected, Retryable
from tests.sim.control_plane import SimControlPlane
from tests.sim.training import Yard

RUNS = "/api/v1/runs"


def test_a_run_gets_from_its_queue_to_a_release_in_the_registry(yard: Yard) -> None:
    made = yard.start(settings={"epochs": 2}, model="harbour")
    assert (made["metadata"]["name"], made["spec"]["version"], made["status"]["phase"]) == (
        "tiny-1",
        "1.0.0",
        "Pending",
    )
    assert made["spec"]["settings"] == {"epochs": 2, "pause": 0.0, "ends": "well", "half": False}
    yard.tick()
    assert yard.phase() == "Preparing"
    assert yard.job().job.settings == {**made["spec"]["settings"], "model": "harbour", "version": "1.0.0"}
    yard.tick()
    assert yard.phase() == "Running"
    yard.leaves_release()
    yard.ends(0)
    yard.tick()
    assert yard.phase() == "Publishing"
    yard.tick()
    status = yard.status()
    assert (status["phase"], status["release"]) == ("Succeeded", "harbour-1-0-0")
    assert yard.plane.registry.release("harbour-1-0-0").version == "1.0.0"
    assert [each["type"] for each in status["conditions"]] == [
        "Pending",
        "Preparing",
        "Running",
        "Publishing",
        "Succeeded",
    ]


def test_a_version_is_the_next_free_one_also_beside_runs_that_go_on(yard: Yard) -> None:
    assert [yard.start()["spec"]["version"] for _ in range(3)] == ["1.0.0", "1.0.1", "1.0.2"]
    refused = yard.http.post(RUNS, json={"spec": {"recipe": "tiny", "version": "1.0.1"}})
    assert (refused.status_code, "tiny 1.0.1 is taken" in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"spec": {"recipe": "huge"}}, 404, "there are: tiny"),
        ({"spec": {"recipe": "../../etc"}}, 404, "there is no recipe"),
        ({"spec": {"recipe": "tiny", "settings": {"epochs": "x"}}}, 422, "a whole number"),
        ({"spec": {"recipe": "tiny", "command": ["sh"]}}, 422, "command"),
        ({"metadata": {"name": "No"}, "spec": {"recipe": "tiny"}}, 422, "run name"),
        ({"metadata": {"labels": {"a b": "c"}}, "spec": {"recipe": "tiny"}}, 422, "label"),
        ({"spec": {"recipe": "tiny", "model": "A"}}, 422, "model name"),
        ({"spec": {"recipe": "tiny", "version": "a/b"}}, 422, "version"),
    ],
)
def test_what_cannot_be_is_refused_before_it_waits(yard: Yard, body: object, status: int, said: str) -> None:
    refused = yard.http.post(RUNS, json=body)
    assert (refused.status_code, said in refused.json()["error"]["message"]) == (status, True), refused.text
    assert yard.http.get(RUNS).json()["items"] == []


def test_where_nothing_can_train_the_refusal_says_what_to_do(yard: Yard) -> None:
    yard.plane.executor.told = Trainer("local", False, False, "the disk is full", "make room")
    assert yard.http.get("/api/v1/trainer").json()["canTrain"] is False
    refused = yard.http.post(RUNS, json={"spec": {"recipe": "tiny"}})
    assert (refused.status_code, refused.json()["error"]["message"]) == (422, "the disk is full; make room")


def test_one_at_a_time_and_the_others_know_their_place(yard: Yard) -> None:
    for _ in range(3):
        yard.start()
    yard.tick(2)
    assert [yard.status(f"tiny-{n}")["position"] for n in (1, 2, 3)] == [0, 1, 2]
    assert yard.http.get("/api/v1/trainer").json()["waiting"] == ["tiny-2", "tiny-3"]
    assert "waits for 2 runs" in yard.status("tiny-3")["message"]
    yard.ends(1)
    yard.tick()
    assert [yard.phase(f"tiny-{n}") for n in (1, 2, 3)] == ["Failed", "Preparing", "Pending"]


def test_a_run_that_fails_says_how_its_log_ends(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.says("Traceback …\nValueError: no picture in /data\n\n")
    yard.ends(3)
    yard.tick()
    assert (
        yard.status()["message"] == "the recipe ended with exit code 3; its log ends: ValueError: no picture in /data"
    )


def test_a_run_that_is_killed_goes_on_and_not_for_ever(yard: Yard) -> None:
    yard.start()
    for attempt in (1, 2, 3):
        yard.tick(2)
        assert (yard.phase(), yard.status()["attempt"]) == ("Running", attempt)
        yard.ends(-9)
        yard.tick()
    assert yard.plane.executor.begun == [("tiny-1", 1), ("tiny-1", 2), ("tiny-1", 3)]
    assert yard.phase() == "Failed"
    assert "3 times in all" in yard.status()["message"]


def test_a_killed_run_goes_on_before_those_that_wait(yard: Yard) -> None:
    yard.start()
    yard.start()
    yard.tick(2)
    yard.ends(None)
    yard.tick(2)
    assert [yard.phase(f"tiny-{n}") for n in (1, 2)] == ["Running", "Pending"]


def test_cancelling_stops_the_process_and_publishes_nothing(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    assert yard.http.post(f"{RUNS}/tiny-1/cancel").json()["status"]["phase"] == "Cancelling"
    yard.tick()
    assert yard.job().stops == 1
    assert "being cancelled already" in yard.http.post(f"{RUNS}/tiny-1/cancel").text
    yard.ends(0)
    yard.leaves_release()
    yard.tick()
    assert (yard.phase(), yard.status()["release"]) == ("Cancelled", "")


def test_a_run_that_waits_is_cancelled_at_once(yard: Yard) -> None:
    yard.start()
    assert yard.http.post(f"{RUNS}/tiny-1/cancel").json()["status"]["phase"] == "Cancelled"
    yard.tick()
    assert yard.plane.executor.begun == []


def test_only_what_is_over_can_be_deleted_and_nothing_stays(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    refused = yard.http.delete(f"{RUNS}/tiny-1")
    assert (refused.status_code, "longshore cancel run tiny-1" in refused.text) == (409, True)
    yard.ends(1)
    yard.tick()
    assert yard.http.delete(f"{RUNS}/tiny-1").status_code == 204
    assert yard.http.get(f"{RUNS}/tiny-1").status_code == 404
    assert yard.plane.executor.jobs == {}


@pytest.mark.parametrize(
    ("different", "said"), [({"version": "9.9"}, "asked for tiny 1.0.0"), ({"model": "x"}, "made x")]
)
def test_another_release_than_the_one_asked_for_is_refused(yard: Yard, different: dict[str, str], said: str) -> None:
    yard.start()
    yard.tick(2)
    yard.leaves_release(**different)
    yard.ends(0)
    yard.tick(2)
    assert yard.phase() == "Failed"
    assert said in yard.status()["message"]


def test_a_release_that_the_registry_refuses_is_refused_here_too(yard: Yard) -> None:
    yard.plane.inspector.refuses["model.onnx"] = "gives no output 'boxes'"
    yard.start()
    yard.tick(2)
    yard.leaves_release()
    yard.ends(0)
    yard.tick(2)
    assert yard.status()["message"].startswith("its release was refused: model.onnx gives no output 'boxes'")


def test_a_release_without_its_files_is_refused(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.ends(0)
    yard.tick(2)
    assert "left no manifest.json" in yard.status()["message"]


def test_progress_is_told_with_the_time_left(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    for step in range(1, 8):
        yard.tells(phase="train", step=step * 10, steps=100, epoch=1, epochs=5, loss=1 / step, metrics={"mAP50": 0.1})
        yard.tick()
    told = yard.status()["progress"]
    assert (told["step"], told["ratio"], told["secondsLeft"], told["metrics"]) == (70, 0.7, 3.0, {"mAP50": 0.1})
    plot = yard.http.get(f"{RUNS}/tiny-1/points", params={"most": 3}).json()
    assert (plot["steps"], len(plot["loss"]), plot["loss"][-1][0]) == (100, 3, 70)


def test_a_control_plane_that_comes_back_reads_progress_anew(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.tells(phase="train", step=5, steps=10, loss=0.5)
    yard.tick()
    yard.plane.services = yard.plane._services()
    yard.tells(phase="train", step=6, steps=10)
    yard.tick()
    assert (yard.status()["progress"]["step"], yard.status()["progress"]["loss"]) == (6, 0.5)


def test_runs_are_told_to_prometheus_while_they_go_on_and_an_hour_longer(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.tells(phase="train", step=5, steps=10, loss=0.5, metrics={"mAP50": 0.25})
    yard.tick()
    shown = yard.http.get("/metrics").text
    for line in (
        'longshore_run_loss{recipe="tiny",run="tiny-1"} 0.5',
        'longshore_run_metric{metric="mAP50",recipe="tiny",run="tiny-1"} 0.25',
        'longshore_run_progress_ratio{recipe="tiny",run="tiny-1"} 0.5',
        'longshore_runs{phase="Running"} 1.0',
    ):
        assert line in shown
    yard.ends(1)
    yard.tick()
    yard.plane.clock.tick(3_700)
    assert "longshore_run_loss{" not in yard.http.get("/metrics").text


def test_a_log_is_read_in_whole_lines_from_any_byte_or_from_its_end(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.says("one\ntwo\nthr")
    first = yard.http.get(f"{RUNS}/tiny-1/log")
    assert (first.text, first.headers["Longshore-Next"], first.headers["Longshore-End"]) == ("one\ntwo\n", "8", "false")
    assert yard.http.get(f"{RUNS}/tiny-1/log", params={"tail": 1}).text == "two\n"
    yard.says("ee")
    yard.ends(1)
    yard.tick()
    last = yard.http.get(f"{RUNS}/tiny-1/log", params={"offset": 8, "wait": 5})
    assert (last.text, last.headers["Longshore-End"]) == ("three", "true")
    assert yard.http.get(f"{RUNS}/tiny-1/log", params={"offset": 99}).text == ""


def test_the_answer_to_a_start_says_where_the_run_is(yard: Yard) -> None:
    made = yard.http.post(RUNS, json={"spec": {"recipe": "tiny"}})
    assert (made.status_code, made.headers["Location"]) == (201, f"{RUNS}/{made.json()['metadata']['name']}")


def test_where_the_middle_of_a_log_was_left_out_a_line_says_so(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.says("first\n" + "gone\n" * 400_000 + "last\n")
    yard.job().gap = (6, 6 + 5 * 400_000)
    yard.ends(1)
    yard.tick()
    read, at = [], "0"
    for _ in range(3):
        answer = yard.http.get(f"{RUNS}/tiny-1/log", params={"offset": at})
        read.append(answer.text)
        at = answer.headers["Longshore-Next"]
    told = "longshore: 2.0 MB of the log are left out here; its beginning and its end are kept\n"
    assert (read, answer.headers["Longshore-End"]) == (["first\n", told, "last\n"], "true")
    assert yard.http.get(f"{RUNS}/tiny-1/log", params={"tail": 10}).text == "last\n"


def test_a_run_cancelled_between_look_and_write_stays_cancelled(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.start()
    yard.tick(2)

    def look(_: MemoryExecutor, name: str) -> Look:
        yard.plane.services.training.cancel(name)
        return Look(State.ENDED, 1, 0)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryExecutor, "look", look)
        yard.tick()
    assert yard.phase() == "Cancelling"


def test_an_executor_that_cannot_now_is_asked_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: MemoryExecutor, _job: Job) -> None:
        raise Retryable("the disk is full")

    yard.start()
    with monkeypatch.context() as patch:
        patch.setattr(MemoryExecutor, "begin", away)
        yard.tick(3)
    assert (yard.phase(), yard.status()["attempt"]) == ("Preparing", 1)
    yard.tick(2)
    assert yard.phase() == "Running"


def test_a_recipe_that_is_gone_when_its_turn_comes_fails_the_run(yard: Yard) -> None:
    yard.start()
    (yard.plane.config.recipes / "tiny/recipe.toml").unlink()
    yard.tick()
    assert (yard.phase(), "not below" in yard.status()["message"]) == ("Failed", True)


def test_an_orderly_end_pauses_runs_and_starts_no_more(yard: Yard) -> None:
    yard.start()
    yard.tick(2)
    yard.plane.services.runs.pause()
    assert yard.job().stops == 1
    yard.ends(143)
    yard.tick(2)  # the loop's last pass may come after it
    assert yard.plane.executor.begun == [("tiny-1", 1)]
    yard.plane.services = yard.plane._services()
    yard.tick(2)
    assert (yard.phase(), yard.plane.executor.begun[-1]) == ("Running", ("tiny-1", 2))


def test_old_runs_give_their_work_back(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[str] = []
    monkeypatch.setattr(MemoryExecutor, "trim", lambda _, name: trimmed.append(name))
    for number in range(KEEP_WORK + 2):
        yard.start()
        yard.http.post(f"{RUNS}/tiny-{number + 1}/cancel")
        yard.plane.clock.tick(1)
    yard.plane.services.runs.sweep()
    yard.plane.services.runs.sweep()
    assert trimmed == ["tiny-2", "tiny-1"]
    assert [yard.status(name)["kept"] for name in ("tiny-1", "tiny-3")] == [False, True]


def test_recipes_are_shown_with_their_settings(yard: Yard) -> None:
    (item,) = yard.http.get("/api/v1/recipes").json()["items"]
    assert (item["kind"], item["metadata"], item["status"]) == ("Recipe", {"name": "tiny"}, {"problem": ""})
    assert item["spec"]["settings"][0] == {"name": "epochs", "type": "int", "default": 5, "help": "times through"}
    assert yard.http.get("/api/v1/recipes/tiny").json() == item
    assert "remove" in yard.http.delete("/api/v1/recipes/tiny").text


def test_a_control_plane_told_to_train_nothing_says_so(plane: SimControlPlane) -> None:
    plane.config = replace(plane.config, runs_at_once=0)
    plane.services = plane._services()
    with pytest.raises(Rejected, match="--runs-at-once 1"):
        plane.services.training.start(Wish("tiny"))


def test_parts_are_empty_before_a_process_was(yard: Yard) -> None:
    yard.start()
    assert yard.plane.executor.read("tiny-1", Part.LOG, 0, 9) == b""
    assert yard.http.get(f"{RUNS}/tiny-1/log").text == ""
    assert yard.http.get(f"{RUNS}/tiny-1/points").json() == {"steps": 0, "loss": [], "metrics": {}}
