"""Publishing under signals, input/output errors and damage at the worst moment."""

import datetime as dt
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from itertools import product

import pytest
from conftest import PROJECT
from etf_rotation.cli.main import main
from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.gate import run_metadata
from etf_rotation.production import export, manifest, process, snapshots
from etf_rotation.production.run import Outcome, Production
from finished_build import NOON, FinishedBuild, fail_at, leave_little, produce, settings, start
from robot import Robot

LATER = NOON + dt.timedelta(minutes=1)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "factor_output" / "etf"


@pytest.fixture
def quick(monkeypatch):
    """Runs of two small files in place of a build's, for tests of what surrounds them."""
    monkeypatch.setattr(Production, "_fill", leave_little)
    monkeypatch.setattr(run_metadata, "code_version", lambda project: "abc")


@pytest.fixture(autouse=True)
def interruptible():
    """Python's own handler, whatever an earlier test of the process has installed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def robot():
    robot = Robot()
    yield robot
    robot.server.shutdown()


def ended(process_, seconds=60):
    """Wait for a process; returns code, output and errors."""
    output, errors = process_.communicate(timeout=seconds)
    return process_.returncode, output, errors


def read_until(process_, text):
    """Read a process's output up to a line that holds the text."""
    for line in process_.stdout:
        if text in line:
            return
    pytest.fail(f"{text!r} was not said: {process_.stderr.read()}")


def snapshot(root, run_id):
    return root.parent / "snapshots" / run_id


def assert_says_what_is_on_the_disk(root, code, output, before):
    """The link names a whole run, and code and output agree with it."""
    run = snapshots.current(root)
    assert run is not None
    assert manifest.faults(run) == []
    is_new = run.name != before
    assert (code == 0) is is_new, output
    assert (f"Published {run.name} as" in output) is is_new
    assert ("nothing published" in output) is not is_new


# ---------------------------------------------------------------- around the rename


@pytest.mark.parametrize("what", ["EIO", "KeyboardInterrupt"])
def test_an_error_at_any_step_never_deletes_what_the_link_names(quick, root, monkeypatch, what):
    """Every call that changes the disk fails in turn, before and after its effect."""
    first = produce(root).run_id
    seen = set()
    for function, when in product(("fsync", "replace", "symlink"), ("before", "after")):
        for number in range(1, 60):
            with monkeypatch.context() as patch:
                patch.setattr(os, function, getattr(os, function))
                fail_at(f"os.{function}:{number}:{when}:{what}")
                calls = getattr(os, function)
                try:
                    outcome = produce(root, at=LATER)
                except (OSError, KeyboardInterrupt):
                    outcome = Outcome()  # before the run had begun
                is_reached = calls.has_failed
            run = snapshots.current(root)
            assert manifest.faults(run) == []
            assert outcome.is_published is (run.name == outcome.run_id)
            assert outcome.code == (0 if outcome.is_published else 2)
            assert bool(outcome.afterwards) is (is_reached and outcome.is_published)
            seen.add((outcome.is_published, is_reached))
            snapshots.switch(root, snapshot(root, first))
            for left in (root.parent / "snapshots").iterdir():
                if left.name != first:
                    shutil.rmtree(left)
            if not is_reached:
                break
    assert seen == {(False, True), (True, True), (True, False)}


@pytest.mark.parametrize(
    "fault",
    ["os.symlink:1:after:SIGINT", "os.replace:2:before:SIGTERM", "os.replace:2:after:SIGINT"],
)
def test_a_signal_at_the_rename_is_answered_by_what_the_link_names(quick, root, fault):
    before = produce(root).run_id
    code, output, errors = ended(start(root, "--quick", "--fault", fault))
    assert errors == ""
    assert_says_what_is_on_the_disk(root, code, output, before)
    assert code == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fault", ["signal=SIGTERM", "error=EIO"])
def test_the_kernel_interrupts_the_publishing_rename(quick, root, tmp_path, fault):
    before = produce(root).run_id
    calls = "rename,renameat,renameat2"
    prefix = ["strace", "-f", "-o", str(tmp_path / "strace.log"), "-e", f"trace={calls}"]
    prefix += ["-e", f"inject={calls}:{fault}:when=2"]
    code, output, _ = ended(start(root, "--quick", prefix=prefix))
    if "INJECTED" not in (tmp_path / "strace.log").read_text() and "error" in fault:
        pytest.skip("strace may not trace here")
    assert_says_what_is_on_the_disk(root, code, output, before)
    assert (code == 0) is ("signal" in fault)


def test_many_signals_end_a_run_once(quick, root):
    before = produce(root).run_id
    faults = [f"os.fsync:{n}:before:{s}" for n in range(2, 9) for s in ("SIGTERM", "SIGINT")]
    running = start(root, "--query", *[f"--fault={fault}" for fault in faults])
    read_until(running, "in a query")
    running.send_signal(signal.SIGINT)
    code, output, errors = ended(running)
    assert (code, errors) == (2, "")
    assert "\nCould not run, nothing published: interrupted" in output
    assert_says_what_is_on_the_disk(root, code, output, before)
    failed = snapshots.runs(root.parent)[-1]
    assert (failed["status"], failed["fault"]) == ("failed", "interrupted")


def test_a_run_that_cannot_be_published_is_kept_and_can_be_restored(quick, root):
    produce(root)
    code, output, _ = ended(start(root, "--quick", "--fault", "os.symlink:1:before:EIO"))
    assert code == 2
    assert "nothing published: Input/output error" in output
    kept = snapshots.runs(root.parent)[-1]
    assert snapshots.current(root).name != kept["run_id"]
    snapshots.restore(root, kept["run_id"])
    assert snapshots.current(root).name == kept["run_id"]


@pytest.mark.parametrize("what", ["EIO", "KeyboardInterrupt", "SIGINT"])
@pytest.mark.parametrize("step", ["os.replace:1:before", "os.replace:1:after", "os.fsync:1:after"])
def test_restore_reports_the_state_of_the_link(quick, root, capsys, monkeypatch, step, what):
    first, second = produce(root).run_id, produce(root, at=LATER).run_id
    capsys.readouterr()
    for name in ("replace", "fsync"):
        monkeypatch.setattr(os, name, getattr(os, name))
    fail_at(f"{step}:{what}")
    code = main(["restore", first, "--output-root", str(root)])
    said = capsys.readouterr()
    is_restored = snapshots.current(root).name == first
    assert is_restored is (step != "os.replace:1:before")
    assert code == (0 if is_restored else 2)
    assert (f"Published {first} again" in said.out) is is_restored
    assert ("but then this failed: " in said.out) is is_restored
    assert snapshots.current(root).name in (first, second)


def test_a_link_or_run_that_is_removed_meanwhile_is_not_claimed(root):
    class Meddler(FinishedBuild):
        def __call__(self, *arguments):
            built = super().__call__(*arguments)
            root.unlink()
            root.mkdir()
            return built

    produce(root)
    outcome = Production(settings(root), Progress(), "run", lambda: LATER, Meddler()).run()
    assert (outcome.code, outcome.is_published) == (2, False)
    assert "is a real directory" in outcome.fault


def test_what_a_link_names_is_never_removed(quick, root):
    run = snapshot(root, produce(root).run_id)
    (root.parent / "mine").symlink_to(run)
    snapshots.switch(root, snapshot(root, produce(root, at=LATER).run_id))
    for path in (run, root.resolve()):
        with pytest.raises(InputError, match="is published, and stays"):
            snapshots.remove(path)
    assert snapshots.current(root).name == root.resolve().name


# --------------------------------------------------------- damaged, unfinished, foreign


def flip(path, draw):
    content = bytearray(path.read_bytes())
    place = draw.randrange(len(content) * 8)
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def test_every_flipped_bit_of_a_manifest_is_noticed(quick, root):
    whole = (snapshot(root, produce(root).run_id) / "manifest.json").read_bytes()
    assert manifest.parse(whole)[1] == manifest.WHOLE
    for place in range(len(whole) * 8):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        found, why = manifest.parse(bytes(content))
        assert found is None, place
        assert why.en.startswith("manifest.json ")
        assert why.zh.startswith("manifest.json ")
    for end in range(len(whole)):
        assert manifest.parse(whole[:end])[0] is None
    assert manifest.parse(whole + b"\n")[0] is None


@pytest.mark.parametrize("seed", range(5))
def test_a_run_with_a_damaged_manifest_is_kept_and_named(quick, root, capsys, seed):
    first, second = produce(root).run_id, produce(root, at=LATER).run_id
    draw = random.Random(seed)
    for run_id in (first, second):
        flip(snapshot(root, run_id) / "manifest.json", draw)
    capsys.readouterr()
    third = produce(root, at=LATER + dt.timedelta(minutes=1))
    said = capsys.readouterr().out
    for run_id in (first, second):
        assert (snapshot(root, run_id) / "pool_metrics_summary.csv").is_file()
        assert f"{run_id}: manifest.json" in said
    assert third.is_published
    snapshots.prune(root.parent)
    place = ["--output-root", str(root)]
    assert main(["list", *place]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(f"{first}: manifest.json ")]
    assert main(["restore", first, *place]) == 2
    assert main(["diff", first, third.run_id, *place]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(f"run {first} cannot be used: manifest.json" in line for line in errors)


def test_a_published_run_with_a_damaged_manifest_stays_and_fails_its_gate(quick, root, capsys):
    run_id = produce(root).run_id
    flip(snapshot(root, run_id) / "manifest.json", random.Random(1))
    snapshots.clean_up(root.parent, print)
    snapshots.prune(root.parent)
    assert snapshots.current(root).name == run_id
    place = ["--output-root", str(root)]
    assert main(["gate", *place]) == 1
    assert "files_unchanged" in capsys.readouterr().out
    (snapshot(root, run_id) / "manifest.json").unlink()
    snapshots.clean_up(root.parent, print)
    assert main(["gate", *place]) == 1
    assert "manifest.json is missing" in capsys.readouterr().out
    assert main(["list", *place]) == 0
    assert f"{run_id} (published): manifest.json is missing" in capsys.readouterr().out


@pytest.mark.parametrize("is_marked", [True, False], ids=["marked", "empty"])
def test_the_remains_of_a_killed_run_are_removed(quick, root, is_marked):
    produce(root)
    run = snapshots.new_run(root.parent, LATER)
    if is_marked:
        (run / "etf_rotation.duckdb").write_text("half")
        (run / "panel_A").mkdir()
    else:
        (run / "manifest.unfinished").unlink()
    said = []
    snapshots.clean_up(root.parent, said.append)
    assert said == [f"Removing {run.name}, which a run left unfinished."]
    assert not run.exists()


def die_after(steps):
    """Let this process remove and rename so many times, and kill it at the next one."""
    left = iter(range(steps))
    for name in ("replace", "unlink", "rmdir"):

        def call(original, *arguments, **keywords):
            if next(left, None) is None:
                os._exit(9)
            return original(*arguments, **keywords)

        setattr(os, name, partial(call, getattr(os, name)))


def test_a_removal_that_is_killed_is_finished_by_the_next_run(quick, root):
    """A removal that is killed at any call never leaves a run that looks damaged."""
    produce(root)
    for steps in range(30):
        run = snapshots.new_run(root.parent, LATER)
        (run / "panel_A").mkdir()
        for name in ("etf_rotation.duckdb", "panel_A/a.csv", "z.csv"):
            (run / name).write_text("x")
        manifest.write(run, manifest.read(root) | {"status": "failed"})
        child = os.fork()
        if child == 0:
            die_after(steps)
            snapshots.remove(run)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            break
        assert code == 9
        (found,) = (one for one in snapshots.survey(root.parent) if one.path == run)
        assert found.is_unfinished or (steps == 0 and found.manifest)
        snapshots.remove(run)
        assert not run.exists()
    assert steps > 4


def sealed(content):
    """A manifest with a valid checksum and any content."""
    body = json.dumps(content, indent=2).removesuffix("\n}")
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{body},\n  "manifest_sha256": "{digest}"\n}}\n'


def test_no_manifest_names_what_is_deleted(quick, root):
    """A manifest that names another folder as its run deletes neither that one nor its own."""
    victim = root.parent / "victim"
    victim.mkdir(parents=True)
    (victim / "precious").write_text("x")
    for minute in range(13):
        run = snapshots.new_run(root.parent, NOON + dt.timedelta(minutes=minute))
        content = {"format": manifest.FORMAT, **manifest_of("../victim"), "output_root": root.name}
        (run / "manifest.unfinished").unlink()
        (run / "manifest.json").write_text(sealed(content))
        produce(root, at=NOON + dt.timedelta(minutes=30 + minute))
    assert (victim / "precious").is_file()
    assert snapshots.runs(root.parent)[0]["run_id"] != "../victim"
    assert len(snapshots.runs(root.parent)) == 10
    assert len(snapshots.survey(root.parent)) == 23


def manifest_of(run_id, **changes):
    return {
        "run_id": run_id,
        "status": "passed",
        "output_root": "etf",
        "is_synthetic": False,
        "partial": [],
        "seconds": 1.0,
        "fault": "",
        "gate": [],
        "files": {},
    } | changes


FOREIGN = {
    "old": json.dumps(manifest_of("20200101T000000"), indent=2),
    "other": json.dumps({"name": "app", "version": 3}),
    "list": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "empty": "",
    "binary": "\x00\x01",
    "newer": sealed(manifest_of("20200101T000000") | {"format": 3}),
    "few": sealed({"format": manifest.FORMAT, "run_id": "20200101T000000"}),
    "wrong types": sealed({"format": 2} | manifest_of("20200101T000000", gate=["x"])),
    "wrong status": sealed({"format": 2} | manifest_of("20200101T000000", status="odd")),
}


@pytest.mark.parametrize("kind", [*FOREIGN, "file", "link", "dangling", "folder", "fifo"])
def test_a_foreign_folder_is_a_one_line_error_in_every_command(quick, root, tmp_path, capsys, kind):
    """Under the name of a run stands something else: it is named, kept, and blocks nothing."""
    own = produce(root).run_id
    path = snapshot(root, "20200101T000000")
    if kind == "file":
        path.write_text("x")
    elif kind in ("link", "dangling"):
        path.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    else:
        path.mkdir()
        if kind == "folder":
            (path / "manifest.json").mkdir()
        elif kind == "fifo":
            os.mkfifo(path / "manifest.json")
        else:
            (path / "manifest.json").write_text(FOREIGN[kind])
    capsys.readouterr()
    outcome = produce(root, at=LATER)
    assert outcome.is_published
    assert capsys.readouterr().out.count(path.name) == 1
    assert os.path.lexists(path)
    place = ["--output-root", str(root)]
    assert main(["list", *place]) == 0
    out = capsys.readouterr().out
    assert out.count(path.name) == 1
    assert own in out
    for command in (["restore", path.name], ["diff", own, path.name]):
        assert main([*command, *place]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"run {path.name} cannot be used: " in line
    assert main(["gate", "--output-dir", str(path), *place]) in (1, 2)
    assert "Traceback" not in "".join(capsys.readouterr())
    assert snapshots.prune(root.parent) == []
    assert snapshots.current(root).name == outcome.run_id


def test_a_published_link_to_a_foreign_manifest_stays(quick, root, capsys):
    run_id = produce(root).run_id
    (snapshot(root, run_id) / "manifest.json").write_text(FOREIGN["old"])
    place = ["--output-root", str(root)]
    assert main(["gate", *place]) == 1
    assert "has no checksum: an older version wrote it" in capsys.readouterr().out
    assert produce(root, at=LATER).is_published
    assert (snapshot(root, run_id) / "pool_metrics_summary.csv").is_file()


def test_only_names_that_new_run_makes_are_runs(quick, root):
    produce(root)
    for name in ("20260302T120000-1", "20260302T120000-02", "２0260302T120000", "20260302T1200"):
        (root.parent / "snapshots" / name).mkdir()
    assert len(snapshots.survey(root.parent)) == 1
    snapshots.clean_up(root.parent, print)
    assert len(list((root.parent / "snapshots").iterdir())) == 5


def test_a_dangling_link_is_said_to_be_one(quick, root, capsys):
    shutil.rmtree(snapshot(root, produce(root).run_id))
    capsys.readouterr()
    place = ["--output-root", str(root)]
    assert main(["list", *place]) == 0
    assert "names snapshots/20260302T120000, which is not there" in capsys.readouterr().out
    assert main(["gate", *place]) == 2
    assert produce(root, at=LATER).is_published


def test_an_old_run_that_cannot_be_removed_keeps_no_other(quick, root, monkeypatch):
    for minute in range(12):
        produce(root, at=NOON + dt.timedelta(minutes=minute))
    original, stuck = shutil.rmtree, snapshots.survey(root.parent)[0].path

    def rmtree(path, *arguments, **keywords):
        if stuck in path.parents:
            raise PermissionError(1, "Operation not permitted", str(path))
        original(path, *arguments, **keywords)

    monkeypatch.setitem(snapshots.KEPT, "passed", 5)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    outcome = produce(root, at=LATER + dt.timedelta(hours=1))
    assert (outcome.code, outcome.is_published) == (0, True)
    assert outcome.afterwards.startswith("Operation not permitted: ")
    assert len(snapshots.runs(root.parent)) == 5


# ---------------------------------------------------------- standard output, being told


def published_titles(robot):
    return [body["markdown"]["title"] for _, body in robot.requests]


@pytest.mark.parametrize("kind", ["full", "pipe", "closed"])
def test_a_run_that_cannot_print_publishes_and_tells_the_truth(root, robot, kind):
    env = {"DINGTALK_WEBHOOK": robot.webhook}
    if kind == "pipe":
        running = start(root, "--quick", env=env)
        running.stdout.readline()
        running.stdout.close()
        errors = running.stderr.read()
        running.wait(60)
    elif kind == "full":
        with open("/dev/full", "w") as full:
            running = start(root, "--quick", env=env, stdout=full)
            _, _, errors = ended(running)
    else:
        running = start(root, "--quick", env=env, prefix=["sh", "-c", 'exec "$@" >&-', "-"])
        _, _, errors = ended(running)
    assert running.returncode == 0
    assert snapshots.current(root) is not None
    (title,) = published_titles(robot)
    assert title.startswith("ETF rotation: published")
    incomplete = "standard output is incomplete: No space left on device\n"
    assert errors == (incomplete if kind == "full" else "")


def test_a_failed_gate_is_notified_even_if_printing_fails(root, robot):
    with open("/dev/full", "w") as full:
        running = start(
            root,
            "--status=fail",
            env={"DINGTALK_WEBHOOK": robot.webhook},
            stdout=full,
            stderr=full,
        )
        code = ended(running)[0]
    assert code == 1
    assert published_titles(robot)[0].startswith("ETF rotation: GATE FAILED, nothing published")


def test_a_fault_of_the_closing_tables_hides_no_result(root, robot):
    """If something fails after publishing, the message still says that it is published."""
    code, output, _ = ended(start(root, "--no-tables", env={"DINGTALK_WEBHOOK": robot.webhook}))
    assert code == 0
    assert "The run is over, but this failed: KeyError" in output
    assert published_titles(robot)[0].startswith("ETF rotation: published")


def command(root, *arguments, prefix=(), stdout=subprocess.PIPE):
    """A command that only looks, as a process."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "etf_rotation", *arguments, "--output-root", str(root)],
        env=os.environ | {"PYTHONPATH": str(settings(root).project / "python")},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_read_only_command_that_cannot_print_fails(quick, root):
    produce(root)
    with open("/dev/full", "w") as full:
        done = command(root, "list", stdout=full)
    assert done.returncode == 2
    assert done.stderr == "standard output is incomplete: No space left on device\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = command(root, "list", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------- signals elsewhere


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_inside_a_query_is_one_line_and_told(root, robot, name):
    running = start(root, "--query", env={"DINGTALK_WEBHOOK": robot.webhook})
    read_until(running, "in a query")
    running.send_signal(getattr(signal, name))
    code, output, errors = ended(running)
    assert (code, errors) == (2, "")
    assert "nothing published: interrupted" in output
    assert "Traceback" not in output
    assert published_titles(robot) == ["ETF rotation: COULD NOT RUN, nothing published"]
    assert "interrupted" in robot.requests[0][1]["markdown"]["text"]


def test_a_signal_inside_a_query_of_a_look_is_one_line(root, capsys, monkeypatch):
    produce(root)
    capsys.readouterr()

    def interrupted(*arguments):
        # As DuckDB answers a signal.
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(export, "records", interrupted)
    monkeypatch.setattr(process, "received", lambda: 1)
    assert main(["pools", "--output-root", str(root)]) == 2
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("fault", ["os.rmdir:1:before:SIGTERM", "os.mkdir:3:after:SIGINT"])
def test_a_signal_before_the_build_is_told(quick, root, robot, fault):
    """While the remains of a killed run are removed, and while the directory is created."""
    produce(root)
    left = snapshots.new_run(root.parent, LATER)
    env = {"DINGTALK_WEBHOOK": robot.webhook}
    code, output, errors = ended(start(root, "--quick", "--fault", fault, env=env))
    assert code == 2
    assert errors == "interrupted\n"
    assert published_titles(robot) == ["ETF rotation: COULD NOT RUN, nothing published"]
    assert "Traceback" not in output
    assert produce(root, at=LATER).is_published
    assert not list(left.parent.glob("*/manifest.unfinished"))


def test_a_signal_while_people_are_told_ends_the_wait(root, robot):
    robot.answers = ["hang"]
    running = start(root, "--quick", env={"DINGTALK_WEBHOOK": robot.webhook})
    while not robot.requests:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGTERM)
    code, output, errors = ended(running, 20)
    assert (code, errors) == (0, "")
    assert "1 not delivered (interrupted), kept for the next run" in output
    assert snapshots.current(root) is not None
    assert len(list((root.parent / "undelivered").glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("name", "delay"),
    [
        ("SIGINT", 0),
        ("SIGTERM", 0),
        ("SIGINT", 0.02),
        ("SIGTERM", 0.05),
        ("SIGINT", 0.1),
        ("SIGTERM", 0.2),
        ("SIGINT", 0.3),
    ],
)
def test_a_signal_at_any_moment_is_exit_code_2(root, name, delay):
    """The command from its first moment on, including the start of the interpreter."""
    project = settings(root).project
    running = subprocess.Popen(
        [str(project / "bin" / "etf-rotation"), "list", "--output-root", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Before the shell of bin/etf-rotation has read its first line, nobody can answer.
    while "python" not in os.readlink(f"/proc/{running.pid}/exe"):
        time.sleep(0.001)
    try:
        running.wait(delay)
    except subprocess.TimeoutExpired:
        running.send_signal(getattr(signal, name))
    code, _, errors = ended(running)
    assert code in (0, 2)
    assert errors == ("interrupted\n" if code == 2 else "")


INTERRUPTED_IMPORT = """
import time
from etf_rotation.production import process

process.take_over()
try:
    import killed_while_imported
    print("imported", flush=True)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted", process.received())
"""


def test_a_signal_during_an_import_waits_for_its_end(tmp_path):
    (tmp_path / "killed_while_imported.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT],
        env=os.environ | {"PYTHONPATH": f"{PROJECT / 'python'}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["imported", "interrupted", "1"], "")
