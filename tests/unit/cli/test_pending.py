"""Two people, each with one key in a folder of his own: what one proposes the other sees in words, then signs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from controlplane.cli import asking
from controlplane.signing import ceremony, metadata
from controlplane.signing.keys import new_key, read_key
from controlplane.web import create_app
from protos import trust
from protos.errors import Rejected
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


def test_an_empty_id_names_no_proposal(longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    proposed(longshore(*words, "--key", ann["root"]).out)
    for tried in (("cancel", ""), ("sign", "", "--key", str(bo), "--yes")):
        done = longshore("keys", *tried)
        assert (done.code, done.err) == (1, "error: 0 proposals begin with ''; 'longshore keys pending' lists them\n")
    assert versions(house)["root"] == (1, 1)
    assert len(house.services.proposals.pending()) == 1


def test_who_signed_the_first_that_waits_is_asked_for_the_next(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path
) -> None:
    add = ("--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    proposed(longshore("keys", "propose", "root", *add, "--key", str(bo)).out)
    longshore("keys", "propose", "release", *add, "--key", ann["targets"], "--key", ann["release"])
    signed = longshore("keys", "sign", "--key", str(bo), "--yes")
    assert (signed.code, signed.out.count("published: models, targets")) == (0, 1), signed.err
    nothing = longshore("keys", "sign", "--key", str(bo), "--yes")
    assert (nothing.code, "wants no signature of these keys" in nothing.err) == (1, True)


def test_what_was_overtaken_is_told_with_its_id_and_what_to_do(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path
) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    name = proposed(longshore(*words, "--key", ann["root"]).out)
    assert longshore("keys", "renew", "--offline", str(Path(ann["root"]).parent)).code == 0
    told = longshore("keys").out.splitlines()[-1]
    assert told.startswith(f"proposal {name} was overtaken (root.json has version 2, and 2 is here): ")
    assert f"'longshore keys cancel {name}'" in told
    assert longshore("keys", "sign", name, "--key", str(bo), "--yes").code == 1


@pytest.mark.parametrize("name", ["", ".", "nowhere.key", "a" * 300, "junk"])
def test_a_key_that_is_no_file_to_read_is_told(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, name: str
) -> None:
    (bo.parent / "junk").write_bytes(b"\xff")
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    done = longshore(*words, "--key", str(bo.parent / name) if name else "")
    assert done.code == 1
    assert done.err.endswith("; name another with --key\n")


def test_a_key_is_made_with_its_public_half_and_told_line_by_line(longshore: Run, tmp_path: Path) -> None:
    made = longshore("keys", "new", str(tmp_path / "cy.key"))
    assert len(made.out.splitlines()) == 3
    refused = longshore("keys", "public", str(tmp_path / "cy.key"))
    assert "'longshore keys public file2:FILE' prints it" in refused.err
    half = longshore("keys", "public", f"file2:{tmp_path / 'cy.key'}")
    assert half.out == (tmp_path / "cy.pub").read_text()
    assert "\n  Examples:\n" in longshore("keys", "new", "--help").out


@pytest.mark.parametrize("uri", ["hsm:abc", "hv:", "hv:a/b", "awskms:", "gcpkms:", "azurekms:", "azurekms://v/keys"])
def test_a_uri_that_names_no_key_is_told_with_an_example(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], uri: str
) -> None:
    scheme = uri.partition(":")[0]
    for words in (("public", uri), ("propose", "--renew", "--key", ann["root"], "--key", uri)):
        done = longshore("keys", *words)
        assert done.code == 1
        assert f"{uri!r} is no key URI of {scheme}:; write it like {scheme}:" in done.err


def test_whoever_ends_the_question_for_a_pin_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """No signer that catches what it asks with takes it for a refusal of the key."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", _ended)
    with pytest.raises(KeyboardInterrupt):
        asking.asker({})("pin")


def _ended(*_: object, **__: object) -> str:
    raise click.Abort


@pytest.mark.parametrize(
    ("name", "told"), [("root.json", "put the one you were given there"), ("root.seen.json", "delete it")]
)
def test_notes_of_a_signer_that_are_damaged_are_named(
    longshore: Run, house: SimControlPlane, ann: dict[str, str], bo: Path, name: str, told: str
) -> None:
    words = ("keys", "propose", "root", "--add", str(bo.with_suffix(".pub")), "--threshold", "2")
    proposed(longshore(*words, "--key", ann["root"]).out)
    (bo.parent / name).write_text("[1]")
    done = longshore("keys", "sign", "--key", str(bo), "--yes")
    assert (done.code, versions(house)["root"]) == (1, (1, 1))
    assert done.err.startswith(f"error: {bo.parent / name}, ")
    assert done.err.endswith(f"{told}\n")


def test_without_any_standard_input_nobody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(Rejected, match="nobody is there to look at it"):
        asking.agreed("Sign this?", yes=False)
    with pytest.raises(Rejected, match="give it in LONGSHORE_KEY_PIN"):
        asking.asker({})("pin")
