"""The command `orders`: export the published orders as one CSV file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb

from etf_rotation.dbt_project import PROJECT, project_vars
from etf_rotation.production import manifest as manifests
from etf_rotation.production import snapshots
from etf_rotation.production.settings import language, output_root
from etf_rotation.reconcile import orders
from etf_rotation.reconcile.aliases import read_seeds
from etf_rotation.reconcile.live import published_orders
from etf_rotation.reconcile.storage import replace_file
from etf_rotation.reconcile.texts import RefusedError, text

COULD_NOT_RUN = 2


def export_orders(
    *,
    dialect: str = "plain",
    output: str | None = None,
    root: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Write the published orders of the traded pools to one CSV or standard output.

    Parameters
    ----------
    dialect : str
        One of `orders.DIALECTS`.
    output : str, optional
        The file.
    root : str, optional
        The output root.
    environment : mapping

    Returns
    -------
    int
        0, or 2 if nothing is published or a pool name is not ASCII in dialect `qmt`.
    """
    spoken = language({}, environment)
    try:
        _export(dialect, output, root, environment, spoken)
    except RefusedError as refused:
        print(text(spoken, refused.key, **refused.values), file=sys.stderr)
        return COULD_NOT_RUN
    return 0


def _export(
    dialect: str,
    output: str | None,
    root: str | None,
    environment: Mapping[str, str],
    spoken: str,
) -> None:
    link = output_root(root, environment)
    if root is None and not link.is_symlink():
        synthetic = output_root(None, environment, is_synthetic=True)
        link = synthetic if synthetic.is_symlink() else link
    run = snapshots.current(link)
    manifest = manifests.read(run) if run else None
    if run is None or manifest is None:
        raise RefusedError("nothing_published", root=link)
    with duckdb.connect(str(run / snapshots.DATABASE), read_only=True) as connection:
        rows = published_orders(connection)
    in_words = spoken if dialect == "plain" else "en"
    sent = orders.sendable(rows, read_seeds(PROJECT / "seeds").name_of, in_words)
    content = orders.as_csv(
        sent,
        dialect,
        int(project_vars()["max_order_shares"]),
        side_words={side: text(in_words, f"side.{side}") for side in orders.SIDES},
        is_synthetic=bool(manifest["is_synthetic"]),
    )
    if output:
        replace_file(Path(output), content)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    dates = sorted({str(row["trade_date"]) for row in rows if not row["is_simulated_pool"]})
    said = {"orders": len(sent), "run": run.name, "dates": ", ".join(dates) or "-"}
    print(text(spoken, "orders.written", **said), file=sys.stderr)
    if manifest["is_synthetic"]:
        print(text(spoken, "orders.synthetic"), file=sys.stderr)
