"""The cron script as cron runs it: no environment, another folder, no terminal."""

import datetime as dt
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "bin" / "cron_daily.sh"


@pytest.fixture
def project(tmp_path):
    """The script in a project whose command only prints how it was called."""
    root = tmp_path / "pro ject"
    (root / "bin").mkdir(parents=True)
    script = root / "bin" / "cron_daily.sh"
    script.write_bytes(SCRIPT.read_bytes())
    command = root / "bin" / "etf-rotation"
    command.write_text(
        "#!/usr/bin/env bash\n"
        'echo "called with $*, root $ETF_RAW_ROOT, webhook set: ${DINGTALK_WEBHOOK:+yes}"\n'
        'echo "an error" >&2\n'
        'touch "${0%/bin/*}/published"\n'
        "exit ${TEST_CODE:-0}\n"
    )
    for path in (script, command):
        path.chmod(0o755)
    return root


def cron(project, *arguments, folder="/", **environment):
    return subprocess.run(
        [str(project / "bin" / "cron_daily.sh"), *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def write_env(project, content, name=".env"):
    path = project / name
    path.write_bytes(content.encode())
    path.chmod(0o600)
    return path


def log_of(project):
    (log,) = (project / "factor_output" / "logs").glob("cron_*.log")
    return log.read_text()


def test_nothing_is_printed_when_all_went_well(project):
    done = cron(project, "--as-of", "2024-01-05")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "called with run --as-of 2024-01-05" in log_of(project)
    assert "exit code 0" in log_of(project)


@pytest.mark.parametrize("code", [1, 2, 137])
def test_the_exit_code_is_passed_on(project, code):
    done = cron(project, TEST_CODE=str(code))
    assert done.returncode == code
    assert f"ended with code {code}" in done.stderr
    assert f"exit code {code}" in log_of(project)
    assert "an error" in log_of(project)


def test_settings_come_from_a_file(project):
    write_env(project, "ETF_RAW_ROOT='/data/raw'\nDINGTALK_WEBHOOK=https://x/?token=1\n")
    cron(project)
    assert "root /data/raw, webhook set: yes" in log_of(project)
    assert "token=1" not in log_of(project)
    other = write_env(project, "ETF_RAW_ROOT=/other\n", "other.env")
    cron(project, ETF_ENV_FILE=str(other))
    assert "root /other, webhook set: \n" in log_of(project)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("a@x.org, b@x.org", "a@x.org, b@x.org"),
        ("abcd efgh ijkl", "abcd efgh ijkl"),
        ("pa$sword`id`$(id)", "pa$sword`id`$(id)"),
        ("https://h/ok?x=1&access_token=T", "https://h/ok?x=1&access_token=T"),
        ("back\\slash # no comment", "back\\slash # no comment"),
        ('"two words"  ', "two words"),
        ("'it's'\r", "it's"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_a_setting_is_the_text_after_the_equals_sign(project, line, value):
    command = project / "bin" / "etf-rotation"
    command.write_text(
        '#!/usr/bin/env bash\nprintf \'%s\' "$EMAIL_PASSWORD" > "${0%/bin/*}/given"\n'
    )
    write_env(project, f"\ufeff# mail\n\nexport EMAIL_PASSWORD={line}\nETF_POOLS=QDII")
    done = cron(project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (project / "given").read_text() == value


def test_a_broken_settings_file_runs_nothing_and_shows_nothing(project):
    write_env(project, "# mail\nEMAIL_PASSWORD=a\nsecret words\n")
    done = cron(project)
    assert done.returncode == 2
    assert done.stderr == f"{project}/.env: line 3 is not NAME=value\n"
    assert not (project / "factor_output").exists()


def test_a_settings_file_that_is_named_must_be_there(project):
    done = cron(project, ETF_ENV_FILE="/nowhere")
    assert done.returncode == 2
    assert done.stderr == "the settings file /nowhere cannot be read (ETF_ENV_FILE)\n"
    assert not (project / "factor_output").exists()


@pytest.mark.parametrize(
    ("mode", "warns"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o644, True)]
)
def test_a_settings_file_that_others_can_read_is_named(project, mode, warns):
    path = write_env(project, "EMAIL_PASSWORD=pass-77\n")
    path.chmod(mode)
    done = cron(project)
    assert done.returncode == 0
    warning = f"warning: others can read {path}, which may hold secrets; run 'chmod 600 {path}'\n"
    assert done.stderr == (warning if warns else "")
    assert (warning in log_of(project)) is warns
    assert "pass-77" not in done.stderr + log_of(project)


def test_a_settings_file_behind_a_link_is_judged_itself(project, tmp_path):
    path = write_env(tmp_path, "ETF_POOLS=QDII\n", "settings")
    (project / ".env").symlink_to(path)
    assert cron(project).stderr == ""
    path.chmod(0o644)
    assert "others can read" in cron(project).stderr


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_a_signal_is_passed_on_and_the_run_decides_the_code(project, name):
    command = project / "bin" / "etf-rotation"
    command.write_text(
        "#!/usr/bin/env bash\n"
        "trap 'echo told; sleep 0.2; echo ended; exit 2' TERM\n"
        'touch "${0%/bin/*}/started"\n'
        "while :; do sleep 0.05; done\n"
    )
    running = subprocess.Popen([str(project / "bin" / "cron_daily.sh")], env={}, stderr=-1)
    while not (project / "started").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(getattr(signal, f"SIG{name}"))
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 2
    assert b"ended with code 2" in errors
    assert "told\nended\n== " in log_of(project)


def test_logs_are_kept_for_thirty_days(project):
    logs = project / "factor_output" / "logs"
    logs.mkdir(parents=True)
    for name, days in [("cron_20240101.log", 32), ("cron_20240102.log", 29), ("mine.txt", 99)]:
        (logs / name).write_text("x")
        then = (dt.datetime.now() - dt.timedelta(days=days)).timestamp()
        os.utime(logs / name, (then, then))
    cron(project)
    names = {path.name for path in logs.iterdir()}
    assert "cron_20240101.log" not in names
    assert {"cron_20240102.log", "mine.txt"} < names
    assert len(names) == 3


def test_the_log_of_a_day_is_that_of_shanghai_and_grows(project):
    cron(project)
    cron(project)
    (log,) = (project / "factor_output" / "logs").glob("cron_*.log")
    today = dt.datetime.now(dt.timezone(dt.timedelta(hours=8)))
    assert log.name in {f"cron_{today - dt.timedelta(seconds=s):%Y%m%d}.log" for s in (0, 60)}
    assert log.read_text().count("exit code 0") == 2
    assert log.stat().st_mode & 0o077 == 0


def test_the_log_is_private_and_what_is_published_is_not(project):
    done = subprocess.run(
        ["sh", "-c", f"umask 022; exec '{project}/bin/cron_daily.sh'"], env={}, check=False
    )
    assert done.returncode == 0
    (log,) = (project / "factor_output" / "logs").iterdir()
    assert log.stat().st_mode & 0o777 == 0o600
    assert (project / "published").stat().st_mode & 0o777 == 0o644
    assert (project / "factor_output").stat().st_mode & 0o777 == 0o755


def test_a_log_folder_that_cannot_be_made_is_code_2(project):
    (project / "factor_output").write_text("")
    assert cron(project).returncode == 2


def test_the_real_command_is_found_without_an_environment(tmp_path):
    """With the real command, up to its error that there is no data."""
    done = subprocess.run(
        [str(SCRIPT), "--raw-root", str(tmp_path), "--output-root", str(tmp_path / "etf")],
        cwd="/",
        env={"ETF_LOG_DIR": str(tmp_path / "logs"), "ETF_ENV_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (log,) = (tmp_path / "logs").iterdir()
    assert "no raw data" in log.read_text()


def test_called_through_a_link(project, tmp_path):
    link = tmp_path / "daily"
    link.symlink_to(project / "bin" / "cron_daily.sh")
    done = subprocess.run([str(link)], cwd="/", env={}, capture_output=True, check=False)
    assert done.returncode == 0
    assert "called with run" in log_of(project)


# -- fetching first --------------------------------------------------------------------

FETCHES = """#!/usr/bin/env bash
echo "called with $*"
if [ "$1" = fetch ]; then
    [ -z "${TEST_SUMMARY:-}" ] || echo "$TEST_SUMMARY" > "$ETF_FETCH_SUMMARY"
    exit "${TEST_FETCH_CODE:-0}"
fi
[ -z "${ETF_FETCH_SUMMARY:-}" ] || echo "told: $(cat "$ETF_FETCH_SUMMARY")"
exit "${TEST_CODE:-0}"
"""


@pytest.mark.parametrize("code", [0, 1, 2])
def test_it_fetches_first_and_runs_even_if_fetching_failed(project, code):
    (project / "bin" / "etf-rotation").write_text(FETCHES)
    done = cron(
        project,
        "--as-of",
        "2024-01-05",
        ETF_FETCH_SOURCE="eastmoney",
        TEST_FETCH_CODE=str(code),
        TEST_SUMMARY="Fetched 47 funds",
    )
    assert done.returncode == 0
    called = [line for line in log_of(project).splitlines() if line.startswith("called")]
    assert called == ["called with fetch", "called with run --as-of 2024-01-05"]
    assert "told: Fetched 47 funds" in log_of(project)
    message = f"etf-rotation fetch ended with code {code}, see " if code else ""
    assert done.stderr.startswith(message)
    assert bool(done.stderr) is bool(code)
    logs = project / "factor_output" / "logs"
    assert [path.name for path in logs.iterdir()] == [next(logs.glob("cron_*.log")).name]


def test_a_fetch_that_died_silently_is_reported(project):
    (project / "bin" / "etf-rotation").write_text(FETCHES)
    done = cron(project, ETF_FETCH_SOURCE="tushare", TEST_FETCH_CODE="137", TEST_CODE="1")
    assert done.returncode == 1
    assert "told: etf-rotation fetch ended with code 137" in log_of(project)


def test_without_a_source_nothing_is_fetched(project):
    (project / "bin" / "etf-rotation").write_text(FETCHES)
    assert cron(project).returncode == 0
    assert "fetch" not in log_of(project)
