"""What a compiled graph is bound to, what is kept of them, and what a box says of its GPU."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agent.adapters.compiled_store import CompiledStore
from agent.inference import compiled, gpu_facts
from agent.inference.compiled import Bound, Kept, Platform
from agent.ports import EngineSpec
from agent.types import ModelInput
from protos.ids import digest_of
from tests.sim.models import detector, sum_model

L4 = Platform(("NVIDIA L4",), "550.54.15", "onnxruntime-gpu 1.31.0", "tensorrt 10.9")
SPEC = replace(detector().spec, provider="tensorrt")


def bound(platform: Platform = L4, spec: EngineSpec = SPEC) -> Bound:
    return compiled.bound(spec, platform)


def test_the_same_box_finds_what_it_compiled() -> None:
    assert bound().key == bound().key


@pytest.mark.parametrize(
    "other",
    [
        bound(replace(L4, gpus=("NVIDIA A2",))),
        bound(replace(L4, gpus=("NVIDIA L4", "NVIDIA L4"))),
        bound(replace(L4, driver="550.90.07")),
        bound(replace(L4, runtime="onnxruntime-gpu 1.31.1")),
        bound(replace(L4, tensorrt="tensorrt 10.10")),
        bound(spec=replace(SPEC, digest=digest_of(b"another release"))),
        bound(spec=replace(SPEC, model=b"another graph")),
        bound(spec=replace(SPEC, precision="fp16")),
        bound(spec=replace(SPEC, input=ModelInput(64, 64))),
        bound(spec=replace(SPEC, provider="cuda")),
    ],
    ids=["gpu", "gpus", "driver", "runtime", "tensorrt", "release", "model", "precision", "size", "provider"],
)
def test_whatever_differs_makes_another_key(other: Bound) -> None:
    assert other.key != bound().key


def test_tensorrt_is_told_the_batches_and_half_precision_only_where_it_was_judged() -> None:
    assert compiled.options(SPEC) == {
        "trt_profile_min_shapes": "image:1x32x64x3",
        "trt_profile_opt_shapes": "image:4x32x64x3",
        "trt_profile_max_shapes": "image:16x32x64x3",
    }
    assert compiled.options(replace(SPEC, precision="fp16"))["trt_fp16_enable"] == "1"
    assert compiled.options(replace(sum_model().spec, provider="tensorrt")) == {}
    assert compiled.options(detector().spec) == {}


def kept(key: str, nbytes: int, used_at: float, platform: str = "here") -> Kept:
    return Kept(key, platform, nbytes, used_at)


def test_what_was_made_for_another_platform_goes_and_then_the_longest_unused() -> None:
    there = [kept("a", 40, 1.0), kept("b", 40, 3.0), kept("c", 40, 2.0), kept("old", 1, 9.0, "before the driver")]
    assert compiled.to_drop(there, "here", "b", budget=120) == ["old"]
    assert compiled.to_drop(there, "here", "b", budget=80) == ["old", "a"]
    assert compiled.to_drop(there, "here", "b", budget=79) == ["old", "a", "c"]


def test_what_is_about_to_be_loaded_stays_even_if_it_is_too_large() -> None:
    assert compiled.to_drop([kept("a", 400, 1.0)], "here", "a", budget=10) == []


def test_a_graph_comes_back_as_it_was_put(tmp_path: Path) -> None:
    store = CompiledStore(tmp_path)
    assert (store.get("ab"), store.kept()) == (None, [])
    store.put("ab", "here", b"line\nline\0")
    assert store.get("ab") == b"line\nline\0"
    (one,) = store.kept()
    assert (one.key, one.platform) == ("ab", "here")
    assert list((tmp_path / "compiled").iterdir()) == [tmp_path / "compiled" / "ab"]


@pytest.mark.parametrize("damage", [b"", b"no head", b'{"sha256":"00","platform":"here"}\ngraph'])
def test_a_damaged_one_is_thrown_away(tmp_path: Path, damage: bytes) -> None:
    store = CompiledStore(tmp_path)
    store.put("ab", "here", b"graph")
    (tmp_path / "compiled" / "ab").write_bytes(damage)
    assert store.get("ab") is None
    assert store.kept() == []


def test_one_that_is_used_counts_as_new(tmp_path: Path) -> None:
    store = CompiledStore(tmp_path)
    store.put("ab", "here", b"graph")
    os.utime(tmp_path / "compiled" / "ab", (0, 0))
    assert store.get("ab") == b"graph"
    assert store.kept()[0].used_at > 1e9


def box(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_server_tells_its_gpus_its_driver_and_its_libraries(tmp_path: Path) -> None:
    version = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12.2.0\n"
    )
    here = box(tmp_path, proc__driver__nvidia__version=version)
    for bus, name in (("01", "NVIDIA L4"), ("02", "NVIDIA A2")):
        folder = here / f"proc/driver/nvidia/gpus/0000:{bus}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {name}\nIRQ:   \t\t 94\nGPU UUID: \t GPU-1\n")
    (here / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    (here / "usr/lib/x86_64-linux-gnu/libnvinfer.so.10.9.0").touch()
    told = gpu_facts.platform(here)
    assert told is not None
    assert (told.gpus, told.driver, told.tensorrt) == (("NVIDIA A2", "NVIDIA L4"), "550.54.15", "libnvinfer.so.10.9.0")
    assert told.runtime.startswith("onnxruntime ")


def test_a_jetson_tells_its_board_and_its_release(tmp_path: Path) -> None:
    here = box(tmp_path, etc__nv_tegra_release="# R36 (release), REVISION: 3.0, GCID: 36106755, BOARD: generic\n")
    (here / "proc/device-tree").mkdir(parents=True)
    (here / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson Orin Nano\0")
    told = gpu_facts.platform(here)
    assert told is not None
    assert (told.gpus, told.driver) == (("NVIDIA Jetson Orin Nano",), "R36 3.0")


def test_a_box_that_says_nothing_has_no_platform(tmp_path: Path) -> None:
    assert gpu_facts.platform(tmp_path) is None
