"""A support bundle is whole or not there, and nothing is written over for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protos import bundle
from protos.errors import Rejected


def breaking() -> Iterator[tuple[str, Any]]:
    yield "doctor.json", {}
    raise KeyboardInterrupt


def test_no_half_of_it_stays_when_packing_is_broken_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        bundle.write(tmp_path / "box.tar.gz", breaking())
    assert not list(tmp_path.iterdir())


def test_a_file_of_that_name_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "box.tar.gz").write_text("kept")
    with pytest.raises(Rejected, match="is there already; choose another name with -o"):
        bundle.write(tmp_path / "box.tar.gz", [])
    assert (tmp_path / "box.tar.gz").read_text() == "kept"


def test_where_nothing_can_be_written_another_place_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="choose another place with -o"):
        bundle.write(tmp_path / "not" / "there.tar.gz", [])
