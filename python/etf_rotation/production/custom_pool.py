"""A panel of a list of funds: the project with a different seed of pools."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from etf_rotation.errors import InputError
from etf_rotation.staging.raw_files import FUND, file_kind
from etf_rotation.staging.seed_checks import SYMBOL, check_name

SHARED = ("dbt_project.yml", "profiles.yml", "macros", "models", "python", "tests")
POOLS, CONSTRAINTS, STRATEGIES = "etf_pools.csv", "pool_constraints.csv", "strategies.csv"


@contextmanager
def project_with_pool(
    project: Path, raw_root: Path, symbols: list[str], pool: str
) -> Iterator[Path]:
    """Yield a copy of the project whose seeds have one pool, of these funds.

    Parameters
    ----------
    project : Path
        The project; its folders are linked, its seeds are copied.
    raw_root : Path
        Folder above ETF/daily; must hold a file of every fund.
    symbols : list of str
        The funds. Name and category come from the project's seed if it lists the fund.
    pool : str
        The pool's name.

    Raises
    ------
    InputError
        No fund, a duplicate, an invalid symbol, a fund without a file, or a pool's name
        that cannot be a folder's name.
    """
    check_name(pool, "--pool-name")
    files = [file_kind(path.name) for path in (raw_root / "ETF" / "daily").glob("*.parquet")]
    if not symbols:
        raise InputError("--symbols names no fund")
    for symbol in symbols:
        if not re.fullmatch(SYMBOL, symbol):
            raise InputError(f"--symbols: {symbol} is no symbol like 510300.SH")
        if symbols.count(symbol) > 1:
            raise InputError(f"--symbols names {symbol} twice")
        # A file that is not named after a fund may contain any fund.
        if not any(kind != FUND or symbol.startswith(code) for kind, code in files):
            raise InputError(f"--symbols: no file of {symbol} in {raw_root}/ETF/daily")
    with TemporaryDirectory(prefix="etf_rotation.") as folder:
        copy = Path(folder)
        for name in SHARED:
            (copy / name).symlink_to(project / name)
        shutil.copytree(project / "seeds", copy / "seeds")
        _write_seeds(copy / "seeds", symbols, pool)
        yield copy


def _write_seeds(folder: Path, symbols: list[str], pool: str) -> None:
    known = {row["symbol"]: row for row in _read(folder / POOLS)}
    unknown = {"category": "other", "asset_class": "equity", "is_broad": "false"}
    funds = [
        known.get(symbol, unknown | {"symbol": symbol, "name": symbol}) | {"pool": pool}
        for symbol in symbols
    ]
    _write(folder / POOLS, funds)
    # Every pool needs constraints; with weight 0 the pool is not traded.
    constraints = _read(folder / CONSTRAINTS)[0] | {"pool": pool, "portfolio_weight": "0"}
    _write(folder / CONSTRAINTS, [constraints])
    # Every pool also needs a live strategy, although a panel does not depend on it.
    _write(folder / STRATEGIES, [_read(folder / STRATEGIES)[0] | {"pool": pool, "is_live": "true"}])


def _read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
