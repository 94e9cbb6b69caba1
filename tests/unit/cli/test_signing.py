"""Signing on the user's machine: what is pushed, what lies there, what is withdrawn; other keys, rehearsed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from controlplane.cli import contexts
from controlplane.signing import ceremony, metadata
from controlplane.signing.documents import in_words
from controlplane.signing.keys import new_key, read_key, write_key
from controlplane.trust.repository import TrustRepository
from protos import trust
from protos.errors import Rejected
from protos.ids import ModelName, Version
from protos.trust import Listing
from tests.sim import releases
from tests.sim.clock import FakeClock
from tests.sim.command import Run, release_folder
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
def folder(tmp_path: Path) -> Path:
    return release_folder(MADE, tmp_path / "harbour-1.0.0")


@pytest.fixture
def keys(house: SimControlPlane, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of keys, whose release key the environment names."""
    monkeypatch.setenv("LONGSHORE_RELEASE_KEY", str(house.config.keys_folder / "release.key"))
    return house.config.keys_folder


def listed(house: SimControlPlane, version: str = "1.0.0") -> Listing | None:
    return house.services.trust.listings().get((ModelName("harbour"), Version(version)))


def test_a_push_signs_where_a_key_is(longshore: Run, house: SimControlPlane, folder: Path, keys: Path) -> None:
    done = longshore("push", str(folder), "--floor", "1", "--for", "x86_64-cpu", "--minimum-agent", "0.3.0")
    assert done.code == 0, done.err
    assert "signed as number 1 of harbour by " in done.out
    assert "floor 1, for x86_64-cpu, agents from 0.3.0" in done.out
    found = listed(house)
    assert found is not None
    assert in_words(found) in done.out
    assert in_words(found) in house.client.get("/releases/harbour-1-0-0").text
    assert (found.digest, found.floor, found.device_classes, found.minimum_agent) == (
        MADE.digest,
        1,
        ("x86_64-cpu",),
        "0.3.0",
    )
    again = longshore("push", str(folder), "--floor", "1", "--for", "x86_64-cpu", "--minimum-agent", "0.3.0")
    assert "signed already as number 1" in again.out


def test_without_a_key_it_is_pushed_and_told_what_is_missing(
    longshore: Run, house: SimControlPlane, folder: Path
) -> None:
    done = longshore("push", str(folder))
    assert done.code == 0
    assert (
        "not signed: boxes refuse it until somebody with a release key runs 'longshore sign harbour@1.0.0'" in done.out
    )
    assert listed(house) is None


def test_what_lies_there_is_signed_by_name_or_all_at_once(longshore: Run, house: SimControlPlane, keys: Path) -> None:
    house.push(MADE, signed=False)
    house.push(releases.make("1.1.0", size=1000), signed=False)
    house.push(releases.make("1.0.0", size=1000, name="yard"), signed=False)
    Path("harbour@1.0.0").mkdir()  # what lies here under that name is not meant
    assert "harbour@1.0.0 signed as number 1" in longshore("sign", "harbour@1.0.0").out
    done = longshore("sign", "--all")
    assert [line.split()[0] for line in done.out.splitlines()] == ["harbour@1.1.0", "yard@1.0.0"], done.err
    assert longshore("sign", "--all").out == "every release is signed\n"
    assert " #1 " in longshore("get", "releases").out
    for name in ("harbour-1-1-0", "harbour@1.1.0"):
        assert "signed.number:" in longshore("describe", "release", name).out


def test_a_release_is_withdrawn_by_name(longshore: Run, house: SimControlPlane, keys: Path) -> None:
    house.push(MADE)
    assert longshore("withdraw", "harbour@1.0.0").out == "harbour@1.0.0 withdrawn\n"
    assert listed(house) is None
    assert "is not listed" in longshore("withdraw", "harbour@1.0.0").err
    assert "release 'harbour' must read NAME@VERSION" in longshore("withdraw", "harbour").err


def test_a_release_that_is_named_twice_is_withdrawn_once(longshore: Run, house: SimControlPlane, keys: Path) -> None:
    house.push(MADE)
    assert longshore("withdraw", "harbour@1.0.0", "harbour@1.0.0").out == "harbour@1.0.0 withdrawn\n"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (("--minimum-agent", "the newest"), "--minimum-agent 'the newest' is no version; say for example 0.2.0"),
        (("--for", "quay 1"), "--for 'quay 1' names no boxes; say MACHINE-PROVIDER, such as x86_64-cpu"),
        (
            ("--floor", "9"),
            "would keep harbour@1.0.0 itself from every box for good, since it is number 1",
        ),
    ],
)
def test_terms_that_no_box_could_keep_are_not_signed(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path, wish: tuple[str, str], said: str
) -> None:
    house.push(MADE)
    for words in (("sign", "harbour@1.0.0"), ("push", str(folder))):
        done = longshore(*words, *wish)
        assert (done.code, said in done.err) == (1, True), done.err
    found = listed(house)
    assert found is not None
    assert (found.floor, found.device_classes, found.minimum_agent) == (0, (), "")


def test_terms_are_taken_back_by_saying_none(longshore: Run, house: SimControlPlane, keys: Path) -> None:
    house.push(MADE)
    assert longshore("sign", "harbour@1.0.0", "--for", "x86_64-cpu", "--minimum-agent", "0.3").code == 0
    assert longshore("sign", "harbour@1.0.0", "--for", "", "--minimum-agent", "").code == 0
    found = listed(house)
    assert found is not None
    assert (found.device_classes, found.minimum_agent) == ((), "")


def test_a_public_key_that_is_none_is_told_with_the_option_that_named_it(
    longshore: Run, house: SimControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "junk.pub").write_text("junk")
    words = ("keys", "rotate", "release", "--offline", str(house.config.keys_folder / "offline"), "--public")
    for name in ("junk.pub", "nowhere.pub"):
        assert longshore(*words, str(tmp_path / name)).err.endswith("; name another with --public\n")


def test_a_stranger_s_key_is_refused_before_anything_is_sent(
    longshore: Run, house: SimControlPlane, folder: Path, tmp_path: Path
) -> None:
    write_key(tmp_path / "mine.key", new_key())
    done = longshore("push", str(folder), "--key", str(tmp_path / "mine.key"))
    assert done.code == 1
    assert "0 of those given may sign" in done.err
    assert listed(house) is None


def test_a_key_uri_signs_as_a_file_does(longshore: Run, house: SimControlPlane, folder: Path) -> None:
    done = longshore("push", str(folder), "--key", f"file2:{house.config.keys_folder / 'release.key'}")
    assert "signed as number 1" in done.out, done.err


def test_what_signing_is_proven_from_outlives_a_power_cut(
    longshore: Run, house: SimControlPlane, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    key = f"file2:{house.config.keys_folder / 'release.key'}"
    assert longshore("push", str(folder), "--key", key).code == 0
    roots = contexts.config_path(os.environ).with_name("roots")
    kept = sorted(each.name for each in roots.iterdir())
    assert len(kept) == 2, "the root, and what was seen under it"
    for name in kept:
        assert any(each.parent == roots and each.name.startswith(f".{name}.") for each in synced), name
    assert roots in synced, "their names too"


def test_a_root_that_cannot_be_kept_is_no_ground_to_sign_on(
    longshore: Run, house: SimControlPlane, folder: Path
) -> None:
    roots = contexts.config_path(os.environ).with_name("roots")
    roots.parent.mkdir(parents=True, exist_ok=True)
    roots.write_text("a file where the folder should be")
    done = longshore("push", str(folder), "--key", f"file2:{house.config.keys_folder / 'release.key'}")
    assert (done.code, "see that you may write there" in done.err) == (1, True), done.err
    assert listed(house) is None


def test_a_control_plane_that_was_taken_over_slips_nothing_in(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path, tmp_path: Path
) -> None:
    other = SimControlPlane(tmp_path / "thief", FakeClock(unix=time.time()))
    (keys / "root.json").write_bytes(other.services.trust.root())
    other.close()
    done = longshore("push", str(folder))
    assert done.code == 1
    assert "sign nothing" in done.err


def test_what_a_push_does_not_say_of_a_signed_release_stays(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path
) -> None:
    said = ("--floor", "1", "--for", "x86_64-cpu", "--minimum-agent", "0.3.0")
    assert longshore("push", str(folder), *said).code == 0
    before = listed(house)
    assert "signed already as number 1" in longshore("push", str(folder)).out
    assert "signed already as number 1" in longshore("sign", "harbour@1.0.0").out
    assert listed(house) == before
    assert "for aarch64-cpu" in longshore("push", str(folder), "--for", "aarch64-cpu").out
    found = listed(house)
    assert found is not None
    assert (found.floor, found.device_classes, found.minimum_agent) == (1, ("aarch64-cpu",), "0.3.0")


def test_another_release_under_the_name_that_was_asked_for_is_not_signed(
    longshore: Run, house: SimControlPlane, keys: Path
) -> None:
    other = releases.make("6.6.6", size=1000)
    house.push(MADE, signed=False)
    house.push(other, signed=False)
    house.show("harbour-1-0-0", other.manifest)
    done = longshore("sign", "harbour@1.0.0")
    assert done.code == 1
    assert "shows harbour@6.6.6 as harbour-1-0-0" in done.err


def test_an_older_list_is_not_signed_again(longshore: Run, house: SimControlPlane, folder: Path, keys: Path) -> None:
    """A control plane that was taken over shows what was signed before a release was withdrawn."""
    assert longshore("push", str(folder)).code == 0
    before = house.signed_documents()
    assert longshore("withdraw", "harbour@1.0.0").code == 0
    house.bring_back(before)
    next_one = release_folder(releases.make("1.1.0", size=1000), folder.with_name("next"))
    done = longshore("push", str(next_one))
    assert done.code == 1
    assert "model-harbour.json" in done.err
    assert "this machine has seen" in done.err
    (keys / "root.seen.json").unlink()
    assert longshore("push", str(next_one)).code == 0


def test_after_an_old_backup_every_list_is_signed_above_what_boxes_saw(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path
) -> None:
    assert longshore("push", str(folder)).code == 0
    before = house.signed_documents()
    other = release_folder(releases.make("1.0.0", size=1000, name="yard"), folder.with_name("other"))
    for more in (release_folder(releases.make("1.1.0", size=1000), folder.with_name("next")), other):
        assert longshore("push", str(more)).code == 0
    boxes = {each.document.role: each.document.version for each in house.services.trust.roles()}
    house.bring_back(before)
    (keys / "root.seen.json").unlink()
    assert longshore("push", str(other)).code == 0
    done = longshore("sign", "--all", "--again")
    assert done.code == 0, done.err
    after = {each.document.role: each.document.version for each in house.services.trust.roles()}
    assert [role for role in boxes if after.get(role, 0) < boxes[role]] == []


def test_a_list_that_is_hidden_is_not_begun_anew(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path
) -> None:
    assert longshore("push", str(folder)).code == 0
    before = house.signed_documents()
    house.bring_back([each for each in before if each[0] != "model-harbour"])
    next_one = release_folder(releases.make("1.1.0", size=1000), folder.with_name("next"))
    done = longshore("push", str(next_one))
    assert done.code == 1
    assert "does not show model-harbour.json" in done.err


def test_a_root_of_a_control_plane_that_was_taken_over_is_not_climbed(
    longshore: Run, house: SimControlPlane, folder: Path, keys: Path
) -> None:
    """It has keys of its own for everything, and says that they follow those that were."""
    now, mine = int(time.time()), new_key()
    trusted = {role: ([mine.public_key], 1) for role in (trust.ROOT, trust.TARGETS, trust.SNAPSHOT, trust.TIMESTAMP)}
    root = metadata.signed(ceremony.root(2, trusted, now), [mine])
    with house.database.begin() as session:
        TrustRepository(session).add(metadata.read(trust.ROOT, root, root, trust.ROOT), root, now * 1000)
    done = longshore("push", str(folder))
    assert done.code == 1
    assert "2.root.json is not signed by the keys of the root before it; sign nothing" in done.err


def test_keys_are_told_with_where_they_are_held(longshore: Run, house: SimControlPlane) -> None:
    rows = {line.split()[0]: line.split()[1] for line in longshore("keys").out.splitlines()[1:]}
    assert rows == {
        "root": "offline",
        "targets": "offline",
        "models": "release",
        **dict.fromkeys(trust.ONLINE, "online"),
    }


# ---- rotation, rehearsed: a client that knew the fleet before finds its way, and the old keys count no more ----


@pytest.fixture
def client(house: SimControlPlane, tmp_path: Path) -> SimTufClient:
    house.push(MADE)
    answer = house.client.put("/api/v1/deployments/gate", json={"spec": {"model": "harbour", "version": "1.0.0"}})
    assert answer.status_code == 201
    made = SimTufClient(house, tmp_path / "client", house.services.trust.root())
    made.refreshed()
    return made


def finds_its_way(client: SimTufClient) -> None:
    assert client.target("assign/gate/release") is not None
    assert client.target("models/harbour/1.0.0") is not None


def trusted(house: SimControlPlane, role: str) -> set[str]:
    return {key for each in house.services.trust.roles() if each.document.role == role for key in each.keys}


@pytest.mark.parametrize("role", trust.ONLINE)
def test_each_online_key_is_replaced_alone(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path, role: str
) -> None:
    house.services.trust.forget_unused_keys()
    before = trusted(house, role)
    done = longshore("keys", "rotate", role, "--offline", str(keys / "offline"))
    assert done.code == 0, done.err
    assert not trusted(house, role) & before
    finds_its_way(client)


def test_after_all_online_keys_are_replaced_the_stolen_one_is_gone(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path
) -> None:
    house.services.trust.forget_unused_keys()
    stolen = house.config.folder / "trust" / "online.key"
    assert longshore("keys", "rotate", *trust.ONLINE, "--offline", str(keys / "offline")).code == 0
    house.services.trust.forget_unused_keys()
    assert not stolen.exists()
    finds_its_way(client)


def test_a_stolen_release_key_signs_nothing_more(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path, folder: Path, tmp_path: Path
) -> None:
    stolen = shutil.copy(keys / "release.key", tmp_path / "stolen.key")
    done = longshore("keys", "rotate", "release", "--offline", str(keys / "offline"))
    assert done.code == 0, done.err
    assert "counts no more" in done.out
    finds_its_way(client)
    next_one = release_folder(releases.make("1.1.0", size=1000), tmp_path / "next")
    assert "may sign" in longshore("push", str(next_one), "--key", str(stolen)).err
    assert "signed as number 2" in longshore("push", str(next_one)).out


def test_two_of_three_must_sign_from_now_on(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path, tmp_path: Path
) -> None:
    done = longshore("keys", "rotate", "release", "--offline", str(keys / "offline"), "--keys", "3", "--threshold", "2")
    assert done.code == 0, done.err
    files = sorted(keys.glob("release-*.key"))
    finds_its_way(client)
    house.push(releases.make("1.1.0", size=1000), signed=False)
    alone = longshore("sign", "harbour@1.1.0", "--key", str(files[0]))
    assert "waits for signatures (model-harbour 1 of 2)" in alone.out, alone.err
    assert listed(house, "1.1.0") is None
    both = ("--key", str(files[0]), "--key", str(files[2]))
    assert "signed as number 2" in longshore("sign", "harbour@1.1.0", *both).out


def test_a_public_key_held_elsewhere_takes_over(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path, tmp_path: Path
) -> None:
    hers = tmp_path / "ann.key"
    write_key(hers, new_key())
    public = tmp_path / "ann.pub"
    key = load_pem_private_key(hers.read_bytes(), password=None).public_key()
    public.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    words = ("keys", "rotate", "release", "--offline", str(keys / "offline"), "--public", str(public))
    done = longshore(*words, "--key", f"file2:{hers}")
    assert done.code == 0, done.err
    finds_its_way(client)
    house.push(releases.make("1.1.0", size=1000), signed=False)
    assert longshore("sign", "--all", "--key", f"file2:{hers}").code == 0


def test_root_and_targets_move_to_three_of_five_in_one_root_rotation(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path
) -> None:
    offline = keys / "offline"
    words = ("keys", "rotate", "root", "targets", "--offline", str(offline))
    done = longshore(*words, "--keys", "5", "--threshold", "3")
    assert done.code == 0, done.err
    versions = {each.document.role: each.document for each in house.services.trust.roles()}
    assert (versions[trust.ROOT].version, versions[trust.ROOT].threshold, versions[trust.TARGETS].threshold) == (
        2,
        3,
        3,
    )
    finds_its_way(client)
    for spare in sorted(offline.glob("root-*.key"))[:3]:
        spare.unlink()
    assert "bring the others" in longshore("keys", "renew", "--offline", str(offline)).err


def test_root_and_targets_are_good_for_another_year(
    longshore: Run, house: SimControlPlane, client: SimTufClient, keys: Path
) -> None:
    assert longshore("keys", "renew", "--offline", str(keys / "offline")).code == 0
    assert house.services.trust.file("2.root.json") == house.services.trust.root()
    finds_its_way(client)


def test_a_rotation_that_is_refused_leaves_every_key_where_it_was(
    longshore: Run, house: SimControlPlane, keys: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    before = sorted(path.name for path in keys.glob("*.key"))
    done = longshore("keys", "rotate", "release", "--offline", str(empty), "--out", str(keys))
    assert done.code == 1
    assert sorted(path.name for path in keys.glob("*.key")) == before


def test_new_keys_stay_when_a_control_plane_says_that_it_refused_them(
    longshore: Run, house: SimControlPlane, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken them all the same: boxes would then follow keys that nobody has."""
    take = house.services.trust.take

    def lying(documents: dict[str, bytes], withdrawn: frozenset[str] = frozenset()) -> tuple[str, ...]:
        take(documents, withdrawn)
        raise Rejected("no")

    monkeypatch.setattr(house.services.trust, "take", lying)
    done = longshore("keys", "rotate", "root", "--offline", str(keys / "offline"))
    assert done.code == 1
    assert "the new keys stay" in done.err
    (made,) = (keys / "offline").glob("root-*.key")
    assert read_key(made).public_key.keyid in trusted(house, trust.ROOT)
