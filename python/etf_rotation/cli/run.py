"""The commands that build: the full run, and parts of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from etf_rotation.cli.options import (
    CODES_AND_ENVIRONMENT,
    Acting,
    Process,
    input_options,
    output_option,
)
from etf_rotation.cli.summary import summary_text
from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.fetch import summary
from etf_rotation.notification import channels, messages
from etf_rotation.notification.delivery import SPOOL, tell
from etf_rotation.production import dry_run as checked
from etf_rotation.production import process
from etf_rotation.production import snapshots as publish
from etf_rotation.production.custom_pool import project_with_pool
from etf_rotation.production.run import (
    COULD_NOT_RUN,
    PASSED,
    Outcome,
    Production,
    now,
    reason,
)
from etf_rotation.production.settings import Settings, language, output_root, resolve
from etf_rotation.texts import LANGUAGES

PANELS = ("+factor_panel", "+factor_summary", "+run_metadata")
BACKTEST = ("+path:models/backtest", "+path:models/capacity", "+pool_metrics_summary")
output_dir_option = click.option(
    "--output-dir", metavar="FOLDER", help="Also copy the folders panel_{POOL} here."
)


@click.command(cls=Acting, epilog=CODES_AND_ENVIRONMENT)
@input_options
@output_option
@click.option(
    "--skip-backtest",
    is_flag=True,
    help="Skip the backtest and all that depends on it: capacity, orders, gate.",
)
@click.option("--skip-capacity", is_flag=True, help="Skip capacity and all that depends on it.")
@click.option("--skip-snapshot", is_flag=True, help="Build and run the gate, but publish nothing.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the input and show the plan; build and publish nothing.",
)
@click.option(
    "--publish", is_flag=True, help="Publish even if --as-of is before the last published session."
)
@click.pass_obj
def run(own: Process, /, *, dry_run: bool, **options: Any) -> int:
    """Build everything, run the gate, publish the whole run or nothing, and notify."""
    progress = Progress()
    if dry_run:
        return _dry_run(resolve(options, os.environ), own.secrets)
    fetched = summary.found(os.environ)
    tell_all = partial(_tell, fetched=fetched, secrets=own.secrets, progress=progress)
    settings = None
    try:
        settings = resolve(options, os.environ)
        production = Production(settings, progress, "run")
        send = partial(_after, settings=settings, progress=progress, tell_all=tell_all)
        return production.run(send).code
    except (Exception, KeyboardInterrupt) as error:
        # Production raises only before it starts: nothing was built or published.
        process.hold()
        outcome = Outcome(fault=reason(error), seconds=progress.seconds)
    print(outcome.fault, file=sys.stderr)
    if settings is None or not settings.is_synthetic:
        tell_all(outcome, *_place(options["output_root"]), owns_lock=False)
    return outcome.code


def _place(given: str | None) -> tuple[Path | None, str]:
    """Return the folder and language of messages, even if settings are invalid."""
    try:
        return output_root(given, os.environ).parent, language({}, os.environ)
    except (InputError, OSError):
        return None, LANGUAGES[0]


def _after(
    outcome: Outcome,
    run: Path,
    *,
    settings: Settings,
    progress: Progress,
    tell_all: Callable[..., None],
) -> None:
    try:
        progress.say("\n" + summary_text(outcome, settings))
    finally:
        if settings.is_synthetic:
            progress.say("Synthetic data: nobody is notified.")
        else:
            tell_all(outcome, settings.base, settings.language, owns_lock=True)


def _tell(
    outcome: Outcome,
    base: Path | None,
    in_language: str,
    *,
    owns_lock: bool,
    fetched: str,
    secrets: dict[str, str],
    progress: Progress,
) -> None:
    outcome.fetched = fetched
    found, lines = channels.configured(secrets)
    message = messages.compose(outcome, in_language)
    signals = process.received()
    told = tell(
        message,
        found,
        base and base / SPOOL,
        with_older=owns_lock,
        is_stopped=lambda: process.received() > signals,
    )
    for line in [*lines, *told.lines]:
        progress.say(line)


def _dry_run(settings: Settings, secrets: dict[str, str]) -> int:
    published = publish.current(settings.output_root)
    data = checked.read_input(settings, os.environ)
    holdings = checked.check_holdings(settings, os.environ, data)
    then = f"kept beside, not published ({', '.join(settings.partial)})"
    if not settings.partial:
        then = f"published as {settings.output_root} if the gate passes"
    print(f"raw data:    {settings.raw_root}: {data.files} files, {data.rows:,} rows")
    print(f"             {len(data.funds)} funds from {data.first_date} to {data.last_date}")
    if settings.is_synthetic:
        print("             SYNTHETIC DATA, nobody is notified")
    print(f"vars:        {settings.dbt_vars}")
    print(f"holdings:    {holdings or 'the simulated ones'}")
    print(f"left out:    {', '.join(settings.exclude) or 'nothing'}")
    print(f"a new run:   {settings.base / publish.SNAPSHOTS}/{now():%Y%m%dT%H%M%S}, {then}")
    print(f"published:   {published.name if published else 'nothing so far'}")
    found, lines = channels.configured(secrets)
    print(f"notified by: {', '.join(channel.name for channel in found) or 'nothing'}")
    print("\n".join([*lines, "Dry run: nothing was built, written or sent."]))
    return PASSED


@click.command(cls=Acting, epilog=CODES_AND_ENVIRONMENT)
@input_options
@output_option
@click.option("--symbols", help="Comma-separated funds to build as one pool instead.")
@click.option("--pool-name", metavar="POOL", help="The name of that pool.")
@output_dir_option
def panels(
    *, symbols: str | None, pool_name: str | None, output_dir: str | None, **options: Any
) -> int:
    """Build panels and factor summaries only."""
    if bool(symbols) != bool(pool_name):
        raise InputError("--symbols and --pool-name go together")
    if symbols and options["pools"]:
        raise InputError("--symbols form a pool of their own: leave --pools out")
    settings = resolve(options, os.environ).parts(PANELS, "panels")
    if not symbols or not pool_name:
        return _part(settings, "panels", output_dir)
    funds = [symbol.strip() for symbol in symbols.split(",") if symbol.strip()]
    with project_with_pool(settings.project, settings.raw_root, funds, pool_name) as project:
        dbt_vars = {key: value for key, value in settings.dbt_vars.items() if key != "pools"}
        custom = replace(settings, project=project, dbt_vars=dbt_vars)
        return _part(custom, "panels --symbols", output_dir)


@click.command(cls=Acting, epilog=CODES_AND_ENVIRONMENT)
@input_options
@output_option
@output_dir_option
def backtest(*, output_dir: str | None, **options: Any) -> int:
    """Build backtest and capacity only."""
    settings = resolve(options, os.environ).parts(BACKTEST, "backtest")
    return _part(settings, "backtest", output_dir)


def _part(settings: Settings, command: str, output_dir: str | None) -> int:
    progress = Progress()
    snapshots = (settings.base / publish.SNAPSHOTS).resolve()
    if output_dir and Path(output_dir).resolve().is_relative_to(snapshots):
        raise InputError(f"--output-dir {output_dir} is a run's directory, which stays as it is")

    def after(outcome: Outcome, run: Path) -> None:
        if outcome.code == PASSED and output_dir:
            try:
                _copy_folders(run, Path(output_dir))
                progress.say(f"Written to {output_dir}")
            except OSError as error:
                outcome.code, outcome.fault = COULD_NOT_RUN, reason(error)
        progress.say("\n" + summary_text(outcome, settings))

    return Production(settings, progress, command).run(after).code


def _copy_folders(run: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in [*run.glob("panel_*"), *run.glob("SYNTHETIC")]:
        new = folder / f".{source.name}.new"
        target = folder / source.name
        if source.is_file():
            shutil.copy2(source, target)
            continue
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(source, new)
        if target.exists():
            shutil.rmtree(target)
        os.replace(new, target)


@click.command("notify-test", cls=Acting, epilog=CODES_AND_ENVIRONMENT)
@click.pass_obj
def notify_test(own: Process, /) -> int:
    """Send a test message."""
    found, lines = channels.configured(own.secrets)
    told = tell(messages.sample(language({}, os.environ)), found, None)
    print("\n".join([*lines, *told.lines]))
    return PASSED if found and told.is_whole else COULD_NOT_RUN
