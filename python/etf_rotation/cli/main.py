"""The command `etf-rotation`: its subcommands, its exit codes and its errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from etf_rotation.cli import inspect, raw, research, run, tools, trade
from etf_rotation.cli.options import CODES, Process
from etf_rotation.dbt_project import version
from etf_rotation.notification import channels
from etf_rotation.production import process
from etf_rotation.production.run import COULD_NOT_RUN, reason

COMMANDS = (
    run.run,
    run.panels,
    run.backtest,
    inspect.gate,
    inspect.pools,
    research.sweep,
    raw.fetch,
    raw.import_,
    trade.orders,
    trade.reconcile,
    run.notify_test,
    inspect.list_runs,
    inspect.diff,
    inspect.restore,
    tools.report,
    tools.export,
    tools.sample,
    tools.lookahead,
)


class InOrder(click.Group):
    """A group whose help lists the commands as they were added, not alphabetically."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)


def _show_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    # Not click.version_option: the version is read only when someone asks for it.
    if is_asked:
        click.echo(f"etf-rotation {version()}")
        context.exit()


@click.group(
    cls=InOrder,
    epilog=CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Turn daily ETF bars into factors, backtests, a verdict and tomorrow's orders."""


for command in COMMANDS:
    # Set explicitly, because click would truncate a long line.
    command.short_help = (command.help or "").partition("\n")[0]
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    # Keep secrets out of the environment, which dbt inherits and logs.
    own = Process(secrets=channels.take_settings(os.environ), token=raw.take_token(os.environ))
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        with cli.make_context("etf-rotation", list(arguments), obj=own) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as ended:  # --help, --version
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = COULD_NOT_RUN
    except (Exception, KeyboardInterrupt) as error:
        process.hold()
        # Caught, because Python's exit code for an exception is 1: here the gate
        # failed.
        print(reason(error), file=sys.stderr)
        code = COULD_NOT_RUN
    if fault := process.output_fault():
        print(fault, file=sys.stderr)
        # The effect of an acting command stands, even if it could not be printed.
        code = code if own.has_acted else COULD_NOT_RUN
    return code
