"""The release manifest: every rule of what is taken, and one spelling for each value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import manifest
from protos.errors import InvalidManifest
from protos.ids import Digest, ModelName, Version, digest_of
from protos.manifest import FileEntry, ImageInput, Manifest, Measured, Variant
from tests.sim import releases

Json = dict[str, Any]
MADE = releases.make("1.0.0").manifest
SAMPLE = Path(__file__).parents[3] / "models" / "harbour" / "release" / "manifest.json"


def spelled(document: Json) -> bytes:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{text}\n".encode(errors="backslashreplace")


def changed(change: Callable[[Json], object]) -> bytes:
    """The manifest of a sound detection release after one change."""
    document: Json = json.loads(MADE)
    change(document)
    return spelled(document)


# ---- values ----

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé☃ ", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=5,
)
unknown = st.dictionaries(st.sampled_from(["signer", "note", "zürich", "A"]), json_values, max_size=2)
paths = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
entries = st.builds(
    FileEntry,
    path=paths,
    digest=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True).map(Digest),
    size=st.integers(0, 1 << 40),
    role=st.sampled_from(manifest.ROLES),
    unknown=unknown,
)
images = st.builds(
    ImageInput,
    name=texts,
    height=st.integers(1, 8192),
    width=st.integers(1, 8192),
    fit=st.sampled_from(manifest.FITS),
    pad=st.integers(0, 255),
    unknown=unknown,
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    files = draw(st.lists(entries, min_size=1, max_size=4, unique_by=lambda entry: entry.path))
    variants = st.builds(
        Variant,
        name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True),
        precision=st.sampled_from(manifest.PRECISIONS),
        file=st.sampled_from([entry.path for entry in files]),
        unknown=unknown,
    )
    return Manifest(
        name=ModelName(draw(st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True))),
        version=Version(draw(st.from_regex(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,62}", fullmatch=True))),
        task=draw(st.sampled_from(manifest.TASKS)),
        input=draw(images),
        labels=tuple(draw(st.lists(texts, min_size=1, max_size=3))),
        variants=tuple(draw(st.lists(variants, min_size=1, max_size=3, unique_by=lambda variant: variant.name))),
        files=tuple(files),
        unknown=draw(unknown),
    )


@given(manifests())
def test_what_is_written_is_read_back_and_written_the_same(made: Manifest) -> None:
    content = manifest.to_bytes(made)
    assert manifest.parse(content) == made
    assert manifest.to_bytes(manifest.parse(content)) == content


@given(manifests())
def test_a_tensor_model_needs_neither_picture_nor_labels(made: Manifest) -> None:
    plain = replace(made, task="tensor", input=None, labels=())
    assert manifest.parse(manifest.to_bytes(plain)) == plain


@given(manifests(), st.data())
def test_no_byte_can_be_changed_without_changing_what_is_read(made: Manifest, data: st.DataObject) -> None:
    content = bytearray(manifest.to_bytes(made))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        read = manifest.parse(bytes(content))
    except InvalidManifest:
        return
    assert manifest.to_bytes(read) == content


def test_the_sample_release_keeps_its_name_by_content() -> None:
    content = SAMPLE.read_bytes()
    assert manifest.to_bytes(manifest.parse(content)) == content
    assert manifest.release_digest(content) == "sha256:57f9cb4a43d8bf55a97d96f8db01a52a6715b30e04081751ba12ea1c4bf9bb33"


def test_fields_of_a_later_version_are_kept_wherever_they_stand() -> None:
    def extend(document: Json) -> None:
        for place in (document, document["input"], document["variants"][0], document["files"][1]):
            place["later"] = {"a": [1, None]}

    content = changed(extend)
    read = manifest.parse(content)
    assert read.input is not None
    for part in (read, read.input, read.variants[0], read.files[1]):
        assert part.unknown == {"later": {"a": [1, None]}}
    assert manifest.to_bytes(read) == content


def test_a_file_and_a_variant_are_found_by_name() -> None:
    read = manifest.parse(MADE)
    assert read.file("labels.txt").role == "labels"
    two = replace(read, variants=(*read.variants, Variant("small", "int8", "model.onnx")))
    assert (two.variant("int8").name, two.variant("fp16").name, two.variant().name) == ("small", "fp32", "fp32")


def test_what_the_gate_measured_is_read_and_written_and_what_it_will_say_later_is_kept() -> None:
    said = {"peakBytes": 24_000_000, "microseconds": 32_000, "threads": 1}
    content = changed(lambda document: document["variants"][0].update(measured=said))
    read = manifest.parse(content)
    assert read.variants[0].measured == Measured(24_000_000, 32_000)
    assert manifest.to_bytes(read) == content


@pytest.mark.parametrize("said", [1, {}, {"peakBytes": -1, "microseconds": 1}, {"peakBytes": 1, "microseconds": "1"}])
def test_figures_that_are_none_are_refused(said: object) -> None:
    with pytest.raises(InvalidManifest, match=r"measured|peakBytes|microseconds"):
        manifest.parse(changed(lambda document: document["variants"][0].update(measured=said)))


def test_what_a_variant_costs_is_kept_and_left_out_where_nobody_measured() -> None:
    read = manifest.parse(changed(lambda document: document["variants"][0].update(costMicroseconds=6700)))
    assert read.variants[0].cost_microseconds == 6700
    assert b'"costMicroseconds":6700' in manifest.to_bytes(read)
    assert b"cost" not in MADE


@pytest.mark.parametrize("cost", [0, -1, 1.5, "fast", None])
def test_a_cost_is_a_whole_number_of_microseconds(cost: object) -> None:
    with pytest.raises(InvalidManifest, match="costMicroseconds"):
        manifest.parse(changed(lambda document: document["variants"][0].update(costMicroseconds=cost)))


# ---- spelling ----


@pytest.mark.parametrize(
    "content",
    [
        MADE.decode().encode("utf-16"),
        MADE.decode().encode("utf-8-sig"),
        MADE.rstrip(b"\n"),
        MADE + b"\n",
        MADE.replace(b'"name":"harbour"', b'"name": "harbour"'),
        MADE.replace(b'"name":"harbour"', b'"name":"other","name":"harbour"'),
        MADE.replace(b'"harbour"', b'"h\\u0061rbour"'),
        MADE.replace(b'"pad":114', b'"pad":114,"PAD":1'),
        MADE.replace(b'"schemaVersion":1', b'"schemaVersion":1.0'),
        changed(lambda it: it.update(task="tensor", input=None)),
        changed(lambda it: it.update(note="a\ud800b")),
        MADE.replace(b'{"files"', b'{"A":NaN,"files"'),
        MADE.replace(b'{"files"', b'{"A":1e999,"files"'),
        MADE.replace(b'{"files"', b'{"A":' + b"[" * 5000 + b"]" * 5000 + b',"files"'),
    ],
)
def test_any_other_spelling_is_refused_with_the_command_to_run(content: bytes) -> None:
    with pytest.raises(InvalidManifest, match="make the release with 'longshore package'"):
        manifest.parse(content)


# ---- rules ----

DETECTION_RULES: list[tuple[str, Callable[[Json], object]]] = [
    ("schemaVersion must be 1; update Longshore", lambda it: it.update(schemaVersion=2)),
    ("schemaVersion must be 1; update Longshore", lambda it: it.pop("schemaVersion")),
    ("model name 'Harbour' must be", lambda it: it.update(name="Harbour")),
    ("'name' must be a string", lambda it: it.update(name=1)),
    ("version '1/0' must be", lambda it: it.update(version="1/0")),
    ("'version' must be a string", lambda it: it.pop("version")),
    ("task 'dreaming' must be one of detection, classification, tensor", lambda it: it.update(task="dreaming")),
    ("task 'detection' needs an image input", lambda it: it.pop("input")),
    ("'input' must be an object", lambda it: it.update(input="image")),
    ("'height' must be a whole number from 1 to 8192", lambda it: it["input"].update(height=0)),
    ("'width' must be a whole number from 1 to 8192", lambda it: it["input"].update(width=8193)),
    ("'width' must be a whole number from 1 to 8192", lambda it: it["input"].update(width=True)),
    ("fit 'crop' must be one of letterbox, stretch", lambda it: it["input"].update(fit="crop")),
    ("'pad' must be a whole number from 0 to 255", lambda it: it["input"].update(pad=256)),
    ("input name '' must be at least one character", lambda it: it["input"].update(name="")),
    ("needs the names of its classes in 'labels'", lambda it: it.update(labels=[])),
    ("'labels' must be a list of strings", lambda it: it.pop("labels")),
    ("'labels' must be a list of strings", lambda it: it.update(labels=["boat", 2])),
    (r"label 'a\\x00b' must be .* no control character", lambda it: it.update(labels=["a\0b"])),
    (r"label '\\ud800' must be .* no control character", lambda it: it.update(labels=["\ud800"])),
    (r"label 'a\\nb' must be .* no control character", lambda it: it.update(labels=["a\nb"])),
    ("label '' must be at least one character", lambda it: it.update(labels=[""])),
    ("at least one variant is needed", lambda it: it.update(variants=[])),
    ("'variants' must be a list of objects", lambda it: it.update(variants={})),
    ("two variants have the same name", lambda it: it.update(variants=it["variants"] * 2)),
    (r"variant name '\.\./\.\./x' must be", lambda it: it["variants"][0].update(name="../../x")),
    ("precision 'fp8' must be one of fp32, fp16, int8", lambda it: it["variants"][0].update(precision="fp8")),
    ("variant 'fp32' names 'x.onnx', which is not in files", lambda it: it["variants"][0].update(file="x.onnx")),
    ("size 'full' must be", lambda it: it["variants"][0].update(size="full")),
    ("size 'Small' must be", lambda it: it["variants"][0].update(size="Small")),
    ("size '' must be", lambda it: it["variants"][0].update(size="")),
    ("'size' must be a string", lambda it: it["variants"][0].update(size=640)),
    ("the first variant must be of the full size", lambda it: it["variants"][0].update(size="small")),
    ("'files' must be a list of objects", lambda it: it.update(files=["model.onnx"])),
    ("a file is listed twice", lambda it: it.update(files=it["files"] * 2)),
    ("digest 'sha256:AB' must be", lambda it: it["files"][0].update(sha256="AB")),
    ("'size' must be a whole number from 0", lambda it: it["files"][0].update(size=-1)),
    ("role 'payload' must be one of model, labels, card, wheel", lambda it: it["files"][0].update(role="payload")),
]  # fmt: skip


def test_a_lighter_size_is_read_and_written_and_the_full_one_says_nothing() -> None:
    def add(document: Json) -> None:
        document["variants"].append({**document["variants"][0], "name": "small", "size": "small"})

    content = changed(add)
    made = manifest.parse(content)
    assert [variant.size for variant in made.variants] == ["", "small"]
    assert (manifest.to_bytes(made), b'"size":"small"' in content) == (content, True)
    assert b'"size":""' not in content


@pytest.mark.parametrize(("said", "change"), DETECTION_RULES)
def test_each_broken_rule_is_named(said: str, change: Callable[[Json], object]) -> None:
    with pytest.raises(InvalidManifest, match=said) as refused:
        manifest.parse(changed(change))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "path",
    ["", ".", "..", "../model.onnx", "a/b", "/etc/passwd", "a\\b", "-rf", ".hidden", "a b", "a\n", "ä", "x" * 129],
)
def test_only_a_plain_file_name_is_a_path(path: str) -> None:
    for change in (
        lambda it: it["files"][2].update(path=path),
        lambda it: it["variants"][0].update(file=path),
    ):
        with pytest.raises(InvalidManifest, match=r"file name .* must be plain"):
            manifest.parse(changed(change))


def test_a_manifest_is_no_place_for_data() -> None:
    padded = changed(lambda it: it.update(note="x" * manifest.MAX_BYTES))
    with pytest.raises(InvalidManifest, match="are more than the 1048576 allowed"):
        manifest.parse(padded)


@pytest.mark.parametrize("content", [b"", b"[]\n", b"null\n", b'"text"\n', b"\x08\x07\x12\x04onnx", b"\xff\xfe\x00"])
def test_what_is_no_object_is_no_manifest(content: bytes) -> None:
    with pytest.raises(InvalidManifest):
        manifest.parse(content)


def agent(**more: Any) -> Manifest:
    lock = FileEntry(manifest.AGENT_LOCK, digest_of(b""), 0, "lock")
    return replace(Manifest(manifest.AGENT_MODEL, Version("0.3.1"), manifest.AGENT, None, (), (), (lock,)), **more)


def test_a_release_of_the_agent_is_wheels_and_a_lock() -> None:
    assert manifest.parse(manifest.to_bytes(agent())) == agent()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": ModelName("harbour")}, "belong together"),
        ({"task": "tensor"}, "belong together"),
        ({"labels": ("boat",)}, "no variants, labels or input"),
        ({"files": ()}, "needs requirements.lock"),
    ],
)
def test_nothing_else_passes_for_one(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidManifest, match=said):
        manifest.parse(manifest.to_bytes(agent(**more)))
