"""`longshore package --int8` and `--fp16`: variants beside fp32, or a refusal that leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from controlplane.adapters.onnx_inspector import OnnxInspector
from controlplane.cli import evaluating, trying
from controlplane.quantizing import folder
from protos import manifest
from protos.errors import Fatal, Rejected
from tests.sim.clips import write_clip
from tests.sim.command import Run
from tests.sim.models import classifier, layered, sum_model
from tests.sim.release_folders import release_of

pytestmark = pytest.mark.timeout(300)  # calibrating and judging are work; the green run takes seconds
CHECKOUT = Path(__file__).parents[3]
HARBOUR = CHECKOUT / "models" / "harbour" / "release"
CLIP = CHECKOUT / "controlplane" / "up" / "demo" / "harbour.mp4"


@pytest.fixture
def film(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "white.mp4", pictures=150, size=(64, 64)))


def colours(folder: Path, colour: tuple[int, int, int], count: int) -> Path:
    """Pictures of about one colour: blue, green, red."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(count)
    for number in range(count):
        pixels = np.clip(np.full((32, 32, 3), colour) + noise.integers(-20, 20, 3), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return folder


def test_a_release_gets_a_variant_that_the_registry_takes_and_a_box_chooses(longshore: Run, tmp_path: Path) -> None:
    target = tmp_path / "int8"
    made = longshore(
        "package", str(HARBOUR), "--int8", "--calibrate", str(CLIP), "--version", "1.1.0", "-o", str(target)
    )
    assert (made.code, "agreement with fp32's own detections" in made.out) == (0, True)
    assert "accuracy" not in made.out
    release = manifest.parse((target / "manifest.json").read_bytes())
    fp32, int8 = release.variants
    assert (fp32.name, int8.name, release.version) == ("fp32", "int8", "1.1.0")
    assert fp32.cost_microseconds
    assert int8.cost_microseconds
    assert release.file(int8.file).size < release.file(fp32.file).size / 2
    assert "## Int8" in (target / "card.md").read_text()
    assert (target / fp32.file).read_bytes() == (HARBOUR / "model.onnx").read_bytes()
    OnnxInspector().inspect(int8.file, lambda: [(target / int8.file).read_bytes()], release)
    assert longshore("push", str(target)).code == 0
    shown = longshore("try", str(target), "--source", str(CLIP), "--seconds", "1", "--output", str(tmp_path / "tried"))
    assert shown.code == 0
    cheapest = min(release.variants, key=lambda variant: variant.cost_microseconds or 0)
    assert json.loads((tmp_path / "tried" / "figures.json").read_text())["variant"] == cheapest.name


def test_a_graph_gets_int8_on_its_way_into_a_release(run: Run, tmp_path: Path, film: str) -> None:
    (tmp_path / "model.onnx").write_bytes(layered().spec.model)
    (tmp_path / "labels.txt").write_text("boat\ntruck\n")
    words = [
        str(tmp_path / "model.onnx"),
        "--name",
        "boats",
        "--version",
        "1",
        "--labels",
        str(tmp_path / "labels.txt"),
    ]
    made = run("package", *words, "--int8", "--calibrate", film, "-o", str(tmp_path / "out"))
    assert (made.code, "variants fp32, int8" in made.out) == (0, True), made.err
    assert len(manifest.parse((tmp_path / "out" / "manifest.json").read_bytes()).variants) == 2


def test_fp16_and_int8_are_added_at_once_and_the_registry_takes_both(run: Run, tmp_path: Path, film: str) -> None:
    release, target = release_of(layered(), tmp_path / "release"), tmp_path / "out"
    made = run("package", str(release), "--fp16", "--int8", "--calibrate", film, "-o", str(target))
    assert (made.code, "variants fp32, fp16, int8" in made.out) == (0, True), made.err
    described = manifest.parse((target / "manifest.json").read_bytes())
    assert [each.precision for each in described.variants] == ["fp32", "fp16", "int8"]
    assert all(each.cost_microseconds for each in described.variants)
    OnnxInspector().inspect("model-fp16.onnx", lambda: [(target / "model-fp16.onnx").read_bytes()], described)
    assert "## Fp16" in (target / "card.md").read_text()
    again = run("package", str(target), "--fp16", "--calibrate", film, "-o", str(tmp_path / "again"))
    assert (again.code, "has an fp16 variant already" in again.err) == (1, True)


def test_fp16_is_judged_by_labelled_pictures_alone(run: Run, tmp_path: Path) -> None:
    for name, colour in (("red", (30, 30, 220)), ("green", (30, 220, 30)), ("blue", (220, 30, 30))):
        colours(tmp_path / "labelled" / name, colour, 20)
    words = ["--fp16", "--evaluate", str(tmp_path / "labelled"), "-o", str(tmp_path / "out")]
    made = run("package", str(release_of(classifier(), tmp_path / "release")), *words)
    assert (made.code, "top-1 accuracy" in made.out, "judged on 60 pictures" in made.out) == (0, True, True), made.err


def test_a_refusal_names_both_numbers_and_leaves_nothing(run: Run, tmp_path: Path, film: str) -> None:
    loud = release_of(layered(1e5), tmp_path / "loud")
    before = {path.name for path in tmp_path.iterdir()}
    made = run("package", str(loud), "--int8", "--calibrate", film, "-o", str(tmp_path / "out"))
    assert (made.code, "int8 refused: agreement" in made.err, "against 1.0000 of fp32" in made.err) == (1, True, True)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_labelled_pictures_judge_a_detector_by_map50(run: Run, tmp_path: Path) -> None:
    colours(tmp_path / "labelled" / "images", (250, 250, 250), 60)
    (tmp_path / "labelled" / "labels").mkdir()
    for number in range(60):
        (tmp_path / "labelled" / "labels" / f"{number}.txt").write_text("0 0.375 0.5 0.25 0.5\n")
    calibrate = colours(tmp_path / "calibrate", (200, 200, 200), 40)
    words = ["--int8", "--calibrate", str(calibrate), "--evaluate", str(tmp_path / "labelled"), "-o"]
    made = run("package", str(release_of(layered(), tmp_path / "release")), *words, str(tmp_path / "out"))
    assert made.code == 0, made.err
    assert ["mAP50", "1.0000", "1.0000", "100.0%"] in [line.split() for line in made.out.splitlines()]
    assert "judged on 60 others" in made.out


def white(folder: Path, boxes: str) -> Path:
    """Sixty labelled pictures; the model finds in each a boat, and a truck over all of it."""
    colours(folder / "images", (250, 250, 250), 60)
    (folder / "labels").mkdir()
    for number in range(60):
        (folder / "labels" / f"{number}.txt").write_text(boxes)
    return folder


def test_a_release_is_evaluated_and_tells_it_to_boxes_and_to_people(longshore: Run, tmp_path: Path) -> None:
    labelled, target = white(tmp_path / "labelled", "0 0.375 0.5 0.25 0.5\n1 0.5 0.5 1 1\n"), tmp_path / "out"
    release = release_of(layered(), tmp_path / "release", "boats")
    words = ("package", str(release), "--evaluate", str(labelled))
    made = longshore(*words, "--version", "2", "-o", str(target))
    assert (made.code, "mAP50 on 60 pictures with 120 objects" in made.out) == (0, True), made.err
    assert f"next: longshore push {target}" in made.out
    told = manifest.parse((target / "manifest.json").read_bytes())
    assert (told.version, (target / "model.onnx").read_bytes()) == ("2", (release / "model.onnx").read_bytes())
    assert told.judged is not None
    assert (told.judged.variants[0].right, told.judged.variants[0].metric) == (1.0, 1.0)
    assert {point.max_side for point in told.judged.jpeg} == {32, 24, 16}
    assert longshore("push", str(release)).code == longshore("push", str(target)).code == 0
    shown = longshore("describe", "release", "boats-2")
    assert "judged: mAP50 on 60 pictures with 120 objects" in " ".join(shown.out.split())
    assert ["fp32", "1.0000", "100.0", "%"] in [line.split()[:4] for line in shown.out.splitlines()]
    assert len([line for line in shown.out.splitlines() if " 32 px " in line]) == 4
    plain = longshore("describe", "release", "boats-1")
    assert "judged: no evaluation: boxes take careful priors" in " ".join(plain.out.split())
    assert "Worth" not in plain.out
    rights = {
        line.split()[0]: line.split()[-2:] for line in longshore("get", "releases", "-o", "wide").out.splitlines()
    }
    assert (rights["boats-2"], rights["boats-1"][-1]) == (["100.0", "%"], "-")


def test_a_graph_is_evaluated_on_its_way_into_a_release(run: Run, tmp_path: Path) -> None:
    labelled = white(tmp_path / "labelled", "0 0.375 0.5 0.25 0.5\n")
    (tmp_path / "model.onnx").write_bytes(layered().spec.model)
    (tmp_path / "labels.txt").write_text("boat\ntruck\n")
    named = ("--name", "boats", "--version", "1", "--labels", str(tmp_path / "labels.txt"))
    words = ("package", str(tmp_path / "model.onnx"), *named, "--evaluate", str(labelled))
    made = run(*words, "-o", str(tmp_path / "out"))
    assert made.code == 0, made.err
    judged = manifest.parse((tmp_path / "out" / "manifest.json").read_bytes()).judged
    assert judged is not None
    assert (judged.variants[0].metric, judged.variants[0].right) == (1.0, 0.0)  # a truck over all of it is told, too


def test_an_evaluation_that_can_tell_nothing_leaves_nothing(run: Run, tmp_path: Path) -> None:
    labelled = white(tmp_path / "labelled", "0 0.1 0.1 0.1 0.1\n")
    release = release_of(layered(), tmp_path / "release")
    before = {path.name for path in tmp_path.iterdir()}
    made = run("package", str(release), "--evaluate", str(labelled), "-o", str(tmp_path / "out"))
    assert (made.code, "so nothing can be told" in made.err) == (1, True), made.err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_release_without_pictures_is_not_evaluated(run: Run, tmp_path: Path) -> None:
    release = release_of(sum_model(), tmp_path / "release")
    made = run("package", str(release), "--evaluate", str(tmp_path), "-o", str(tmp_path / "out"))
    assert (made.code, "a tensor release takes no pictures" in made.err) == (1, True), made.err


def test_no_picture_that_was_calibrated_on_evaluates(tmp_path: Path) -> None:
    labelled = white(tmp_path / "labelled", "0 0.375 0.5 0.25 0.5\n")
    release, wish = release_of(layered(), tmp_path / "release"), evaluating.Wish(labelled, calibrated=labelled)
    with pytest.raises(Rejected, match="every labelled picture is one that was calibrated on"):
        evaluating.make(release, wish, tmp_path / "out", lambda *_: None)


def test_class_folders_judge_a_classifier_by_top1(run: Run, tmp_path: Path) -> None:
    for name, colour in (("red", (30, 30, 220)), ("green", (30, 220, 30)), ("blue", (220, 30, 30))):
        colours(tmp_path / "labelled" / name, colour, 20)
    calibrate = colours(tmp_path / "calibrate", (120, 120, 120), 40)
    words = ["--int8", "--calibrate", str(calibrate), "--evaluate", str(tmp_path / "labelled"), "-o"]
    made = run("package", str(release_of(classifier(), tmp_path / "release")), *words, str(tmp_path / "out"))
    assert (made.code, "top-1 accuracy" in made.out, "1.0000" in made.out) == (0, True, True), made.out + made.err


def test_pictures_that_are_gone_are_named_and_the_rest_judges(run: Run, tmp_path: Path) -> None:
    for name, colour in (("red", (30, 30, 220)), ("green", (30, 220, 30)), ("blue", (220, 30, 30))):
        colours(tmp_path / "labelled" / name, colour, 20)
    (tmp_path / "labelled" / "red" / "7.png").write_bytes(b"torn")
    calibrate = colours(tmp_path / "calibrate", (120, 120, 120), 40)
    words = ["--int8", "--calibrate", str(calibrate), "--evaluate", str(tmp_path / "labelled"), "-o"]
    made = run("package", str(release_of(classifier(), tmp_path / "release")), *words, str(tmp_path / "out"))
    assert (made.code, "judged on 59 others" in made.out, "left out: " in made.out) == (0, True, True), made.err


def test_pictures_that_are_none_are_said_to_be_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(40):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(b"no picture")
    words = ("--int8", "--calibrate", str(tmp_path / "pictures"), "-o", str(tmp_path / "out"))
    made = run("package", str(release_of(layered(), tmp_path / "release")), *words)
    assert (made.code, "no picture of" in made.err, "can be read (left out:" in made.err) == (1, True, True), made.err


def test_a_folder_that_is_not_free_is_said_before_the_work(run: Run, tmp_path: Path) -> None:
    release = release_of(layered(), tmp_path / "release")
    made = run("package", str(release), "--int8", "--calibrate", str(tmp_path), "-o", str(release))
    assert (made.code, "is there already and not empty" in made.err) == (1, True), made.err


def test_a_film_that_is_too_short_says_how_many_pictures_are_wanted(run: Run, tmp_path: Path) -> None:
    short = str(write_clip(tmp_path / "short.mp4", pictures=12))
    release = release_of(layered(), tmp_path / "release")
    made = run("package", str(release), "--int8", "--calibrate", short, "-o", str(tmp_path / "out"))
    assert (made.code, "8 pictures to calibrate on are too few" in made.err) == (1, True)


def test_a_film_that_is_none_is_refused_in_the_agents_words(run: Run, tmp_path: Path) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"no film")
    release = release_of(layered(), tmp_path / "release")
    made = run(
        "package", str(release), "--int8", "--calibrate", str(tmp_path / "torn.mp4"), "-o", str(tmp_path / "out")
    )
    assert (made.code, made.err.startswith("error: ") and "no video that can be decoded" in made.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--int8",), "--int8 needs --calibrate"),
        (("--fp16",), "--fp16 needs pictures to be judged by"),
        (("--calibrate", "."), "belong to --int8"),
        ((), "a release gets --int8 or --fp16"),
        (("--int8", "--calibrate", ".", "-o", "x", "--head", "ssd"), "--head is for a .onnx file"),
        (("--int8", "--calibrate", "."), "-o wanted"),
    ],
)
def test_options_that_do_not_go_together_are_said(run: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    made = run("package", str(release_of(layered(), tmp_path / "release")), *words)
    assert (made.code, said in made.err) == (2, True), made.err


def test_what_int8_cannot_be_made_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="a tensor release takes no pictures"):
        folder.read(release_of(sum_model(), tmp_path / "sum"), "int8")
    damaged = release_of(layered(), tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"x")
    with pytest.raises(Rejected, match="is not the file its manifest names"):
        folder.read(damaged, "int8")
    with pytest.raises(Rejected, match="is no release folder"):
        folder.read(tmp_path, "int8")


def test_a_missing_agent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Fatal, match="has no agent"):
        trying.check_agent()
