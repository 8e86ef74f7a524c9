"""A data source: its requests, and the function that converts responses to bars."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from etf_rotation.fetch.bars import Answer

TOKEN = "TUSHARE_TOKEN"
CHECKS = ("none", "exchange")
# Before the first Chinese exchange-traded fund was listed (510050.SH, 2005-02-23).
FIRST_DATE = dt.date(2005, 1, 1)


@dataclass(frozen=True)
class Request:
    """One HTTP request without secrets; the client adds the token if `needs_token`."""

    source: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    needs_token: bool = False


@dataclass(frozen=True)
class Source:
    """A vendor.

    Attributes
    ----------
    name : str
        As in `--source` and in the metadata of a file.
    setting, url : str
        The environment variable that replaces the vendor's address, and that address.
    spacing : float
        Seconds between two requests to its host.
    context_rows : int
        Sessions before the first requested one that the answer must cover.
    requests : callable
        Maps (url, symbol, first, last) to the requests that cover these dates.
    answer : callable
        Maps (symbol, payloads, last) to the bars up to `last`; raises `RefusedError`.
    """

    name: str
    setting: str
    url: str
    spacing: float
    requests: Callable[[str, str, dt.date, dt.date], list[Request]]
    answer: Callable[[str, Sequence[object], dt.date], Answer]
    needs_token: bool = False
    context_rows: int = 0
