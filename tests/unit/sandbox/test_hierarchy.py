"""Where cgroups of workers can lie, from what kernels of all kinds say, and what their files are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.hierarchy import (
    Absent,
    Hierarchy,
    beyond,
    counter,
    hierarchy,
    left_behind,
    limit,
    limits,
    signs,
)

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:14 - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
POD = UNIFIED.replace(" / /sys", " /kubepods/pod1/c1 /sys")
SERVICE = "0::/system.slice/longshore-agent.service\n"
OF_VERSION_1 = "9:name=systemd:/boxes\n8:pids:/\n4:memory:/boxes/one:two\n3:cpu,cpuset:/\n0::/\n"
ROOT = Path("/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("cgroups", "mounts", "folders"),
    [
        (SERVICE, UNIFIED, [ROOT / "system.slice/longshore-agent.service"]),
        ("0::/\n", UNIFIED, [ROOT]),
        ("0::/kubepods/pod1/c1\n", POD, [ROOT]),
        (OF_VERSION_1, HYBRID, [ROOT / "memory/boxes/one:two", ROOT / "pids"]),
        (OF_VERSION_1, HYBRID.replace("rw,pids", "ro,pids"), [ROOT / "memory/boxes/one:two"]),
        (OF_VERSION_1.replace("8:pids:/\n", ""), HYBRID, [ROOT / "memory/boxes/one:two"]),
        ("0::/a\n", UNIFIED.replace("/sys/fs/cgroup", r"/my\040groups"), [Path("/my groups/a")]),
    ],
    ids=["service", "namespace", "pod", "hybrid", "read-only tasks", "no tasks", "blanks"],
)
def test_the_agents_own_cgroup_is_found(cgroups: str, mounts: str, folders: list[Path]) -> None:
    found = hierarchy(cgroups, mounts)
    assert isinstance(found, Hierarchy)
    assert list(found.folders) == folders
    assert found.version == (2 if "memory" not in cgroups else 1)


@pytest.mark.parametrize(
    ("cgroups", "mounts", "reason"),
    [
        ("", "", "this kernel has no cgroup that counts memory"),
        ("9:name=systemd:/\n3:cpu:/\n", HYBRID, "this kernel has no cgroup that counts memory"),
        (SERVICE, UNIFIED.replace(" rw,nosuid", " ro,nosuid"), "/sys/fs/cgroup is read-only"),
        (OF_VERSION_1, HYBRID.replace("rw,memory", "ro,memory"), "/sys/fs/cgroup/memory is read-only"),
        (SERVICE, "", "the agent's own cgroup is not to be seen here"),
        (SERVICE, POD, "the agent's own cgroup is not to be seen here"),
        (SERVICE, UNIFIED.replace(" / /sys", " /../.. /sys"), "the agent's own cgroup is not to be seen here"),
    ],
    ids=["no kernel", "no memory", "read-only", "read-only version 1", "not mounted", "another's", "above"],
)
def test_where_there_is_no_place_the_reason_says_why(cgroups: str, mounts: str, reason: str) -> None:
    assert hierarchy(cgroups, mounts) == Absent(reason)


def test_memory_without_swap_and_tasks_are_limited_in_both_versions() -> None:
    two = limits(Hierarchy(2, ROOT / "w", ROOT / "w"), 5, 7)
    assert [(each.file.name, each.value) for each in two] == [
        ("memory.max", "5"),
        ("memory.swap.max", "0"),
        ("pids.max", "7"),
    ]
    one = limits(Hierarchy(1, ROOT / "memory/w", ROOT / "pids/w"), 5, 7)
    assert [(str(each.file.relative_to(ROOT)), each.value) for each in one] == [
        ("memory/w/memory.limit_in_bytes", "5"),
        ("memory/w/memory.memsw.limit_in_bytes", "65541"),
        ("pids/w/pids.max", "7"),
    ]
    assert [each.needed for each in two] == [each.needed for each in one] == [True, False, False]
    assert len(limits(Hierarchy(1, ROOT, None), 5, 7)) == 2


def test_a_limit_that_no_machine_reaches_is_none() -> None:
    assert limit("4831838208\n") == 4831838208
    assert limit("max\n") is None
    assert limit("9223372036854771712\n") is None


@pytest.mark.parametrize(
    ("version", "contents", "exceeded"),
    [
        (2, {"memory.events": "low 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n"}, True),
        (2, {"memory.events": "max 0\noom 0\noom_kill 1\n"}, False),
        (2, {"memory.events": "max 9\noom 0\noom_kill 0\n"}, False),
        (1, {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory.failcnt": "12\n"}, True),
        (1, {"memory.oom_control": "under_oom 0\noom_kill 1\n", "memory.failcnt": "0\n"}, False),
        (1, {"memory.oom_control": "under_oom 0\noom_kill 0\n", "memory.failcnt": "12\n"}, False),
    ],
)
def test_a_kill_at_ones_own_limit_is_told_from_one_where_the_box_ran_out(
    version: int, contents: dict[str, str], exceeded: bool
) -> None:
    found = signs(Hierarchy(version, ROOT, ROOT))
    assert all(counter(contents[file.name], name) > 0 for file, name in found) == exceeded


def test_what_agents_left_that_are_no_more_is_known_by_its_name() -> None:
    names = ["longshore-7-1", "longshore-8-1", "longshore-9-12", "longshore-agent", "init.scope", "longshore-7-x"]
    assert left_behind(names, alive=[8, 9], own=9) == ["longshore-7-1", "longshore-9-12"]


def test_the_reason_is_one_that_a_person_understands() -> None:
    assert beyond(9 << 29) == "took more memory than the 4.5 GiB it may have, and was killed"
