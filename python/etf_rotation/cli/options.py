"""Options and help texts that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

CODES = "Exit codes: 0 success, 1 the gate failed, 2 the command could not run."
# \b stops click from wrapping the block.
ENVIRONMENT = """\b
Environment:
  ETF_RAW_ROOT, ETF_OUTPUT_ROOT, ETF_AS_OF, ETF_POOLS, ETF_UNIVERSE
                          used if the option is not given
  ETF_HOLDINGS_FILE       your own holdings, for tomorrow's orders
  ETF_LANGUAGE            en or zh, the language of the messages
  DINGTALK_WEBHOOK, DINGTALK_SECRET
                          the robot of a DingTalk group; without the secret the
                          robot needs the keyword ETF
  WECOM_WEBHOOK           the robot of a WeCom group
  FEISHU_WEBHOOK, FEISHU_SECRET
                          the robot of a Feishu group, signed with the secret
  SMTP_SERVER, SMTP_PORT, EMAIL_SENDER, EMAIL_PASSWORD, EMAIL_RECIPIENTS
                          e-mail: TLS on port 465, else STARTTLS (587);
                          several addresses are separated by commas
"""
CODES_AND_ENVIRONMENT = f"{CODES}\n\n{ENVIRONMENT}"

Callback = TypeVar("Callback", bound=Callable[..., Any])


@dataclass
class Process:
    """State of this process that commands use beside their options.

    `secrets` are the settings of the notification channels; `token` is Tushare's. Both
    have been removed from the environment. `has_acted` is true if the command did more
    than print a result.
    """

    secrets: dict[str, str] = field(default_factory=dict)
    token: str = ""
    has_acted: bool = False


class Acting(click.Command):
    """A command with effects; a failed output does not change its exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; record that it acts unless an option makes it read-only."""
        only_looks = context.params.get("dry_run") or context.params.get("status")
        context.obj.has_acted = not only_looks
        return super().invoke(context)


def input_options(command: Callback) -> Callback:
    """Add the options for the input of a build."""
    for option in reversed(
        (
            raw_root_option,
            click.option(
                "--pools", help="Comma-separated pools to build; such a run is not published."
            ),
            click.option("--as-of", metavar="YYYY-MM-DD", help="Ignore all data after this date."),
            click.option("--vars", help="dbt vars as YAML, such as '{slippage_bps: 20}'."),
        )
    ):
        command = option(command)
    return command


def raw_root_option(command: Callback) -> Callback:
    """Add the option --raw-root."""
    return click.option("--raw-root", metavar="FOLDER", help="The folder above ETF/daily.")(command)


def output_option(command: Callback) -> Callback:
    """Add the option --output-root."""
    return click.option(
        "--output-root",
        metavar="LINK",
        help="The link to publish to (default: factor_output/etf_rotation_production in the "
        "project, for synthetic data factor_output/synthetic/etf_rotation_production).",
    )(command)


def refuse_both(context: click.Context, names: Sequence[str]) -> None:
    """Reject two options of which only one may be given.

    Raises
    ------
    click.UsageError
        Both options are given; the message names them.
    """
    given = [name for name in names if context.params[name] is not None]
    if len(given) > 1:
        one, other = (f"--{name.replace('_', '-')}" for name in given[:2])
        raise click.UsageError(f"{other} is not allowed with {one}", context)
