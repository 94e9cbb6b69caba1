"""Two people, each with one key in a folder of his own: what one proposes the other sees in words, then signs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.signing import ceremony, metadata
from controlplane.signing.keys import new_key, read_key
from controlplane.web import create_app
from protos import trust
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.command import Run, Serving, release_folder
from tests.sim.control_plane import SimControlPlane
from tests.sim.tuf_client import SimTufClient

MADE = releases.make("1.0.0", size=1000)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[SimControlPlane]:
    """In real time, as those who sign are."""
    (tmp_path / "state").mkdir()
    made = SimControlPlane(tmp_path / "state", FakeClock(unix=time.time()))
    yield made
    made.close()


@pytest.fixture
def url(house: SimControlPlane, free_port: int) -> Iterator[str]:
    with Serving(create_app(house.services), free_port):
        yield f"http://127.0.0.1:{free_port}"


@pytest.fixture
def ann(house: SimControlPlane) -> dict[str, str]:
    """Files of the keys that the first start made, by role."""
    keys = house.config.keys_folder
    return {
        "root": str(keys / "offline" / "root.key"),
        "targets": str(keys / "offline" / "targets.key"),
        "release": str(keys / "release.key"),
    }


@pytest.fixture
def bo(longshore: Run, house: SimControlPlane, tmp_path: Path) -> Path:
    """His key, with the root that he was given beside it."""
    folder = tmp_path / "bo"
    folder.mkdir()
    (folder / "root.json").write_bytes((house.config.keys_folder / "root.json").read_bytes())
    done = longshore("keys", "new", str(folder / "bo.key"))
    assert done.code == 0, done.err
    return folder / "bo.key"


def proposed(text: str) -> str:
    found = re.search(r"proposal ([0-9a-f]{12}) waits", text)
    assert found is not None, text
    return found[1]


def versions(house: SimControlPlane) -> dict[str, tuple[int, int]]:
    """Version and threshold, by role."""
    roles = house.services.trust.roles()
    return {each.document.role: (each.document.version, each.document.threshold) for each in roles}


def two_release_keys(longshore: Run, ann: dict[str, str], bo: Path) -> None:
    words = ("keys", "propose", "release", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    made = longshore(*words, "--key", ann["targets"], "--key", ann["release"])
    signed = longshore("keys", "sign", proposed(made.out), "--key", str(bo), "--yes")
    assert "published" in signed.out, made.out + signed.err


def test_root_moves_to_two_people_and_no_machine_holds_both_keys(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, tmp_path: Path
) -> None:
    boxes = SimTufClient(house, tmp_path / "client", house.services.trust.root())
    boxes.refreshed()
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    made = longshore(*words, "--key", ann["root"])
    assert made.code == 0, made.err
    assert "root: 1 of 1 → 2 of 2 must sign" in made.out
    name = proposed(made.out)
    assert f"proposal {name} waits for signatures (root 1 of 2)" in longshore("keys").out
    assert "root 1 of 2" in longshore("keys", "pending").out
    signed = longshore("keys", "sign", name, "--key", str(bo), "--yes")
    assert "root: 1 of 1 → 2 of 2 must sign" in signed.out
    assert read_key(bo).public_key.keyid in signed.out
    assert "published: root" in signed.out, signed.err
    assert versions(house)["root"] == (2, 2)
    boxes.refreshed()
    assert "nothing waits for signatures" in longshore("keys", "pending").err
    alone = longshore("keys", "propose", "--renew", "--key", ann["root"], "--key", ann["targets"])
    assert "published" in longshore("keys", "sign", "--key", str(bo), "--yes").out, alone.out
    assert versions(house)["root"] == (3, 2)
    boxes.refreshed()


def test_a_release_that_two_must_sign_is_seen_and_signed_by_the_other(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, tmp_path: Path
) -> None:
    two_release_keys(longshore, ann, bo)
    folder = release_folder(MADE, tmp_path / "harbour-1.0.0")
    pushed = longshore("push", str(folder), "--floor", "1", "--key", ann["release"])
    assert "waits for signatures" in pushed.out, pushed.err
    assert house.services.trust.listings() == {}
    signed = longshore("keys", "sign", proposed(pushed.out), "--key", str(bo), "--yes")
    for told in ("+ harbour@1.0.0 (number 1)", MADE.digest, "floor 1: boxes run nothing below that number again"):
        assert told in signed.out
    assert "published" in signed.out, signed.err
    assert len(house.services.trust.listings()) == 1
    gone = longshore("withdraw", "harbour@1.0.0", "--key", str(bo))
    signed = longshore("keys", "sign", "--key", ann["release"], "--yes")
    assert "− harbour@1.0.0 (number 1): boxes install it no more" in signed.out, gone.out + signed.err
    assert house.services.trust.listings() == {}


def test_nobody_signs_what_nobody_looked_at(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path
) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    name = proposed(longshore(*words, "--key", ann["root"]).out)
    done = longshore("keys", "sign", name, "--key", str(bo))
    assert done.code == 1
    assert "nobody is there to look at it" in done.err
    assert versions(house)["root"] == (1, 1)


def test_a_proposal_is_cancelled_by_its_id(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path
) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    name = proposed(longshore(*words, "--key", ann["root"]).out)
    assert longshore("keys", "cancel", name).out == f"proposal {name} cancelled\n"
    assert "0 proposals begin with" in longshore("keys", "sign", name, "--key", str(bo), "--yes").err


def test_a_proposal_that_was_overtaken_is_refused_and_says_so(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path
) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    name = proposed(longshore(*words, "--key", ann["root"]).out)
    assert longshore("keys", "renew", "--offline", str(Path(ann["root"]).parent)).code == 0
    done = longshore("keys", "sign", name, "--key", str(bo), "--yes")
    assert "overtaken" in done.out
    assert versions(house)["root"] == (2, 1)


def test_what_the_control_plane_says_of_a_proposal_is_not_believed(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was taken over: it has keys of its own for everything, and tells that nothing changes."""
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    name = proposed(longshore(*words, "--key", ann["root"]).out)
    mine = new_key()
    roles = (trust.ROOT, trust.TARGETS, trust.SNAPSHOT, trust.TIMESTAMP)
    held = {role: ([mine.public_key, read_key(bo).public_key], 1) for role in roles}
    root = metadata.signed(ceremony.root(2, held, int(time.time())), [mine])
    pending = house.services.proposals.pending

    def lying() -> list[object]:
        return [_with(each, documents={trust.ROOT: root}, changes=("nothing changes",)) for each in pending()]

    monkeypatch.setattr(house.services.proposals, "pending", lying)
    done = longshore("keys", "sign", name, "--key", str(bo), "--yes")
    assert "nothing changes" not in done.out
    assert f"+ {mine.public_key.keyid} (ed25519)" in done.out
    assert done.code == 1  # the honest part of it finds the signature to be over something else


def _with(item: object, **changed: object) -> object:
    import dataclasses

    return dataclasses.replace(item, **changed)  # type: ignore[type-var]  # a Proposal


def test_a_role_moves_to_another_key_at_once_where_all_who_must_sign_are_here(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, tmp_path: Path
) -> None:
    boxes = SimTufClient(house, tmp_path / "client", house.services.trust.root())
    boxes.refreshed()
    old = read_key(Path(ann["root"])).public_key.keyid
    words = ("keys", "propose", "root", "--add", f"file2:{bo}", "--remove", old[:8])
    done = longshore(*words, "--key", ann["root"], "--key", f"file2:{bo}")
    assert done.out.splitlines()[-1] == "published", done.err
    assert f"− {old} (ed25519)" in done.out
    boxes.refreshed()


def test_online_keys_are_replaced_by_a_proposal_too(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], tmp_path: Path
) -> None:
    words = ("keys", "propose", "timestamp", "snapshot", "assign", "--key", ann["root"], "--key", ann["targets"])
    assert "published" in longshore(*words).out
    assert "name online roles alone" in longshore(*words, "--threshold", "2").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody", "--threshold", "2"), "there is no role 'nobody'"),
        (("root",), "say what changes"),
        ((), "name roles"),
        (("root", "--remove", "zz"), "root has 0 keys that begin with 'zz'"),
        (("root", "--threshold", "2"), "its threshold must be from 1 to that"),
        (("release", "--threshold", "1"), "none of the keys given may sign this"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], words: tuple[str, ...], said: str
) -> None:
    done = longshore("keys", "propose", *words, "--key", ann["root"])
    assert done.code == 1
    assert said in done.err
