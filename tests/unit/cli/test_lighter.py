"""`longshore package --lighter`: one release of several sizes, or a sentence on why they do not suit each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.cli import lighter, worth
from protos import manifest
from protos.errors import Rejected
from protos.judged import Cost, Judged, JudgedVariant
from protos.manifest import ImageInput, Manifest, Variant
from tests.sim.clips import write_clip
from tests.sim.command import Run
from tests.sim.models import LABELS, detector, layered
from tests.sim.release_folders import release_of
from tests.unit.cli.test_package_variants import white

pytestmark = pytest.mark.timeout(300)  # the gate and the agent are processes; the green run takes seconds


def read(folder: Path) -> Manifest:
    return manifest.parse((folder / "manifest.json").read_bytes())


@pytest.fixture
def release(tmp_path: Path) -> Manifest:
    return read(release_of(layered(), tmp_path / "as it is"))


def test_two_files_become_one_release_that_tells_what_each_size_is_worth_and_the_registry_takes(
    longshore: Run, tmp_path: Path
) -> None:
    for name, sample in (("medium", layered()), ("small", detector(32, 32))):
        (tmp_path / f"{name}.onnx").write_bytes(sample.spec.model)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    labelled = white(tmp_path / "labelled", "0 0.375 0.5 0.25 0.5\n1 0.5 0.5 1 1\n")
    named = ("--name", "boats", "--version", "1", "--labels", str(tmp_path / "labels.txt"))
    sizes = ("--lighter", f"small={tmp_path / 'small.onnx'}", "--evaluate", str(labelled))
    made = longshore("package", str(tmp_path / "medium.onnx"), *named, *sizes, "-o", str(tmp_path / "out"))
    assert (made.code, "variants fp32, small" in made.out) == (0, True), made.err
    told = read(tmp_path / "out")
    assert [(each.name, each.size, each.file) for each in told.variants] == [
        ("fp32", "", "model.onnx"),
        ("small", "small", "model-small.onnx"),
    ]
    assert told.judged is not None
    assert [each.name for each in told.judged.variants] == ["fp32", "small"]
    assert all(each.measured for each in told.variants)
    assert "## Lighter sizes" in (tmp_path / "out" / "card.md").read_text()
    assert longshore("push", str(tmp_path / "out")).code == 0
    shown = longshore("describe", "release", "boats-1").out
    rows = [line.split()[0] for line in shown.splitlines() if line.split()[1:3] == ["1.0000", "100.0"]]
    assert (rows, "small is no less often right than the full size" in made.out) == (["fp32", "small"], True)


def test_a_release_gets_sizes_and_then_variants_of_its_full_size_which_alone_have_costs(
    run: Run, tmp_path: Path
) -> None:
    film = str(write_clip(tmp_path / "white.mp4", pictures=150, size=(64, 64)))
    full = release_of(layered(), tmp_path / "full")
    small = release_of(detector(32, 32), tmp_path / "small")
    words = ("--lighter", f"small={small}", "--int8", "--calibrate", film, "--version", "2")
    made = run("package", str(full), *words, "-o", str(tmp_path / "out"))
    assert (made.code, "variants fp32, small, int8" in made.out) == (0, True), made.err
    told = read(tmp_path / "out")
    assert told.version == "2"
    costs = {each.name: each.cost_microseconds is not None for each in told.variants}
    assert costs == {"fp32": True, "small": False, "int8": True}, "so agents from before sizes run the first one"


def test_sizes_that_do_not_suit_each_other_leave_nothing(run: Run, tmp_path: Path) -> None:
    full = release_of(layered(), tmp_path / "full")
    small = release_of(detector(64, 64), tmp_path / "small")
    before = {path.name for path in tmp_path.iterdir()}
    made = run("package", str(full), "--lighter", f"small={small}", "-o", str(tmp_path / "out"))
    assert (made.code, "64×64 pictures" in made.err, made.err.count("\n")) == (1, True, 1), made.err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_release_takes_releases_as_its_sizes(run: Run, tmp_path: Path) -> None:
    full = release_of(layered(), tmp_path / "full")
    (tmp_path / "small.onnx").write_bytes(b"")
    words = ("--lighter", f"small={tmp_path / 'small.onnx'}", "-o", str(tmp_path / "out"))
    made = run("package", str(full), *words)
    assert (made.code, "small.onnx first" in made.err) == (2, True), made.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": ("boat", "lorry")}, "it knows other classes than the release .boat, lorry; boat, truck."),
        ({"labels": ("truck", "boat")}, "all sizes must name the same ones in the same order"),
        ({"input": ImageInput("image", 16, 32)}, "it looks at 32×16 pictures .letterbox with 114. and the release at"),
        ({"input": ImageInput("image", 32, 32, "stretch")}, "a frame is fitted once for all sizes"),
        ({"input": ImageInput("image", 32, 32, pad=0)}, "letterbox with 0. and the release at 32×32"),
        ({"task": "classification"}, "only detectors come in sizes"),
        ({"variants": (Variant("int8", "int8", "model.onnx"),)}, "it is int8 and the release fp32"),
    ],
)
def test_a_model_that_is_no_lighter_size_of_a_release_is_refused(
    release: Manifest, changed: dict[str, object], said: str
) -> None:
    lighter.check(release, "small", release)
    with pytest.raises(Rejected, match=f"--lighter small: .*{said}"):
        lighter.check(release, "small", replace(release, **changed))  # type: ignore[arg-type]  # of its fields


def test_a_name_that_the_release_has_already_is_no_size(release: Manifest) -> None:
    taken = replace(release, variants=(*release.variants, replace(release.variants[0], name="small", size="small")))
    with pytest.raises(Rejected, match="a variant of that name already"):
        lighter.check(taken, "small", release)


@pytest.mark.parametrize("word", ["small", "=x", "Small=.", "full=.", "int8=.", "a b=."])
def test_a_size_has_a_name_of_its_own(word: str) -> None:
    with pytest.raises(Rejected, match=r"--lighter takes NAME=FILE\.onnx or NAME=RELEASE"):
        lighter.named([word])


def test_a_size_is_named_once_and_is_there(tmp_path: Path) -> None:
    assert lighter.named([f"small={tmp_path}"]) == {"small": tmp_path}
    with pytest.raises(Rejected, match="each name once"):
        lighter.named([f"small={tmp_path}", f"small={tmp_path}"])
    with pytest.raises(Rejected, match=r"--lighter small: .*gone is not there"):
        lighter.named([f"small={tmp_path / 'gone'}"])


def test_the_very_same_model_is_no_lighter_size(run: Run, tmp_path: Path) -> None:
    full, small = release_of(layered(), tmp_path / "full"), release_of(detector(32, 32), tmp_path / "small")
    same = run("package", str(full), "--lighter", f"small={full}", "-o", str(tmp_path / "out"))
    assert (same.code, "--lighter small: it is the very same model as fp32" in same.err) == (1, True), same.err
    words = ("--lighter", f"small={small}", "--lighter", f"tiny={small}")
    twice = run("package", str(full), *words, "-o", str(tmp_path / "out"))
    assert (twice.code, "--lighter tiny: it is the very same model as small" in twice.err) == (1, True), twice.err
    assert not (tmp_path / "out").exists()


def test_a_size_of_more_bytes_than_the_full_one_is_doubted_until_it_is_measured(run: Run, tmp_path: Path) -> None:
    full, large = release_of(detector(32, 32), tmp_path / "full"), release_of(layered(), tmp_path / "large")
    for one, other, said in ((full, large, True), (large, full, False)):
        made = run("package", str(one), "--lighter", f"small={other}", "-o", str(tmp_path / f"out-{said}"))
        assert (made.code, "whether it is lighter, --evaluate tells" in made.out) == (0, said), made.err


@pytest.mark.parametrize(("frame", "said"), [(8_900, []), (9_000, ["small is no cheaper than the full size here"])])
def test_a_lighter_size_that_took_no_less_time_is_said_to_gain_nothing(
    release: Manifest, frame: int, said: list[str]
) -> None:
    variants = (*release.variants, Variant("small", "fp32", "model-small.onnx", size="small"))
    small = JudgedVariant("small", 0.9, 0.7, cost=Cost(frame=frame, call=1_000))
    judged = Judged("mAP50", 60, 60, (JudgedVariant("fp32", 0.9, 0.8, cost=Cost(frame=9_000, call=1_000)), small))
    assert [each.partition(" (")[0] for each in worth.doubts(judged, variants)] == said


def test_a_lighter_size_that_is_no_less_right_is_said_to_make_the_full_one_idle(release: Manifest) -> None:
    variants = (*release.variants, Variant("small", "fp32", "model-small.onnx", size="small"))
    for right, said in ((0.79, 0), (0.80, 1)):
        judged = Judged("mAP50", 60, 60, (JudgedVariant("fp32", 0.9, 0.80), JudgedVariant("small", 0.9, right)))
        assert len(worth.doubts(judged, variants)) == said
