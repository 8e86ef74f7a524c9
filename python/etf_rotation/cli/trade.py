"""The commands for the broker: `orders` and `reconcile`."""

from __future__ import annotations

from typing import Any

import click

from etf_rotation.cli.options import CODES, Acting, output_option, raw_root_option, refuse_both


@click.command(epilog=CODES)
@click.option(
    "--format",
    "dialect",
    type=click.Choice(["plain", "qmt"]),
    default="plain",
    show_default=True,
    help="The layout of the file.",
)
@click.option("--output", metavar="FILE", help="The file (default: standard output).")
@output_option
def orders(*, dialect: str, output: str | None, output_root: str | None) -> int:
    """Write the published orders of all traded pools to one CSV file."""
    from etf_rotation.reconcile.export import export_orders  # noqa: PLC0415

    return export_orders(dialect=dialect, output=output, root=output_root)


@click.command(
    cls=Acting,
    epilog="Exit codes: 0 all identities hold and every order is filled, 1 a break or a missed "
    "order, 2 a file cannot be read.",
)
@click.option("--fills", metavar="FILE", required=True, help="The broker's fills.")
@click.option("--positions", metavar="FILE", help="The broker's positions at the close.")
@click.option("--cash", metavar="CNY", help="The account's cash at the close.")
@click.option("--balance", metavar="FILE", help="The broker's file that states the cash.")
@click.option(
    "--date", metavar="YYYY-MM-DD", help="The session (default: the last session in the fills)."
)
@click.option(
    "--opening",
    metavar="FILE",
    help="Holdings before the first session: CSV of pool, symbol, shares.",
)
@click.option("--flows", help="Deposits and withdrawals: an amount, or CSV of date, amount, pool.")
@click.option(
    "--orders",
    metavar="FILE",
    help="A file written by `orders` (default: the last orders published in time).",
)
@click.option(
    "--write-holdings",
    metavar="FILE",
    help="Write the file for ETF_HOLDINGS_FILE, if the account reconciles.",
)
@click.option("--accept", is_flag=True, help="Accept the broker's figures where they differ.")
@raw_root_option
@output_option
@click.pass_context
def reconcile(
    context: click.Context, /, *, raw_root: str | None, output_root: str | None, **options: Any
) -> int:
    """Check the broker's fills, positions and cash against the books; store the day."""
    from etf_rotation.reconcile.command import reconcile as run_reconcile  # noqa: PLC0415
    from etf_rotation.reconcile.inputs import Given  # noqa: PLC0415

    refuse_both(context, ["cash", "balance"])
    return run_reconcile(Given(**options), raw_root=raw_root, root=output_root)
