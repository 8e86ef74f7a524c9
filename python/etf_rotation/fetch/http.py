"""All requests to vendors: spacing, retries, and the stop after a ban.

Messages of libraries are never passed on: they may quote an address or a header.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard
from urllib.parse import urlsplit

import requests
import urllib3

from etf_rotation.fetch.sources import Request, Source
from etf_rotation.fetch.texts import RefusedError

TIMEOUT = 20.0  # seconds without a byte
WHOLE_ANSWER = 120.0  # seconds for a whole answer, even if it trickles
MOST_BYTES = 64 * 2**20
WAITS = (2.0, 4.0, 8.0)  # seconds before each further attempt
LONGEST_WAIT = 60.0
JITTER = 0.3  # random fraction of the spacing: requests must not be periodic
# A vendor that bans an address closes the connection without a response.
CLOSED_IN_A_ROW = 3
# After the same refusal for this many funds in a row, the other funds would be refused
# too.
REFUSED_IN_A_ROW = 3
LATER_STATUS = (408, 429)
SERVER_ERROR = 500
# Tushare's words for "at most n calls per minute", and the seconds before the next
# attempt.
MINUTE_LIMIT, MINUTE = "每分钟", 61.0
HEADERS = {"User-Agent": "etf-rotation", "Accept": "application/json"}

# At debug level urllib3 logs addresses, which may contain a token.
logging.getLogger("urllib3").setLevel(logging.INFO)


class SourceStoppedError(RefusedError):
    """A vendor receives no more requests in this run."""


@dataclass
class _Vendor:
    """A source's state in this run: closed connections and consecutive rejections."""

    closed: int = 0
    refusals: Counter = field(default_factory=Counter)
    stopped: SourceStoppedError | None = None


class Client:
    """Sends requests one after the other and returns the JSON responses.

    Parameters
    ----------
    token : str
        Added to the body of requests that need it; never shown.
    spacing : float or None
        Seconds between two requests to one host; None for each vendor's default.
    timeout : float
        Seconds without a byte after which an attempt is abandoned.
    say : callable
        Receives a line before a long wait.
    clock, sleep : callable
        As in the module `time`.
    """

    def __init__(
        self,
        *,
        token: str = "",
        spacing: float | None = None,
        timeout: float = TIMEOUT,
        say: Callable[..., None] = lambda key, **facts: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._token = token
        self._spacing = spacing
        self._timeout = timeout
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers.update(HEADERS)
        # Without it, requests would send the host's credentials from ~/.netrc.
        self._session.auth = _no_authentication
        self._vendors: dict[str, _Vendor] = {}
        self._free_at: dict[str, float] = {}

    def get(self, request: Request, spacing: float) -> object:
        """Return the JSON of a response.

        Parameters
        ----------
        request : Request
        spacing : float
            The vendor's default seconds between two requests.

        Raises
        ------
        SourceStoppedError
            The vendor is unreachable, has banned this address, or rejects every
            request.
        RefusedError
            This request has no usable answer.
        """
        vendor = self._vendor(request)
        if vendor.stopped:
            raise vendor.stopped
        try:
            return self._attempts(request, vendor, spacing)
        except SourceStoppedError as error:
            vendor.stopped = error
            raise
        except RefusedError as error:
            self.refused(request, error)
            raise

    def refused(self, request: Request, error: RefusedError) -> None:
        """Count a refusal; stop the source after too many of one kind in a row.

        Raises
        ------
        SourceStoppedError
        """
        vendor = self._vendor(request)
        kind = f"{error.key} {error.facts.get('code') or error.facts.get('status') or ''}"
        vendor.refusals = Counter({kind: vendor.refusals[kind] + 1})
        if vendor.refusals[kind] >= REFUSED_IN_A_ROW:
            raise self.stop(
                request, "refused_in_a_row", count=REFUSED_IN_A_ROW, reason=error
            ) from None

    def stop(self, request: Request, key: str, **facts: object) -> SourceStoppedError:
        """Stop a source for this run; return the error with the reason."""
        error = SourceStoppedError(key, host=urlsplit(request.url).hostname, **facts)
        self._vendor(request).stopped = error
        return error

    def accepted(self, request: Request) -> None:
        """Reset the refusals of a source after a usable response."""
        self._vendor(request).refusals.clear()

    def _vendor(self, request: Request) -> _Vendor:
        return self._vendors.setdefault(request.source, _Vendor())

    def _attempts(self, request: Request, vendor: _Vendor, spacing: float) -> object:
        has_waited_a_minute = False
        for attempt in range(len(WAITS) + 1):
            self._wait_for_turn(request, spacing)
            try:
                answer = self._once(request, vendor)
            except _LaterError as later:
                if attempt == len(WAITS):
                    raise later.refusal from None
                wait = WAITS[attempt] if later.wait is None else later.wait
                if wait > LONGEST_WAIT:
                    raise SourceStoppedError(
                        "wait_too_long", host=urlsplit(request.url).hostname, seconds=wait
                    ) from None
                self._sleep(wait)
                continue
            if _is_minute_limit(answer):
                if has_waited_a_minute:
                    raise SourceStoppedError(
                        "rate_limit", host=urlsplit(request.url).hostname, message=answer["msg"]
                    )
                has_waited_a_minute = True
                self._say("minute_limit", seconds=MINUTE)
                self._sleep(MINUTE)
                continue
            return answer
        raise AssertionError("the last attempt returns or raises")

    def _wait_for_turn(self, request: Request, spacing: float) -> None:
        host = urlsplit(request.url).netloc
        spacing = self._spacing if self._spacing is not None else spacing
        wait = self._free_at.get(host, 0.0) - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._free_at[host] = self._clock() + spacing * (1 + JITTER * random.random())

    def _once(self, request: Request, vendor: _Vendor) -> object:
        name = urlsplit(request.url).hostname or ""
        body = request.body
        if request.needs_token:
            body = {**(body or {}), "token": self._token}
        try:
            answer = self._session.request(
                "POST" if body is not None else "GET",
                request.url,
                params=request.params,
                json=body,
                headers=request.headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            content = self._content(answer)
        except requests.ConnectTimeout:
            raise _LaterError(SourceStoppedError("unreachable", host=name)) from None
        except requests.Timeout:
            raise _LaterError(RefusedError("no_answer_in_time", host=name)) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._lost(error, vendor, name) from None
        vendor.closed = 0
        return _json(answer, content, name)

    def _content(self, answer: requests.Response) -> bytes:
        deadline = self._clock() + WHOLE_ANSWER
        parts, size = [], 0
        with answer:
            for part in answer.iter_content(2**16):
                size += len(part)
                if size > MOST_BYTES:
                    raise RefusedError("answer_too_large", host=urlsplit(answer.url).hostname)
                if self._clock() > deadline:
                    raise requests.Timeout
                parts.append(part)
        content = b"".join(parts)
        # Masked, because a vendor may quote the request in its error.
        return content.replace(self._token.encode(), b"***") if self._token else content

    def _lost(self, error: Exception, vendor: _Vendor, name: str) -> Exception:
        """Return the error for a lost connection: retry, or stop the vendor."""
        causes = tuple(type(cause) for cause in _causes(error))
        if _is_any(causes, _CLOSED):
            vendor.closed += 1
            if vendor.closed >= CLOSED_IN_A_ROW:
                return SourceStoppedError("door_shut", host=name, count=CLOSED_IN_A_ROW)
            return _LaterError(RefusedError("connection_closed", host=name))
        if _is_any(causes, _BROKEN_OFF):
            return _LaterError(RefusedError("half_an_answer", host=name))
        if _is_any(causes, (urllib3.exceptions.ReadTimeoutError,)):
            return _LaterError(RefusedError("no_answer_in_time", host=name))
        if _is_any(causes, (requests.exceptions.SSLError,)):
            return SourceStoppedError("certificate", host=name)
        return _LaterError(SourceStoppedError("unreachable", host=name))


# Errors that mean that the other side closed the connection.
_CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
)
_BROKEN_OFF = (requests.exceptions.ChunkedEncodingError, http.client.IncompleteRead)


class _LaterError(Exception):
    """Another attempt may help; `refusal` is the message if it does not."""

    def __init__(self, refusal: RefusedError, wait: float | None = None):
        super().__init__()
        self.refusal = refusal
        self.wait = wait


def _is_any(kinds: tuple[type, ...], wanted: tuple[type, ...]) -> bool:
    return any(issubclass(kind, wanted) for kind in kinds)


def _no_authentication(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an exception and all exceptions that it wraps."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__, *one.args, getattr(one, "reason", None)]
    return found


def _json(answer: requests.Response, content: bytes, host: str | None) -> object:
    status = answer.status_code
    if status in LATER_STATUS or status >= SERVER_ERROR:
        raise _LaterError(
            RefusedError("http_status", host=host, status=status), _retry_after(answer)
        )
    if requests.codes.multiple_choices <= status < requests.codes.bad_request:
        raise RefusedError("redirected", host=host, status=status)
    if status != requests.codes.ok:
        raise RefusedError("http_status", host=host, status=status)
    try:
        return json.loads(content)
    except ValueError:
        kind = "page_for_data" if content.lstrip()[:1] == b"<" else "no_json"
        raise RefusedError(kind, host=host) from None


def _retry_after(answer: requests.Response) -> float | None:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _is_minute_limit(answer: object) -> TypeGuard[Mapping]:
    return (
        isinstance(answer, Mapping)
        and bool(answer.get("code"))
        and MINUTE_LIMIT in str(answer.get("msg"))
    )


def address(source: Source, environment: Mapping[str, str]) -> tuple[str, bool]:
    """Return a vendor's address, and whether it is plain http and needs a warning.

    Raises
    ------
    RefusedError
        The user's setting is no valid address.
    """
    given = environment.get(source.setting, "").strip()
    url = given.rstrip("/") or source.url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RefusedError("no_url", setting=source.setting)
    if parts.username or parts.password:
        raise RefusedError("url_with_password", setting=source.setting)
    return url, parts.scheme == "http" and not _is_loopback(parts.hostname)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
