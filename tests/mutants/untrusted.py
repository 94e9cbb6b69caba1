"""What keeps a stranger's model from doing harm: the gate before a box, the sandbox on it, and no pickle anywhere."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_JUDGING, _RULES = (
    "controlplane/gate/judging.py",
    "tests/unit/gate/test_judging.py::test_each_rule_refuses_what_it_is_for",
)
_HOSTILE = "tests/unit/gate/test_hostile.py::"
_ONNX = "tests/unit/registry/test_onnx.py::"
_NOTHING = f"{_ONNX}test_a_process_of_the_gate_opens_connects_starts_nothing"
_LAYERS, _FILTERS = "tests/unit/sandbox/test_layers.py::", "tests/unit/sandbox/test_filters.py::"
_CGROUPS, _REPORT = "tests/unit/sandbox/test_cgroups.py::", "tests/unit/sandbox/test_report.py::"
_ENGINE = "tests/contract/test_engine_confined.py::"
_EVERY_LAYER = f"{_ENGINE}test_a_worker_says_that_every_layer_holds_before_its_model_is_loaded"


def _rule(name: str, guarantee: str, function: str, before: str) -> Mutant:
    """The gate no longer asks this rule."""
    old, new = f"    {before},\n    {function},\n", f"    {before},\n"
    return Mutant(name, guarantee, _JUDGING, old, new, (_RULES,))


GATE = (
    _rule("gate-external-data", "No model names a file.", "_external_data", "_format"),
    _rule("gate-ep-context", "No model carries native code.", "_ep_context", "_external_data"),
    _rule("gate-domain", "No model uses operators of unknown domains.", "_domains", "_ep_context"),
    _rule("gate-operator", "No model uses operators that are not on the list.", "_operators", "_domains"),
    _rule("gate-function", "No function replaces an operator, or unfolds without end.", "_functions", "_operators"),
    _rule("gate-metadata", "No model sets options of the session it runs in.", "_metadata", "_functions"),
    _rule("gate-opset", "No model is newer than boxes read.", "_opsets", "_metadata"),
    _rule("gate-nodes", "Nodes are bounded, functions unfolded.", "_nodes", "_opsets"),
    _rule("gate-depth", "Graphs are nested so deep and no deeper.", "_depth", "_nodes"),
    _rule("gate-loop", "No loop goes on without end.", "_loops", "_depth"),
    _rule("gate-weights", "Constants hold what they say.", "_weights", "_loops"),
    _rule("gate-shape", "No tensor is larger than a box can hold.", "_shapes", "_weights"),
    Mutant(
        "gate-manifest",
        "A model takes and gives what its manifest says.",
        "controlplane/gate/static.py",
        '    if not found and "task" in question:\n',
        "    if False:\n",
        (f"{_ONNX}test_a_model_that_takes_another_picture_than_the_manifest_says_is_refused",),
    ),
    Mutant(
        "gate-sound",
        "A model that the checker or type inference refuses reaches no box.",
        "controlplane/gate/static.py",
        "    return found or soundness.refusals(model, limits)\n",
        "    return found\n",
        (f"{_HOSTILE}test_a_graph_that_cannot_be_is_refused_before_any_run",),
    ),
    Mutant(
        "gate-at-push",
        "Each model file is looked at when it is pushed, whatever its packager did.",
        "controlplane/registry/service.py",
        "                path: self._inspector.inspect(path, partial(self._blobs.read, digest), manifest)\n",
        "                path: Measured(0, 0)\n",
        (
            "tests/unit/registry/test_releases.py::test_a_model_file_that_fails_inspection_makes_no_release",
            "tests/unit/registry/test_measured.py::test_the_control_plane_counts_what_it_measured_itself",
        ),
    ),
    Mutant(
        "gate-sandbox",
        "The gate's processes can open, connect and start nothing.",
        "controlplane/gate/lockdown.py",
        "    word = enter(profiles.gate(os.getpid(), growth))\n    return [",
        "    word = profiles.gate(os.getpid(), growth)\n    return [] if word else [",
        (_NOTHING,),
    ),
    Mutant(
        "gate-memory",
        "The gate's processes take memory by the size of the file, and no more.",
        "controlplane/gate/static.py",
        "lock(ROOM + TIMES * size, ",
        "lock(1 << 40, ",
        (f"{_ONNX}test_a_file_gets_memory_by_its_size_and_no_more",),
    ),
    Mutant(
        "gate-time",
        "The gate's processes have so much of the processor and no more.",
        "controlplane/gate/lockdown.py",
        "    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))\n",
        "",
        (f"{_ONNX}test_a_process_of_the_gate_that_computes_without_end_is_ended",),
    ),
    Mutant(
        "gate-watchdog",
        "A process of the gate that waits for ever is ended.",
        "controlplane/gate/runner.py",
        "            watchdog.start()\n",
        "",
        (f"{_ONNX}test_a_file_that_hangs_the_parser_is_given_up",),
    ),
    Mutant(
        "gate-secrets",
        "The gate's processes are told none of our settings.",
        "controlplane/gate/lockdown.py",
        'if not key.startswith("LONGSHORE_")}',
        "if key}",
        (f"{_ONNX}test_the_process_that_looks_sees_none_of_our_settings",),
    ),
    Mutant(
        "gate-printable",
        "Names in a model reach no terminal as they are.",
        "controlplane/gate/rules.py",
        'each if each.isprintable() else "?"',
        "each",
        ("tests/unit/gate/test_judging.py::test_a_refusal_names_file_rule_and_next_step_in_one_printable_sentence",),
    ),
)

SANDBOX = (
    Mutant(
        "landlock",
        "A worker opens no file.",
        "sandbox/landlock.py",
        '        kernel.call("landlock_restrict_self", ruleset, 0)\n',
        "",
        (f"{_LAYERS}test_landlock_alone_leaves_no_file", _EVERY_LAYER),
    ),
    Mutant(
        "landlock-network",
        "A worker connects to nobody and listens to nobody, by Landlock alone.",
        "sandbox/landlock.py",
        "network, scopes = _TCP if known >= NETWORK_VERSION else 0, ",
        "network, scopes = 0, ",
        (f"{_LAYERS}test_landlock_alone_leaves_no_connection",),
    ),
    Mutant(
        "landlock-signals",
        "A worker signals nobody, by Landlock alone.",
        "sandbox/landlock.py",
        "_SCOPES if known >= 6 else 0\n",
        "0\n",
        (f"{_LAYERS}test_landlock_alone_leaves_nobody_to_signal",),
    ),
    Mutant(
        "seccomp",
        "A worker asks the kernel for what its profile names, and nothing else.",
        "sandbox/entry.py",
        "    kernel.install(bpf.packed(bpf.program(profile, machine)))\n",
        "",
        (f"{_LAYERS}test_seccomp_alone_refuses_what_a_library_may_try", _EVERY_LAYER),
    ),
    Mutant(
        "seccomp-otherwise",
        "What no rule names is refused.",
        "sandbox/bpf.py",
        "        (RETURN, 0, 0, profile.otherwise),\n",
        "        (RETURN, 0, 0, 0x7FFF0000),\n",
        (
            f"{_FILTERS}test_what_no_rule_names_fails_as_if_it_were_not_permitted",
            f"{_FILTERS}test_a_worker_that_is_handed_everything_opens_nothing",
        ),
    ),
    Mutant(
        "seccomp-deadly",
        "What only an intruder tries ends the worker.",
        "sandbox/profiles.py",
        "        *(Rule(name, KILL) for name in DEADLY.split()),\n",
        "        *(Rule(name, FAIL) for name in DEADLY.split()),\n",
        (f"{_LAYERS}test_what_only_an_intruder_tries_ends_the_worker",),
    ),
    Mutant(
        "seccomp-exec",
        "A worker that runs a program ends.",
        "sandbox/profiles.py",
        "half=Half.HIGH)), otherwise=KILL),\n",
        "half=Half.HIGH)), otherwise=FAIL),\n",
        (f"{_FILTERS}test_an_exec_is_deadly_and_an_exec_of_nothing_only_fails",),
    ),
    Mutant(
        "seccomp-threads-only",
        "A worker starts threads and no processes.",
        "sandbox/profiles.py",
        '        Rule("clone", tests=(Test(0, (_THREAD,), mask=_THREAD),)),\n',
        '        Rule("clone"),\n',
        (f"{_FILTERS}test_every_worker_may_compute_and_speak_but_start_nothing",),
    ),
    Mutant(
        "seccomp-no-new-code",
        "No memory of an engine on the CPU becomes code.",
        "sandbox/profiles.py",
        '    Rule("mmap", tests=(Test(2, (0,), mask=_EXECUTED),)),\n',
        '    Rule("mmap"),\n',
        (
            f"{_FILTERS}test_memory_becomes_no_code",
            f"{_LAYERS}test_seccomp_alone_refuses_what_a_library_may_try",
        ),
    ),
    Mutant(
        "seccomp-own-code",
        "An engine that compiles on the CPU maps nothing as code.",
        "sandbox/profiles.py",
        'OWN_CODE = (NO_NEW_CODE[0], *plain("mprotect"))\n',
        "OWN_CODE = NEW_CODE\n",
        (
            f"{_FILTERS}test_what_compiles_changes_its_own_memory_and_maps_no_code",
            f"{_LAYERS}test_what_compiles_on_the_processor_may_make_its_own_memory_code_and_nothing_else_more",
        ),
    ),
    Mutant(
        "seccomp-foreign",
        "A call in another machine's convention ends the worker.",
        "sandbox/bpf.py",
        "    if machine.foreign is not None:\n",
        "    if False:\n",
        (f"{_FILTERS}test_a_call_in_another_machines_convention_is_deadly",),
    ),
    Mutant(
        "rlimits",
        "A worker takes so much address space and no more.",
        "sandbox/entry.py",
        "        _at_most(resource.RLIMIT_AS, _address_space() + profile.growth)\n",
        "        pass\n",
        (
            f"{_LAYERS}test_memory_beyond_the_limit_is_refused_and_the_limit_stays",
            f"{_ENGINE}test_a_model_that_asks_for_more_memory_than_it_may_have_is_refused_and_the_next_call_runs",
        ),
    ),
    Mutant(
        "capabilities",
        "Root in a sandbox is root no more.",
        "sandbox/entry.py",
        "        kernel.drop_capabilities()\n",
        "        pass\n",
        (f"{_LAYERS}test_root_in_a_sandbox_is_root_no_more",),
    ),
    Mutant(
        "layers-are-tried",
        "A layer counts when what it forbids was tried and failed.",
        "sandbox/entry.py",
        '    raise OSError(errno.EPERM, f"it was set, and yet this process can {what}")\n',
        "    return\n",
        (f"{_REPORT}test_a_layer_that_was_set_and_does_not_hold_is_told",),
    ),
    Mutant(
        "layers-come-first",
        "A worker has given up its rights before its model is loaded.",
        "agent/inference/confinement.py",
        "    return enter(profiles.engine(os.getpid(), room(load.provider, model_bytes)))\n",
        '    return Confined("engine", ())\n',
        (_EVERY_LAYER,),
    ),
    Mutant(
        "threads-are-seen",
        "Threads that Landlock came too late for are told.",
        "sandbox/entry.py",
        "    if before > 1:\n",
        "    if False:\n",
        (f"{_REPORT}test_threads_that_landlock_came_too_late_for_are_told",),
    ),
    Mutant(
        "cgroup-limit",
        "A worker that takes more memory than its cgroup has ends alone.",
        "sandbox/cgroup.py",
        "        _limit(cgroup)\n",
        "        pass\n",
        (f"{_CGROUPS}test_a_worker_is_in_a_cgroup_of_its_own_and_proves_it",),
    ),
    Mutant(
        "cgroup-entered",
        "A worker is in its cgroup before it loads anything.",
        "sandbox/cgroup.py",
        '            procs.write(b"0")\n',
        '            procs.write(b"")\n',
        (f"{_CGROUPS}test_a_worker_is_in_a_cgroup_of_its_own_and_proves_it",),
    ),
    Mutant(
        "cgroup-is-proven",
        "A worker that is not in its cgroup says so.",
        "sandbox/cgroup.py",
        "    if isinstance(mine, Absent) or not set(made_for_it) <= set(map(str, mine.folders)):\n",
        "    if isinstance(mine, Absent):\n",
        (f"{_CGROUPS}test_a_worker_that_is_not_where_it_should_be_says_so",),
    ),
    Mutant(
        "nothing-inherited",
        "A worker has nothing open of the agent's but its channel.",
        "agent/workers/process.py",
        "os.closerange(3, c); os.closerange(c + 1, 1 << 20)",
        "pass",
        ("tests/unit/workers/test_process.py::test_a_worker_has_nothing_open_that_it_was_not_given",),
    ),
)

PICKLES = (
    Mutant(
        "no-pickle",
        "Weights and checkpoints are read without unpickling.",
        "models/network/start.py",
        "load_file(file)",
        "torch.load(file)",
        ("tests/unit/foundation/test_pickles.py::test_no_module_of_ours_reads_a_pickle",),
    ),
)

MUTANTS = (*GATE, *SANDBOX, *PICKLES)
