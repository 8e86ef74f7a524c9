"""The command `fetch`: update every fund to the last completed session."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml

from etf_rotation.console import Progress
from etf_rotation.dbt_project import PROJECT
from etf_rotation.errors import InputError
from etf_rotation.fetch import eastmoney, exchange, state, store, summary, tushare
from etf_rotation.fetch.http import TIMEOUT, Client, SourceStoppedError, address
from etf_rotation.fetch.sources import CHECKS, FIRST_DATE
from etf_rotation.fetch.state import ENDED, FAILED, LATE, Result
from etf_rotation.fetch.texts import RefusedError, Texts, in_each_language
from etf_rotation.fetch.update import SOURCES, Job, readable, update
from etf_rotation.production.lock import RAW_LOCK, RunningError, run_lock
from etf_rotation.production.settings import language, raw_folder
from etf_rotation.staging.seed_checks import SYMBOL
from etf_rotation.staging.trading_calendar import sessions_between

Default = TypeVar("Default", float, None)
SHANGHAI = ZoneInfo("Asia/Shanghai")
DONE, NOT_ALL, COULD_NOT_BEGIN = 0, 1, 2
AFTER = "17:30"  # Shanghai: when vendors have the bars of the day
# A fund has ended after so many sessions on which others have rows and it has none. It
# is then requested once in so many sessions.
ENDED_SESSIONS, ASK_ENDED_AGAIN = 60, 20


@dataclass(frozen=True)
class Wish:
    """The options of the command line."""

    raw_root: str | None = None
    source: str | None = None
    check: str | None = None
    symbols: str | None = None
    to: str | None = None
    full: bool = False
    dry_run: bool = False
    accept_restatement: str | None = None


def now() -> dt.datetime:
    """Return the time in Shanghai."""
    return dt.datetime.now(SHANGHAI)


def fetch(
    wish: Wish,
    environment: Mapping[str, str],
    token: str,
    *,
    progress: Progress | None = None,
    clock: Callable[[], dt.datetime] = now,
    client: Client | None = None,
) -> int:
    """Fetch; return the exit code: 0 complete, 1 some funds are late, 2 no start.

    Parameters
    ----------
    wish : Wish
    environment : mapping
        The settings (docs/run.md).
    token : str
        Tushare's token, empty for none.
    progress : Progress, optional
    clock : callable
        Returns the time in Shanghai.
    client : Client, optional
        Sends the requests.
    """
    progress = progress or Progress()
    texts = Texts(language({}, environment))

    def say(key: str, **facts: object) -> None:
        progress.say(texts.text(key, **facts))

    try:
        root = raw_folder(wish.raw_root, environment)
        job = prepare(wish, environment, root, token, say=say, now=clock(), client=client)
        symbols = _symbols(wish)
        files = _files(root, symbols)
        with nullcontext() if wish.dry_run else lock(root, "fetch", clock()):
            if not wish.dry_run:
                store.remove_temporary(root)
            results, stopped = _all(
                job, symbols, files, progress, texts, is_named=bool(wish.symbols)
            )
            if not wish.dry_run:
                _keep(root, results, say)
    except (RefusedError, InputError, OSError) as error:
        line = texts.text("could_not_begin", reason=readable(error))
        progress.say(line)
        summary.leave([line], environment)
        return COULD_NOT_BEGIN
    if stopped and all(result.kind in (FAILED, ENDED) for result in results.values()):
        reasons = "; ".join(texts.refusal(error) for error in stopped)
        line = texts.text("could_not_begin", reason=reasons)
        progress.say(line)
        summary.leave([line], environment)
        return COULD_NOT_BEGIN
    lines = summary.lines(texts, results, job, seconds=progress.seconds)
    progress.say("\n".join(["", *lines, *summary.next_steps(texts, results, job)]))
    summary.leave(lines, environment)
    return DONE if all(result.kind in state.FINE for result in results.values()) else NOT_ALL


def _keep(root: Path, results: Mapping[str, Result], say: Callable[..., None]) -> None:
    """Store the results for `--status`; an error is only printed."""
    try:
        state.save(root, {**state.load(root), **results})
    except OSError as error:
        say("warning", reason=readable(error))


def prepare(
    wish: Wish,
    environment: Mapping[str, str],
    root: Path,
    token: str,
    *,
    say: Callable[..., None],
    now: dt.datetime,
    client: Client | None = None,
) -> Job:
    """Resolve the options and settings of a run.

    Raises
    ------
    RefusedError
        A setting or an option is invalid.
    """
    source = environment.get("ETF_FETCH_SOURCE", "").strip()
    source = source or (tushare.SOURCE.name if token else eastmoney.SOURCE.name)
    check = wish.check or environment.get("ETF_FETCH_CHECK", "").strip() or CHECKS[0]
    _one_of("ETF_FETCH_SOURCE", source, tuple(SOURCES))
    if wish.source:
        _one_of("--source", wish.source, tuple(SOURCES))
        if SOURCES[wish.source].needs_token and not token:
            raise RefusedError("no_token", source=wish.source)
    _one_of("--check (ETF_FETCH_CHECK)", check, CHECKS)
    completed = completed_session(now, environment)
    until = min(_date("--to", wish.to), completed) if wish.to else completed
    if wish.to and _date("--to", wish.to) > completed:
        say("not_over", date=wish.to, last=completed)
    sessions = _sessions(now.date())
    accepted = frozenset(_list(wish.accept_restatement or ""))
    return Job(
        root=root,
        until=max(day for day in sessions if day <= until),
        completed=completed,
        today=now.date(),
        sessions=sessions,
        client=client
        or Client(
            token=token,
            spacing=_number(environment, "ETF_FETCH_SPACING", None),
            timeout=_number(environment, "ETF_FETCH_TIMEOUT", TIMEOUT),
            say=say,
        ),
        urls=_addresses(environment, say),
        say=say,
        version=version(),
        source=wish.source or "",
        default=source,
        has_token=bool(token),
        is_full=wish.full,
        is_dry=wish.dry_run,
        is_checked=check == "exchange",
        accepted=frozenset(name if name == "all" else symbol_of(name) for name in accepted),
        known_actions=_known_actions(),
    )


def _addresses(environment: Mapping[str, str], say: Callable[..., None]) -> dict[str, str]:
    urls = {}
    for source in (*SOURCES.values(), exchange.SSE, exchange.SZSE):
        urls[source.name], is_plain = address(source, environment)
        if is_plain:
            host = urlsplit(urls[source.name]).hostname
            say("plain_http", setting=source.setting, host=host)
    return urls


def completed_session(now: dt.datetime, environment: Mapping[str, str]) -> dt.date:
    """Return the last session whose bars the vendors have.

    Parameters
    ----------
    now : datetime
        In Shanghai.
    environment : mapping
        ETF_FETCH_AFTER, `HH:MM` in Shanghai.
    """
    text = environment.get("ETF_FETCH_AFTER", "").strip() or AFTER
    if not re.fullmatch(r"(1[5-9]|2[0-3]):[0-5]\d", text):
        raise RefusedError("no_time", value=text)
    after = dt.time.fromisoformat(text)
    last = now.date() if now.time() >= after else now.date() - dt.timedelta(days=1)
    return max(day for day in _sessions(now.date()) if day <= last)


def _sessions(today: dt.date) -> list[dt.date]:
    days = sessions_between(FIRST_DATE, today)["trade_date"].to_pylist()
    return [day for day in days if day <= today]


def _all(
    job: Job,
    symbols: list[str],
    files: Mapping[str, Path],
    progress: Progress,
    texts: Texts,
    *,
    is_named: bool,
) -> tuple[dict[str, Result], list[SourceStoppedError]]:
    """Update every fund; return the results and the errors that stopped sources."""
    before = state.load(job.root)
    results: dict[str, Result] = {}
    stopped: dict[str, SourceStoppedError] = {}
    for done, symbol in enumerate(symbols):
        if not stopped or any(result.kind != FAILED for result in results.values()):
            _count(progress, texts, done, len(symbols), symbol)
        if not (is_named or job.is_full) and _rests(job, before.get(symbol), files.get(symbol)):
            results[symbol] = before[symbol]
            continue
        try:
            results[symbol] = update(job, symbol, files.get(symbol))
        except SourceStoppedError as error:
            if str(error) not in stopped and any(r.kind != FAILED for r in results.values()):
                job.say("source_stopped", reason=error)
            stopped[str(error)] = error
            results[symbol] = Result(FAILED, job.until.isoformat(), in_each_language(error))
    _find_ended(job, results)
    return results, list(stopped.values())


def _count(progress: Progress, texts: Texts, done: int, total: int, symbol: str) -> None:
    rate = done / progress.seconds if done and progress.seconds else 0.0
    left = texts.text("left", rate=rate, seconds=(total - done) / rate) if rate else ""
    progress.count(done, total, f"{symbol}{left}")


def _rests(job: Job, before: Result | None, path: Path | None) -> bool:
    """Whether a request for an ended fund is not due today."""
    if before is None or before.kind != ENDED or path is None:
        return False
    since = [day for day in job.sessions if before.asked < day.isoformat() <= str(job.until)]
    return len(since) < ASK_ENDED_AGAIN


def _find_ended(job: Job, results: dict[str, Result]) -> None:
    """Separate ended from late funds: they have no row on 60 sessions of others."""
    late = [s for s, result in results.items() if result.kind == LATE and s not in job.unproven]
    files = store.find_files(job.root)
    last = {}
    for symbol in late:
        days = store.dates_of(files[symbol][0]) if symbol in files else []
        if days and sum(days[-1] < day <= job.until for day in job.sessions) >= ENDED_SESSIONS:
            last[symbol] = days[-1]
    if not last:
        return
    traded: set[dt.date] = set()
    for symbol, paths in files.items():
        if symbol not in last:
            traded.update(store.dates_of(paths[0]))
    for symbol, day in last.items():
        if sum(day < other <= job.until for other in traded) >= ENDED_SESSIONS:
            reason = in_each_language(RefusedError("last_row", date=day))
            results[symbol] = Result(ENDED, job.until.isoformat(), reason)


def status(raw_root: str | None, environment: Mapping[str, str]) -> int:
    """Print last session, source and last result of each fund."""
    texts = Texts(language({}, environment))
    root = raw_folder(raw_root, environment)
    try:
        files = store.find_files(root)
    except RefusedError as error:
        print(texts.text("could_not_begin", reason=error))
        return COULD_NOT_BEGIN
    symbols = sorted({*_pool_symbols(), *files})
    print(summary.status_table(texts, root, symbols, files, state.load(root)))
    return DONE


def _files(root: Path, symbols: list[str]) -> dict[str, Path]:
    found = store.find_files(root)
    for symbol in symbols:
        if len(found.get(symbol, [])) > 1:
            names = [path.name for path in found[symbol]]
            raise RefusedError("two_files", symbol=symbol, files=names)
    return {symbol: paths[0] for symbol, paths in found.items()}


@contextmanager
def lock(root: Path, command: str, started_at: dt.datetime) -> Iterator[None]:
    """Lock the raw folder against runs and other writers; create it if it is missing.

    Raises
    ------
    RefusedError
        Another process holds the lock; the message names it.
    """
    store.daily(root).mkdir(parents=True, exist_ok=True)
    folder = root / state.FOLDER
    folder.mkdir(exist_ok=True)
    try:
        with run_lock(folder, command, started_at, lambda line: None, name=RAW_LOCK):
            yield
    except RunningError as error:
        raise RefusedError("locked", root=root, holder=error.holder) from None


def _symbols(wish: Wish) -> list[str]:
    if wish.symbols:
        return list(dict.fromkeys(symbol_of(name) for name in _list(wish.symbols)))
    return _pool_symbols()


def symbol_of(name: str) -> str:
    """Return the symbol for `510300`, `510300.sh` or `510300.SH`.

    Raises
    ------
    RefusedError
    """
    text = name.strip().upper()
    symbol = store.complete(text) if re.fullmatch(r"\d{6}", text) else text
    if not symbol or not re.fullmatch(SYMBOL, symbol):
        raise RefusedError("no_symbol", value=name)
    return symbol


def _pool_symbols() -> list[str]:
    with (PROJECT / "seeds" / "etf_pools.csv").open(encoding="utf-8", newline="") as file:
        return [row["symbol"] for row in csv.DictReader(file)]


def _known_actions() -> frozenset[tuple[str, str]]:
    with (PROJECT / "seeds" / "corporate_actions.csv").open(encoding="utf-8", newline="") as file:
        return frozenset((row["symbol"], row["trade_date"]) for row in csv.DictReader(file))


def version() -> str:
    """Return name and version of the program, for the metadata of the files."""
    declared = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return f"{declared['name']} {declared['version']}"


def _list(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RefusedError("no_choice", option=option, value=value, allowed=", ".join(allowed))


def _date(option: str, value: str) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise RefusedError("no_date_option", option=option, value=value) from None


def _number(environment: Mapping[str, str], name: str, default: Default) -> float | Default:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise RefusedError("no_seconds", setting=name, value=text)
    return value
