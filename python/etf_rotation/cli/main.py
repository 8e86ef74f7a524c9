"""The command line: one production run, parts of it, and looking at what runs left."""

from __future__ import annotations

import argparse
import os
import sys

from etf_rotation.cli import inspect, run
from etf_rotation.fetch import cli as fetch_cli
from etf_rotation.notification import channels
from etf_rotation.production import process
from etf_rotation.production.run import COULD_NOT_RUN, reason

CODES = "Exit codes: 0 it passed, 1 the gate failed, 2 it could not run."
# Commands that do something; of all others the output is the result.
ACTING = (
    run.run,
    run.panels,
    run.backtest,
    run.notify_test,
    run.reconcile,
    inspect.restore,
    fetch_cli.fetch,
    fetch_cli.import_,
)
SETTINGS = """
environment:
  ETF_RAW_ROOT, ETF_OUTPUT_ROOT, ETF_AS_OF, ETF_POOLS, ETF_UNIVERSE
                          where nothing is given on the command line
  ETF_HOLDINGS_FILE       your own holdings, for tomorrow's orders
  ETF_LANGUAGE            en or zh, the language of the messages
  DINGTALK_WEBHOOK, DINGTALK_SECRET
                          the robot of a DingTalk group; with the secret the signed form,
                          without it the robot needs the keyword ETF
  WECOM_WEBHOOK           the robot of a WeCom group
  FEISHU_WEBHOOK, FEISHU_SECRET
                          the robot of a Feishu group, signed with the secret
  SMTP_SERVER, SMTP_PORT, EMAIL_SENDER, EMAIL_PASSWORD, EMAIL_RECIPIENTS
                          e-mail: TLS on port 465, else STARTTLS (587); addresses by commas
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = parser().parse_args(arguments)
    # From here on nothing but the notifications knows them, dbt and its log least of all.
    secrets = channels.take_settings(os.environ)
    token = fetch_cli.take_token(os.environ)
    try:
        if given.action in (run.run, run.notify_test):
            code = given.action(given, secrets)
        elif given.action is fetch_cli.fetch:
            code = fetch_cli.fetch(given, token)
        else:
            code = given.action(given)
    except (Exception, KeyboardInterrupt) as error:
        process.hold()
        # Python's own exit code for an error is 1, which says here that the gate failed.
        print(reason(error), file=sys.stderr)
        code = COULD_NOT_RUN
    if fault := process.output_fault():
        print(fault, file=sys.stderr)
        has_acted = given.action in ACTING and not vars(given).get("dry_run")
        # What a command did stands, whether or not it could say so.
        code = code if has_acted else COULD_NOT_RUN
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="etf-rotation", description=__doc__.splitlines()[0], epilog=CODES
    )
    subparsers = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, action, summary: str, *options) -> argparse.ArgumentParser:
        new = subparsers.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"{CODES}\n{SETTINGS if options else ''}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        new.set_defaults(action=action)
        for option in options:
            option(new)
        return new

    full = command(
        "run",
        run.run,
        "Build everything, judge it by the gate, publish it whole or not at all, and tell.",
        _input,
        _output,
    )
    for name, what in (
        ("backtest", "no backtest, and nothing that reads it: no capacity, orders and gate"),
        ("capacity", "no capacity, and nothing that reads it"),
        ("snapshot", "build and judge, but publish nothing"),
    ):
        full.add_argument(f"--skip-{name}", action="store_true", help=what)
    for name, what in (
        ("dry-run", "read and check the input, say what would be done, and do nothing"),
        ("publish", "publish even an --as-of before the published last session"),
    ):
        full.add_argument(f"--{name}", action="store_true", help=what)

    panels = command(
        "panels", run.panels, "Build panels and factor summaries only.", _input, _output
    )
    panels.add_argument("--symbols", help="a panel of these funds instead, separated by commas")
    panels.add_argument("--pool-name", help="the name of the pool that they form")
    backtest = command(
        "backtest", run.backtest, "Build backtest and capacity only.", _input, _output
    )
    for part in (panels, backtest):
        part.add_argument("--output-dir", help="copy the folders panel_{POOL} here too")

    judged = command("gate", inspect.gate, "Show the gate over a finished folder or a database.")
    _output(judged)
    place = judged.add_mutually_exclusive_group()
    place.add_argument("--output-dir", help="a run's folder (default: what is published)")
    place.add_argument("--database", help="a database, such as dbt build leaves")

    table = command("pools", inspect.pools, "Show the metrics of the pools and of PORTFOLIO.")
    _output(table)
    table.add_argument("--database", help="a database (default: the published one)")

    swept = command(
        "sweep",
        inspect.sweep,
        "Try many variants of a pool's strategy on a finished build, and judge the best as such.",
    )
    swept.description += (
        " Choosing the best is fitting to the sample; the deflated Sharpe ratio says how much of "
        "it luck explains."
    )
    _output(swept)
    swept.add_argument("--database", help="a database, only read (default: the published one)")
    swept.add_argument("--pool", default="A_SHARE", help="the pool (default: %(default)s)")
    swept.add_argument(
        "--factors",
        default="all,single,pair,all-but-one",
        help="subsets of the scored factors, separated by commas: all, single, pair, all-but-one, "
        "or names such as ret_20+ret_63 (default: %(default)s)",
    )
    swept.add_argument(
        "--top-n", help="funds to hold, such as 3,5,7 (default: the build's, less 2, plus 2 and 4)"
    )
    swept.add_argument(
        "--rebalance",
        default="monthly,weekly",
        help="any of monthly, weekly, daily (default: %(default)s)",
    )
    swept.add_argument("--slippage-bps", help="basis points (default: the build's, and its double)")
    for name, what in (("commission-bps", "basis points"), ("min-weight-change", "of equity")):
        swept.add_argument(f"--{name}", help=f"{what} (default: the build's)")
    swept.add_argument("--output", help="the table to write, .parquet or .csv")
    swept.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="(default: one for each core)"
    )

    _raw_files(command)
    sent = command(
        "orders", run.orders, "Write the published orders of the traded pools as one CSV."
    )
    sent.add_argument(
        "--format", choices=("plain", "qmt"), default="plain", help="(default: %(default)s)"
    )
    sent.add_argument("--output", help="the file (default: standard output)")
    _output(sent)
    _reconcile(command)

    command("notify-test", run.notify_test, "Send a test message.").epilog += SETTINGS
    _output(command("list", inspect.list_runs, "List the runs that are kept."))
    compared = command("diff", inspect.diff, "Compare two runs: metrics, weights, factors.")
    compared.add_argument("a", metavar="A", help="a run's id, see list")
    compared.add_argument("b", metavar="B", help="another's")
    _output(compared)
    restored = command("restore", inspect.restore, "Publish an earlier run again.")
    restored.add_argument("run_id", metavar="ID", help="the run's id, see list")
    _output(restored)
    return top


def _raw_files(command) -> None:
    fetched = command("fetch", fetch_cli.fetch, fetch_cli.SUMMARY)
    fetched.epilog = fetch_cli.EPILOG
    fetch_cli.add_options(fetched)
    imported = command("import", fetch_cli.import_, fetch_cli.IMPORT_SUMMARY)
    imported.epilog = fetch_cli.IMPORT_EPILOG
    fetch_cli.add_import_options(imported)


def _reconcile(command) -> None:
    reconciled = command(
        "reconcile",
        run.reconcile,
        "Check the broker's fills, positions and cash against orders and books, and keep the day.",
    )
    reconciled.epilog = (
        "Exit codes: 0 all identities hold and every order is filled, 1 a break or a missed order, "
        "2 a file cannot be read."
    )
    reconciled.add_argument("--fills", required=True, help="the broker's fills")
    reconciled.add_argument("--positions", help="the broker's positions at the close")
    cash = reconciled.add_mutually_exclusive_group()
    cash.add_argument("--cash", help="the account's cash at the close, CNY")
    cash.add_argument("--balance", help="the broker's file that states it")
    reconciled.add_argument("--date", help="the session (default: the last one of the fills)")
    reconciled.add_argument(
        "--opening", help="holdings before the first session: CSV of pool, symbol, shares"
    )
    reconciled.add_argument(
        "--flows", help="deposits and withdrawals: an amount, or CSV of date, amount, pool"
    )
    reconciled.add_argument(
        "--orders", help="a file of the command orders (default: what was last published in time)"
    )
    reconciled.add_argument(
        "--write-holdings", help="the file for ETF_HOLDINGS_FILE, written if the account adds up"
    )
    reconciled.add_argument(
        "--accept", action="store_true", help="take the broker's word where it differs"
    )
    reconciled.add_argument("--raw-root", help="the folder above ETF/daily")
    _output(reconciled)


def _input(command: argparse.ArgumentParser) -> None:
    command.add_argument("--raw-root", help="the folder above ETF/daily")
    command.add_argument("--pools", help="these pools only, separated by commas; never published")
    command.add_argument("--as-of", help="YYYY-MM-DD: as if nothing later were known")
    command.add_argument("--vars", help="dbt vars as YAML, such as '{rebalance: weekly}'")


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output-root",
        help="the link to publish to (default: factor_output/etf_rotation_production in the "
        "project, for synthetic data factor_output/synthetic/etf_rotation_production)",
    )
