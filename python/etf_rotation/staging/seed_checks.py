"""Checks of the seeds that assign funds to pools, before any data is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from etf_rotation.errors import InputError

RESERVED = ("MARKET", "PORTFOLIO", "BUILD")
SYMBOL = r"[0-9]{6}[.](SH|SZ)"
# A pool's name is used as a folder's name and as a table cell.
POOL = r"[A-Za-z0-9_]{1,40}"
CONTROL = r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
FIELDS = ("symbol", "pool", "category", "is_broad")


@dataclass(frozen=True)
class Universe:
    """The funds of a build.

    Parameters
    ----------
    wanted, known : frozenset of str
        Funds of the build's pools, and funds of all pools.
    has_market : bool
        Whether funds outside every pool also belong to the build, in the pool MARKET.
    """

    wanted: frozenset[str]
    known: frozenset[str]
    has_market: bool = False

    @classmethod
    def of_seed(
        cls, funds: Iterable[Sequence], selected: Iterable[str] = (), *, takes_all: bool = False
    ) -> Universe:
        """Build the universe from the seed.

        Parameters
        ----------
        funds : iterable of (symbol, pool, ...)
            Rows of the seed etf_pools.
        selected : iterable of str
            Pools of the build, none for all.
        takes_all : bool
            Whether the var universe is `all`.
        """
        pools, chosen = {symbol: pool for symbol, pool, *_ in funds}, set(selected)
        return cls(
            wanted=frozenset(s for s, pool in pools.items() if not chosen or pool in chosen),
            known=frozenset(pools),
            has_market=takes_all and (not chosen or "MARKET" in chosen),
        )

    def may_include(self, code: str) -> bool:
        """Return whether a fund whose symbol begins with `code` may be in the build."""
        if any(symbol.startswith(code) for symbol in self.wanted):
            return True
        return self.has_market and not any(symbol.startswith(code) for symbol in self.known)


def check_seeds(
    funds: list[tuple], weights: list[tuple[str, float]], selected: Iterable[str] = ()
) -> None:
    """Reject seeds from which a pool cannot be computed.

    Parameters
    ----------
    funds : list of tuple
        Rows of the seed etf_pools: `FIELDS`.
    weights : list of (pool, portfolio_weight)
        Rows of the seed pool_constraints.
    selected : iterable of str
        Pools of the build, none for all.

    Raises
    ------
    InputError
        Names the seed, the fund or pool, and the remedy.
    """
    pools_of: dict[str, list[str]] = {}
    for fund in funds:
        row = dict(zip(FIELDS, fund, strict=True))
        for name, value in row.items():
            if value is None or str(value).strip() == "":
                raise InputError(
                    f"seed etf_pools: {row['symbol']} ({row['pool']}) has no {name}; fill it in"
                )
            if re.search(CONTROL, str(value)):
                raise InputError(
                    f"seed etf_pools: {name} {value!r} holds a line break or a control "
                    "character; remove it"
                )
        if not re.fullmatch(SYMBOL, row["symbol"]):
            raise InputError(f"seed etf_pools: {row['symbol']} is no symbol like 510300.SH")
        check_name(row["pool"], f"seed etf_pools: {row['symbol']}")
        pools_of.setdefault(row["symbol"], []).append(row["pool"])
    for symbol, pools in pools_of.items():
        if len(pools) > 1:
            raise InputError(
                f"seed etf_pools: {symbol} is listed {len(pools)} times, in {' and '.join(pools)}; "
                "a fund belongs to one pool, once"
            )
    _check_constraints({pool for pools in pools_of.values() for pool in pools}, weights)
    unknown = sorted(set(selected) - {pool for pool, _ in weights} - {"MARKET"})
    if unknown:
        raise InputError(
            f"var pools names {', '.join(unknown)}, which the seed pool_constraints does not have; "
            f"choose from {', '.join(sorted(pool for pool, _ in weights))}"
        )


def check_name(pool: str, where: str) -> None:
    """Reject an invalid pool name.

    Parameters
    ----------
    pool : str
        The name.
    where : str
        Where it is written, for the message.

    Raises
    ------
    InputError
        The name is reserved, or is not 1 to 40 letters A-Z, digits and underscores.
    """
    if not re.fullmatch(POOL, pool or ""):
        raise InputError(
            f"{where}: the pool's name {pool!r} must be 1 to 40 of the characters A-Z, a-z, 0-9 "
            "and _; rename the pool"
        )
    if pool in RESERVED:
        raise InputError(f"{where}: the pool's name {pool} is reserved; choose another")


def _check_constraints(pools: set[str], weights: list[tuple[str, float]]) -> None:
    for pool, _ in weights:
        check_name(pool, "seed pool_constraints")
    counts = Counter(pool for pool, _ in weights)
    twice = [pool for pool, count in counts.items() if count > 1]
    lacking = sorted(pools - set(counts))
    if twice:
        raise InputError(f"seed pool_constraints: {twice[0]} has more than one row; keep one")
    if lacking:
        raise InputError(
            f"seed pool_constraints: no row for the pool {lacking[0]} of the seed etf_pools; add it"
        )
    negative = [pool for pool, weight in weights if weight < 0]
    if negative:
        raise InputError(
            f"seed pool_constraints: portfolio_weight of {negative[0]} is below zero; give it the "
            "pool's share of PORTFOLIO, or 0"
        )
    total = sum(weight for _, weight in weights)
    if total and round(total, 9) != 1:
        raise InputError(
            f"seed pool_constraints: portfolio_weight adds up to {total:g}, not to 1; correct it"
        )


def check_every_pool_has_rows(
    funds: list[tuple[str, str]], symbols: set[str], selected: Iterable[str] = ()
) -> None:
    """Reject a build in which a pool has no raw row.

    Parameters
    ----------
    funds : list of (symbol, pool)
        Rows of the seed etf_pools.
    symbols : set of str
        Funds with a raw row.
    selected : iterable of str
        Pools of the build, none for all.

    Raises
    ------
    InputError
        Names the pool and its funds.
    """
    wanted = set(selected)
    for pool in sorted({pool for _, pool in funds}):
        members = sorted(symbol for symbol, own in funds if own == pool)
        if (not wanted or pool in wanted) and symbols.isdisjoint(members):
            raise InputError(
                f"pool {pool} has no raw row of any of its {len(members)} funds, "
                f"{members[0]} first; fetch their files, or leave the pool out with the var pools"
            )
