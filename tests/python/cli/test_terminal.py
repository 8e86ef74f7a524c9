"""Output of the commands on terminals of 80 and 140 columns, and in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata

import duckdb
import pytest
from etf_rotation.console import Progress
from etf_rotation.dbt_project import PROJECT
from etf_rotation.texts import LANGUAGES

# Summary of a run on a finished database; one order belongs to a simulated pool.
CLOSING = """
import sys
from pathlib import Path
from types import SimpleNamespace
import duckdb
from etf_rotation.cli.summary import summary_text
from etf_rotation.production import export
from etf_rotation.production.run import Outcome, read_tables

database, language = sys.argv[1:]
outcome = Outcome(code=0, run_id="20260302T180000", is_published=True, seconds=31.4)
with duckdb.connect(database, read_only=True) as connection:
    outcome.gate = export.records(connection, "select * from gate.gate_checks order by all")
    read_tables(connection, outcome)
for row in outcome.orders:
    row["is_simulated_pool"] = row["pool"] == "OTHER"
root = Path("/tmp/etf_rotation_production")
print(summary_text(outcome, SimpleNamespace(
    language=language, base=root.parent, output_root=root, partial=(), is_synthetic=True,
)))
"""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns, arguments, **environment):
    """Run a command in a pseudo-terminal and return what it printed."""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        arguments,
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT / "python"), **environment},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(own, 65536)
        except OSError:  # Linux ends a terminal whose other side is closed with an error
            break
        if not part:
            break
        parts.append(part)
    os.close(own)
    assert process.wait(60) == 0, b"".join(parts).decode()
    return b"".join(parts).decode()


def breadth(line):
    """Width of a line in columns; a Chinese character takes two."""
    wide = {"W", "F"}
    return sum(2 if unicodedata.east_asian_width(letter) in wide else 1 for letter in line)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [80, 140])
def test_the_summary_of_a_run_fits_the_terminal(sample, columns, language):
    text = on_terminal(columns, [sys.executable, "-c", CLOSING, str(sample.database), language])
    assert "\x1b[" in text  # in color
    lines = ANSI.sub("", text).replace("\r", "").split("\n")
    assert [line for line in lines if breadth(line) > columns] == []
    plain = "".join(lines)
    assert {"en": "Holdings", "zh": "持仓"}[language] in plain
    assert {"en": "Next: ", "zh": "下一步"}[language] in plain
    assert re.search(r"[+-]\d+\.\d\d%", plain)


def test_a_simulated_pool_has_no_order_to_send(sample):
    arguments = [sys.executable, "-c", CLOSING, str(sample.database), "en"]
    text = on_terminal(140, arguments, NO_COLOR="1")
    start = text.index("Orders for the open of")
    orders = text[start : text.index("Holdings", start)]
    assert "QDII" in orders
    assert "OTHER" not in orders


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", ["gate", "pools"])
def test_tables_of_commands_fit_the_terminal(sample, command, columns):
    arguments = [str(PROJECT / "bin" / "etf-rotation"), command, "--database", str(sample.database)]
    text = ANSI.sub("", on_terminal(columns, arguments, ETF_LANGUAGE="zh")).replace("\r", "")
    assert [line for line in text.split("\n") if breadth(line) > columns] == []
    assert {"gate": "状态", "pools": "年化收益"}[command] in text or columns == 80


def test_a_pipe_gets_whole_rows_without_color(sample):
    arguments = [str(PROJECT / "bin" / "etf-rotation"), "gate", "--database", str(sample.database)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "\x1b[" not in done.stdout
    with duckdb.connect(str(sample.database), read_only=True) as connection:
        (count,) = connection.execute("select count(*) from gate.gate_checks").fetchall()[0]
    rows = [line for line in done.stdout.splitlines() if line.startswith(("PASS", "WARN"))]
    assert len(rows) == count


@pytest.mark.parametrize("command", ["gate", "pools"])
def test_a_closed_pipe_is_silent(sample, command):
    tool = PROJECT / "bin" / "etf-rotation"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {tool} {command} --database {sample.database} | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_progress_shows_the_time_left_if_the_last_duration_is_known(monkeypatch, tmp_path):
    with (tmp_path / "log").open("w+") as stream:
        progress = Progress(stream)
        progress.stage("files")
        progress.expected = 100.0
        monkeypatch.setattr(Progress, "seconds", 40.0)
        progress.stage("report")
        progress.nodes(5, 10, "model trades")
        monkeypatch.setattr(Progress, "seconds", 120.0)
        progress.stage("publish")
        stream.seek(0)
        lines = stream.read().splitlines()
    assert [("left" in line) for line in lines] == [False, True, True, False]
    assert "60 s left" in lines[1] and "5 of 10 nodes" in lines[2]
