"""The production run: build, gate, files, manifest, and the rename that publishes."""

from __future__ import annotations

import datetime as dt
import shutil
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from etf_rotation.bilingual import Bilingual
from etf_rotation.console import Progress
from etf_rotation.dbt_project import engine_options, project_vars
from etf_rotation.errors import InputError
from etf_rotation.gate import run_metadata
from etf_rotation.production import export, export_checks, manifest, process, snapshots
from etf_rotation.production.dbt_build import WORK, Build, Builder, build
from etf_rotation.production.input_changes import InputChanges, since, since_line
from etf_rotation.production.lock import raw_read_lock, run_lock
from etf_rotation.production.settings import Settings, claim
from etf_rotation.reconcile import live
from etf_rotation.report import page
from etf_rotation.texts import texts

SHANGHAI = ZoneInfo("Asia/Shanghai")
PASSED, GATE_FAILED, COULD_NOT_RUN = 0, 1, 2
INTERRUPTED = "interrupted"
GATE, METRICS = "gate.gate_checks", "marts.pool_metrics_summary"
RESOLVED = "gate.gate_resolved"


def now() -> dt.datetime:
    """Return the time in Shanghai."""
    return dt.datetime.now(SHANGHAI)


@dataclass
class Outcome:
    """The result of a run.

    `code` is the exit code. `fault` is the reason why it could not run. `afterwards`
    lists errors after the publication, which stands. `fetched` is the summary of the
    fetch that cron_daily.sh ran before.
    """

    code: int = COULD_NOT_RUN
    run_id: str = ""
    is_published: bool = False
    fault: str = ""
    afterwards: str = ""
    seconds: float = 0.0
    gate: list[dict] = field(default_factory=list)
    metrics: list[dict] = field(default_factory=list)
    metrics_before: list[dict] = field(default_factory=list)
    orders: list[dict] = field(default_factory=list)
    holdings: list[dict] = field(default_factory=list)
    returns: list[dict] = field(default_factory=list)
    resolved: list[dict] = field(default_factory=list)
    since: InputChanges | None = None
    not_compared: str = ""
    fetched: str = ""
    live: live.LiveCopy | None = None


@dataclass(frozen=True)
class Production:
    """A production run.

    `clock` returns the time in Shanghai. `builder` fills the run's directory. `command`
    is the name in the lock and the manifest.
    """

    settings: Settings
    progress: Progress
    command: str
    clock: Callable[[], dt.datetime] = now
    builder: Builder = build

    @property
    def words(self) -> dict[str, str]:
        """The names of the stages, in the chosen language."""
        return texts("console", self.settings.language)["stages"]

    def run(self, after: Callable[[Outcome, Path], None] = lambda outcome, run: None) -> Outcome:
        """Build, check, write, and publish a complete run that passes its gate.

        Parameters
        ----------
        after : callable
            Called with the outcome and the run's directory while the lock is still
            held.

        Raises
        ------
        InputError
            Raised before the build: another run is active, or the output root is
            invalid.
        OSError
            The output folder cannot be written.
        """
        base, started_at = self.settings.base, self.clock()
        claim(self.settings)
        with (
            run_lock(base, self.command, started_at, self.progress.say),
            raw_read_lock(self.settings.raw_root),
        ):
            snapshots.clean_up(base, self.progress.say)
            run = snapshots.new_run(base, started_at)
            outcome = Outcome(run_id=run.name)
            try:
                try:
                    self._fill(run, outcome)
                finally:
                    # From here on a signal is counted but ignored.
                    process.hold()
            except BaseException as error:
                # BaseException, so that an interrupted run sends a message too.
                outcome.code = COULD_NOT_RUN
                outcome.fault = INTERRUPTED if process.received() else reason(error)
            if process.received():
                # A library may have swallowed the interruption and returned.
                outcome.code, outcome.fault = COULD_NOT_RUN, INTERRUPTED
            self._end(run, started_at, outcome)
            outcome.seconds = self.progress.seconds
            try:
                after(outcome, run)
            except (Exception, KeyboardInterrupt) as error:
                # Not raised: nothing on disk changed, so the reported result must not
                # change either.
                self.progress.say(f"The run is over, but this failed: {reason(error)}")
        return outcome

    def _end(self, run: Path, started_at: dt.datetime, outcome: Outcome) -> None:
        """Conclude the run; only the link decides whether it is published."""
        why = ""
        try:
            self._conclude(run, started_at, outcome)
        except BaseException as error:
            why = reason(error)
        try:
            outcome.is_published = snapshots.is_published(self.settings.output_root, run)
            if outcome.is_published:
                outcome.afterwards = why
            elif why:
                outcome.code, outcome.fault = COULD_NOT_RUN, outcome.fault or why
                # Delete a run without a manifest: it is useless, and the disk may be
                # full.
                if not (run / manifest.MANIFEST).exists():
                    snapshots.remove(run)
        except (OSError, InputError) as error:
            outcome.code = COULD_NOT_RUN
            outcome.fault = "; ".join(filter(None, [outcome.fault or why, reason(error)]))

    def _fill(self, run: Path, outcome: Outcome) -> None:
        settings, progress = self.settings, self.progress
        data = "SYNTHETIC DATA, " if settings.is_synthetic else ""
        progress.left = self.words["left"]
        progress.expected = self._last_seconds()
        progress.stage(self.words["run"].format(run.name, f"{data}{settings.raw_root}"))
        before = self._published_database(outcome)
        built = self.builder(settings, run, before, progress)
        if not (run / snapshots.DATABASE).is_file():
            outcome.fault = built.fault or "the build left no database"
            return
        with duckdb.connect(
            str(run / snapshots.DATABASE), read_only=True, config=engine_options()
        ) as connection:
            has_gate = _read(connection, built, outcome)
            if before is not None and not settings.partial:
                self._compare(connection, before, outcome)
            outcome.code, outcome.fault = self._judge(built, outcome.gate, has_gate)
            if outcome.code == PASSED:
                progress.stage(self.words["files"])
                export.write_all(connection, run, is_synthetic=settings.is_synthetic)
        if outcome.code == PASSED:
            if not settings.select:
                outcome.live = live.copy_into(run / snapshots.DATABASE, settings.base, run.name)
                outcome.gate += export_checks.live_files(outcome.live.warnings)
            checks = export_checks.check_folder(
                run,
                is_full=not settings.partial,
                is_synthetic=settings.is_synthetic,
                pending=(page.REPORT,),
            )
            outcome.gate += checks
            if any(check["status"] == "fail" for check in checks):
                outcome.code = GATE_FAILED
        progress.stage(self.words["report"])
        self._report(run, outcome, before)

    def _report(self, run: Path, outcome: Outcome, before: Path | None) -> None:
        """Write the report; for a failed run, an error in it is ignored."""
        settings = self.settings
        try:
            page.write_report(
                run / snapshots.DATABASE,
                run / page.REPORT,
                language=settings.language,
                run=page.Run(
                    run_id=run.name,
                    unpublished=self._why_not(outcome),
                    published=before,
                    since=since_line(outcome.since, settings.language) if outcome.since else "",
                    checks=outcome.gate,
                ),
                is_synthetic=settings.is_synthetic,
            )
        except (Exception, KeyboardInterrupt) as error:
            if outcome.code == PASSED or process.received():
                raise
            self.progress.say(f"This run failed, and has no report either: {reason(error)}")

    def _why_not(self, outcome: Outcome) -> str:
        """Return why the run is not published; empty if it is."""
        if outcome.code == PASSED:
            return ", ".join(self.settings.partial)
        failed = [row for row in outcome.gate if row["status"] in ("fail", "error")]
        named = ", ".join(f"{row['pool'] or ''} {row['check_name']}".strip() for row in failed)
        return outcome.fault or named

    def _last_seconds(self) -> float | None:
        """Return the published run's duration in seconds; None if there is none."""
        published = snapshots.current(self.settings.output_root)
        found = manifest.load(published)[0] if published and not self.settings.partial else None
        return found["seconds"] if found else None

    def _published_database(self, outcome: Outcome) -> Path | None:
        """Return the published database and read its metrics, if it is readable.

        An unreadable one must not stop a new build: the gate reports its unreadable
        tables.
        """
        published = snapshots.current(self.settings.output_root)
        if published is None:
            return None
        database = published / snapshots.DATABASE
        try:
            with duckdb.connect(str(database), read_only=True) as connection:
                outcome.metrics_before = _metrics(connection)
        except duckdb.Error as error:
            self.progress.say(f"The metrics were not compared: {database}: {reason(error)}")
        return database

    def _compare(
        self, connection: duckdb.DuckDBPyConnection, before: Path, outcome: Outcome
    ) -> None:
        try:
            outcome.since = since(connection, before, self.settings.dbt_vars.get("as_of"))
        except duckdb.Error as error:
            outcome.not_compared = f"{before}: {reason(error)}"
            self.progress.say(f"The input was not compared: {outcome.not_compared}")

    def _judge(self, built: Build, gate: list[dict], has_gate: bool) -> tuple[int, str]:
        if built.could_not_run:
            lines = [f"{node.name}: {node.message}" for node in built.notable if node.is_error]
            return COULD_NOT_RUN, "; ".join([built.fault] * bool(built.fault) + lines)
        if built.has_failed or any(row["status"] == "fail" for row in gate):
            return GATE_FAILED, ""
        if not (has_gate or self.settings.partial):
            return COULD_NOT_RUN, "the build has no gate.gate_checks; nothing is published without"
        return PASSED, ""

    def _conclude(self, run: Path, started_at: dt.datetime, outcome: Outcome) -> None:
        """Write the manifest, publish the run if it passed, and remove old runs."""
        settings, progress = self.settings, self.progress
        status = manifest.PARTIAL if settings.partial else manifest.PASSED
        status = status if outcome.code == PASSED else manifest.FAILED
        if status != manifest.FAILED:
            progress.stage(self.words["manifest"])
            if (run / WORK).exists():
                shutil.rmtree(run / WORK)
        content = {
            "status": status,
            "output_root": settings.output_root.name,
            "command": self.command,
            "is_synthetic": settings.is_synthetic,
            "partial": list(settings.partial),
            "started_at": started_at.isoformat(timespec="seconds"),
            "finished_at": self.clock().isoformat(timespec="seconds"),
            "seconds": round(self.progress.seconds, 1),
            "fault": outcome.fault,
            **_facts(settings, run, is_whole=status != manifest.FAILED),
            "since_published": outcome.since and asdict(outcome.since),
            "annual_return": next(
                (row["annual_return"] for row in outcome.metrics if row["pool"] == "PORTFOLIO"),
                None,
            ),
            "gate": outcome.gate,
            "live": outcome.live and outcome.live.checksums,
        }
        manifest.write(run, content)
        if status == manifest.PASSED:
            progress.stage(self.words["publish"])
            snapshots.switch(settings.output_root, run)
        try:
            if status == manifest.PASSED:
                self._keep_live(outcome)
        finally:
            snapshots.prune(settings.base)

    def _keep_live(self, outcome: Outcome) -> None:
        """Store the published orders and the tracking outside the run's directory."""
        settings = self.settings
        live.keep_publication(
            settings.base,
            settings.project,
            outcome.orders,
            run_id=outcome.run_id,
            published_at=self.clock(),
            variables=project_vars() | settings.dbt_vars,
        )
        if outcome.live is not None:
            live.keep_tracking(settings.base, outcome.live.filled, self.clock())


def _read(connection: duckdb.DuckDBPyConnection, built: Build, outcome: Outcome) -> bool:
    """Read gate, metrics and orders from the database; return whether it has a gate."""
    has_gate = export.has(connection, GATE)
    if has_gate:
        outcome.gate = export.records(connection, f"select * from {GATE} order by all")
    outcome.gate += [
        export_checks.check_row(
            export_checks.BUILD, node.name, node.check_status, Bilingual(node.message, node.message)
        )
        for node in built.notable
        if node.check_status and not (has_gate and node.reads_gate)
    ]
    read_tables(connection, outcome)
    return has_gate


def read_tables(connection: duckdb.DuckDBPyConnection, outcome: Outcome) -> None:
    """Read the other facts for messages, from the tables that exist."""
    if export.has(connection, RESOLVED):
        outcome.resolved = export.records(connection, f"select * from {RESOLVED} order by all")
    if export.has(connection, METRICS):
        outcome.metrics = _metrics(connection)
    if export.has(connection, "marts.next_session_orders"):
        query = "select * from marts.next_session_orders order by is_simulated_pool, pool, sequence"
        outcome.orders = export.records(connection, query)
    if export.has(connection, "marts.holdings"):
        query = "select * from marts.holdings order by is_simulated_pool, pool, weight desc, symbol"
        outcome.holdings = export.records(connection, query)
    if export.has(connection, "backtest.metrics_by_period") and outcome.metrics:
        query = f"""
            select returns.* from backtest.metrics_by_period as returns
            semi join (from {METRICS} where is_live) as live
                on returns.strategy = live.strategy and returns.pool = live.pool
            order by returns.pool <> 'PORTFOLIO', returns.pool, returns.period"""
        outcome.returns = export.records(connection, query)


def _facts(settings: Settings, run: Path, *, is_whole: bool) -> dict:
    facts = {
        "code_version": run_metadata.code_version(settings.project),
        "input_fingerprint": None,
        "last_date": None,
        "vars": settings.dbt_vars,
        "row_counts": {},
    }
    if not (run / snapshots.DATABASE).is_file():
        return facts
    try:
        with duckdb.connect(str(run / snapshots.DATABASE), read_only=True) as connection:
            described = export.run_metadata(connection)
            facts["input_fingerprint"] = described.get("input_fingerprint")
            facts["last_date"] = described.get("last_date")
            facts["code_version"] = described.get("code_version") or facts["code_version"]
            facts["row_counts"] = export.row_counts(connection)
    except Exception:
        # After an interruption the database or a library may be unusable. The other
        # facts of the failed run are still useful.
        if is_whole:
            raise
    return facts


def _metrics(connection: duckdb.DuckDBPyConnection) -> list[dict]:
    return export.records(
        connection, f"select * from {METRICS} where is_live order by pool = 'PORTFOLIO', pool"
    )


def reason(error: BaseException) -> str:
    """Return an error as one line; print the stack if it is unexpected."""
    # DuckDB raises a RuntimeError if a signal interrupts its query.
    is_query = isinstance(error, (RuntimeError, duckdb.InterruptException))
    if isinstance(error, KeyboardInterrupt) or (is_query and process.received()):
        return INTERRUPTED
    if not isinstance(error, (OSError, duckdb.Error, InputError)):
        traceback.print_exception(error)
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.strerror:
        # With two file names, the second is the destination.
        name = error.filename2 or error.filename
        where = f": {name}" if name else ""
        return f"{error.strerror}{where}"
    return " ".join(str(error).split()) or type(error).__name__
