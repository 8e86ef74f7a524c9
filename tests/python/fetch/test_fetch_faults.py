"""Faulty answers: each is rejected with its reason, and all other funds are written."""

import datetime as dt
import errno
import socket
from dataclasses import replace

import pytest
from etf_rotation.fetch import exchange, http, store, tushare
from etf_rotation.fetch.http import Client
from etf_rotation.fetch.sources import Request
from etf_rotation.fetch.texts import RefusedError
from etf_rotation.fetch.update import SOURCES, parsed
from fetching import DAYS, FUNDS, LAST, column, digests, place
from vendors import TOKEN, rounded

__all__ = ["place"]
ODD = "159915.SZ"  # the fund in the middle, so that one comes after it


def odd_fund_is_refused(place, token, words):
    """The fund has no file; the others are there; one line says why."""
    code, said = place.fetch(token=token)
    assert code == 1, said
    line = f"{ODD} not written: {words}"
    assert sum(text.startswith(line) for text in said.splitlines()) == 1, said
    names = {path.name for path in store.daily(place.root).iterdir()}
    assert names == {f"{symbol}_daily.parquet" for symbol in FUNDS if symbol != ODD}
    assert TOKEN not in said
    return said


DATA_FAULTS = [
    ("tomorrow", "the vendor sent a row of 2025-06-29, which is after today (2024-06-28)"),
    ("twice", f"the vendor sent {DAYS[0]} twice"),
    ("holiday", "the vendor sent a row of 2024-01-01, which is not a trading session"),
    ("other", "the vendor sent rows of "),
    ("empty", "the vendor sent no rows"),
    ("shares", "amount / (volume × close) has the median 0.0"),
    ("unit_of_today", f"{LAST}: amount / (volume × close) is 0.01"),
    ("high", f"{LAST}: "),
    ("negative", f"{LAST}: amount is -0.001"),
    ("html", "127.0.0.1 sent a web page instead of data"),
    ("broken", "127.0.0.1 sent a response that is not JSON"),
    ("redirect", "127.0.0.1 redirects (HTTP status 302), which is not followed"),
    (403, "127.0.0.1 answers with HTTP status 403"),
]


@pytest.mark.parametrize("token", ["", TOKEN], ids=["eastmoney", "tushare"])
@pytest.mark.parametrize(("fault", "words"), DATA_FAULTS, ids=lambda value: str(value)[:12])
def test_a_faulty_answer_is_refused_by_name(place, token, fault, words):
    place.faults["tushare" if token else "eastmoney", ODD] = fault
    odd_fund_is_refused(place, token, words)
    assert place.slept == [], "another attempt cannot help"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("code", "the vendor refuses with code 2002 抱歉，您没有访问该接口的权限"),
        ("full", "a page of 2000 rows is full"),
        ("more", "a page of "),
        ("fewer", "the answer has no field pre_close, vol, amount"),
        ("text", f"{LAST}: close is not a number: --"),
    ],
)
def test_what_only_tushare_gets_wrong(place, fault, words):
    place.faults["tushare", ODD] = fault
    odd_fund_is_refused(place, TOKEN, words)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("null", "the vendor does not know this fund"),
        ("rc", "the vendor refuses with code 102"),
        ("unlike", f"{DAYS[80]}: the unadjusted and the forward-adjusted responses have"),
        ("noise", f"{DAYS[80]}: the forward-adjusted close "),
        ("swapped", f"{DAYS[0]}: "),
    ],
)
def test_what_only_eastmoney_gets_wrong(place, fault, words):
    place.faults["eastmoney", ODD] = fault
    odd_fund_is_refused(place, "", words)


def test_forward_adjusted_prices_for_unadjusted_ones_are_refused(place):
    """The traded amount no longer fits the prices."""
    for bar in place.market.bars[ODD][:100]:
        lower = {name: rounded(getattr(bar, name) / 1.05) for name in ("open", "high", "low")}
        low, high = min(lower.values()), max(lower.values())
        close = min(max(rounded(bar.close / 1.05), low), high)
        place.market.change(ODD, bar.date, close=close, **lower)
    said = odd_fund_is_refused(place, "", "2023-")
    assert "amount / (volume × mean price) has the median 1.05" in said
    assert "the prices are adjusted" in said


def test_a_page_that_was_cut_leaves_a_hole_that_is_seen(place):
    del place.market.bars[ODD][40:110]
    odd_fund_is_refused(place, TOKEN, f"no rows between {DAYS[39]} and {DAYS[110]}")


def test_a_missing_pre_close_is_refused(place):
    place.market.change(ODD, DAYS[70], pre_close=None)
    odd_fund_is_refused(place, TOKEN, f"{DAYS[70]}: pre_close is missing")


def test_pre_close_on_another_basis_is_refused(place):
    for bar in place.market.bars[ODD][1:]:
        place.market.change(ODD, bar.date, pre_close=rounded(bar.pre_close * 0.99))
    odd_fund_is_refused(place, TOKEN, f"{DAYS[1]} to {DAYS[16]}: pre_close differs")


def test_fields_in_another_order_are_the_same_fields(place):
    place.fetch(token=TOKEN)
    before = column(place, ODD, "close"), column(place, ODD, "vol")
    place.faults["tushare", "all"] = "shuffled"
    code, said = place.fetch(token=TOKEN, full=True)
    assert (code, "up to date (3)" in said) == (0, True)
    assert (column(place, ODD, "close"), column(place, ODD, "vol")) == before


def test_a_fault_in_an_update_leaves_the_file_as_it_is(place):
    place.fetch(now=f"{DAYS[-2]}T18:00")
    before = digests(store.daily(place.root))
    place.faults["eastmoney", ODD] = "shares"
    assert place.fetch()[0] == 1
    after = digests(store.daily(place.root))
    assert {name for name in after if after[name] != before[name]} == {
        f"{symbol}_daily.parquet" for symbol in FUNDS if symbol != ODD
    }


@pytest.mark.parametrize("source", ["tushare", "eastmoney", "sse", "szse"])
@pytest.mark.parametrize(
    "payload",
    [
        None,
        5,
        "text",
        [],
        [1],
        {},
        {"data": 1},
        {"code": 0},
        {"code": 0, "data": {"fields": None, "items": [[1]]}},
        {"code": 0, "data": {"fields": ["ts_code"], "items": [1]}},
        {"code": 0, "data": {"fields": list(tushare.FIELDS), "items": [[{}] * 9]}},
        {"rc": 0, "data": {"code": "159915", "klines": [None]}},
        {"rc": 0, "data": {"code": "159915", "klines": ["2024-06-28,1,2"]}},
        {"rc": 0, "data": {"code": "159915", "klines": ["9999999-06-28,1,2,3,4,5,6"]}},
        {"code": "159915", "kline": [[20240628]]},
        {"code": "159915", "kline": [5]},
        [{"data": [{"zqdm": "159915"}]}],
        [{"data": {"zqdm": "159915"}}],
    ],
)
def test_json_of_another_form_is_refused(source, payload):
    sources = {**SOURCES, "sse": exchange.SSE, "szse": exchange.SZSE}
    payloads = [payload] * (2 if source == "eastmoney" else 1)
    try:
        answer = parsed(sources[source], ODD, payloads, LAST)
    except RefusedError:
        return
    assert answer.bars.num_rows == 0


def test_a_full_disk_loses_no_file(place, monkeypatch):
    place.fetch(now=f"{DAYS[-2]}T18:00")
    before = digests(store.daily(place.root))

    def full(table, file, **options):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", file.name)

    monkeypatch.setattr(store.pq, "write_table", full)
    code, said = place.fetch()
    assert code == 1
    assert said.count(": No space left on device") >= 3
    assert digests(store.daily(place.root)) == before


def test_shenzhens_error_with_status_200_is_no_answer():
    """Shenzhen answers so to spans of more than five days, which fetch never requests."""
    text = "查询日期区间不能超过5天"
    payload = [{"metadata": {"tabkey": "tab2"}, "data": [], "error": text}]
    with pytest.raises(RefusedError, match=text):
        exchange.szse_answer(ODD, [payload], LAST)
    requests = exchange.szse_requests("https://x", ODD, DAYS[-30], LAST)
    spans = [(r.params["txtBeginDate"], r.params["txtEndDate"]) for r in requests]
    assert spans[0][0] == str(DAYS[-30])
    assert spans[-1][1] == str(LAST)
    days = [[dt.date.fromisoformat(day) for day in span] for span in spans]
    assert {(end - start).days for start, end in days[:-1]} == {4}
    assert all(
        after[0] - before[1] == dt.timedelta(days=1)
        for before, after in zip(days, days[1:], strict=False)
    )


# -- retries, spacing, and knowing when to stop ----------------------------------------


@pytest.mark.parametrize("fault", [500, 502, 429, "half", "slow", "closed"])
def test_a_temporary_error_is_retried(place, fault):
    place.faults["eastmoney", ODD] = [fault]
    code, said = place.fetch()
    assert code == 0, said
    assert place.slept == [3.0 if fault == 429 else 2.0]
    assert len([call for call in place.vendors.calls if call.symbol == ODD]) == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (500, "127.0.0.1 answers with HTTP status 500"),
        ("half", "127.0.0.1 broke off in the middle of its response"),
    ],
)
def test_a_lasting_error_is_given_up_after_four_attempts(place, fault, words):
    place.faults["eastmoney", ODD] = fault
    odd_fund_is_refused(place, "", words)
    assert place.slept == [2.0, 4.0, 8.0]
    assert len([call for call in place.vendors.calls if call.symbol == ODD]) == 4


def test_a_vendor_that_closes_connections_gets_no_more_requests(place):
    place.faults["eastmoney", ODD] = "closed"
    code, said = place.fetch()
    assert code == 1
    banned = "127.0.0.1 closed the connection 3 times and has banned this address"
    assert said.count(f"Stopped: {banned}") == 1
    assert f"failed, not written (2): 159915.SZ, 513100.SH ({banned}" in said
    asked = [call.symbol for call in place.vendors.calls]
    assert asked == ["510300.SH"] * 2 + [ODD] * 3
    assert "gained (1)" in said


def test_a_ban_from_the_first_call_is_exit_code_2(place):
    place.faults["eastmoney", "all"] = "closed"
    code, said = place.fetch()
    assert code == 2
    assert len(place.vendors.calls) == 3


@pytest.mark.parametrize("fault", [403, "html", "code"])
def test_the_same_error_for_three_funds_stops_the_source(place, fault):
    place.faults["tushare", "all"] = fault
    code, said = place.fetch(token=TOKEN, symbols=None)
    assert code == 2
    assert len(place.vendors.calls) == 3 * (4 if fault == "code" else 1)
    end = "Fetch could not begin: 127.0.0.1 refused 3 funds in a row and gets no more requests"
    assert end in said


def test_a_refused_token_ends_in_one_line_and_is_shown_nowhere(place):
    wrong = "wrong-token-1c9e"
    code, said = place.fetch(token=wrong, symbols=None, source="tushare")
    assert code == 2
    assert len(place.vendors.calls) == 4, "one fund's, not 47"
    assert (
        "Fetch could not begin: 127.0.0.1 refuses the token: the vendor refuses with code 40101 "
        "您的token不对，请确认。***; correct TUSHARE_TOKEN." in said
    )
    assert wrong not in said
    for path in place.root.rglob("*"):
        assert not path.is_file() or wrong.encode() not in path.read_bytes()


def test_tushare_without_a_token_is_one_line(place):
    code, said = place.fetch(source="tushare")
    assert code == 2
    assert said.splitlines()[-1].startswith("Fetch could not begin: tushare needs a token: set ")
    assert place.vendors.calls == []


def test_a_vendor_out_of_reach_is_one_line(place):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = {"ETF_EASTMONEY_URL": f"http://127.0.0.1:{port}"}
    code, said = place.fetch(settings=nowhere)
    assert code == 2
    assert said.count("127.0.0.1 is out of reach") == 1
    assert place.slept == [2.0, 4.0, 8.0]


def test_a_limit_per_minute_is_waited_for_once(place):
    place.faults["tushare", ODD] = ["minute"]
    code, said = place.fetch(token=TOKEN)
    assert code == 0
    assert place.slept == [http.MINUTE]
    assert "The vendor's limit per minute is reached: waiting 61 s." in said


def test_a_limit_that_a_minute_does_not_lift_ends_it(place):
    place.faults["tushare", "all"] = "minute"
    code, said = place.fetch(token=TOKEN)
    assert code == 2
    assert "抱歉，您每分钟最多访问该接口80次" in said
    assert len(place.vendors.calls) == 2


def test_a_long_retry_after_is_not_waited_for(place):
    place.vendors.retry_after = "3600"
    place.faults["eastmoney", "all"] = 429
    code, said = place.fetch()
    assert code == 2
    assert "127.0.0.1 asks to wait 3600 s" in said
    assert place.slept == []


def _query(code):
    return {"secid": f"1.{code}", "fqt": "0", "beg": "20240601", "end": "20500101"}


def test_requests_to_one_host_are_spaced_across_vendors(place):
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    client = Client(clock=lambda: now[0], sleep=sleep)
    path = "/api/qt/stock/kline/get"
    here = Request("eastmoney", f"{place.vendors.url}{path}", _query("510300"))
    elsewhere = replace(here, url=here.url.replace("127.0.0.1", "localhost"))
    client.get(here, 1.5)
    client.get(elsewhere, 1.5)
    assert slept == []
    client.get(replace(here, source="sse"), 1.0)
    client.get(here, 1.5)
    assert len(slept) == 2
    assert 1.5 <= slept[0] <= 1.5 * (1 + http.JITTER)
    assert 1.0 <= slept[1] <= 1.0 * (1 + http.JITTER)


def test_a_setting_replaces_the_spacing(place):
    place.fetch(spacing=700.0, symbols="510300.SH")
    (pause,) = place.slept
    assert 600 < pause <= 700 * (1 + http.JITTER)


# -- addresses and secrets -------------------------------------------------------------


def test_the_built_in_addresses_are_https():
    for source in (*SOURCES.values(), exchange.SSE, exchange.SZSE):
        assert http.address(source, {}) == (source.url, False)
        assert source.url.startswith("https://")


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000/", False),
        ("http://localhost", False),
        ("https://proxy.example.com/tushare", False),
        ("http://proxy.example.com", True),
    ],
)
def test_plain_http_warns_unless_it_stays_on_this_machine(url, warns):
    found = http.address(tushare.SOURCE, {"ETF_TUSHARE_URL": url})
    assert found == (url.rstrip("/"), warns)


@pytest.mark.parametrize("url", ["ftp://x", "api.tushare.pro", "https://", "file:///etc/passwd"])
def test_an_invalid_address_is_rejected(place, url):
    code, said = place.fetch(settings={"ETF_TUSHARE_URL": url})
    assert code == 2
    assert "ETF_TUSHARE_URL is not an address" in said


def test_a_password_in_an_address_is_refused_and_not_shown(place):
    code, said = place.fetch(settings={"ETF_SSE_URL": "https://me:secret-9@proxy.example.com"})
    assert code == 2
    assert "secret-9" not in said


def test_the_warning_about_plain_http_is_printed(place, monkeypatch):
    monkeypatch.setattr(http, "_is_loopback", lambda host: False)
    _, said = place.fetch(token=TOKEN)
    assert "Warning: ETF_TUSHARE_URL is plain http" in said


def test_the_token_goes_to_tushare_only_and_is_kept_nowhere(place, monkeypatch):
    monkeypatch.setenv("NETRC", str(place.root.parent / "netrc"))
    (place.root.parent / "netrc").write_text("machine 127.0.0.1 login me password secret-netrc\n")
    place.fetch(symbols="510300.SH")
    place.fetch(token=TOKEN, symbols="159915.SZ", check="exchange", source="tushare")
    place.fetch(token=TOKEN, full=True)
    for call in place.vendors.calls:
        is_tushare = call.vendor == "tushare"
        assert (call.details.get("token") == TOKEN) is is_tushare
        assert "Authorization" not in call.details["headers"]
        if not is_tushare:
            assert TOKEN not in str(call.details)
    for path in place.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_an_endless_answer_is_abandoned(place, monkeypatch):
    monkeypatch.setattr(http, "MOST_BYTES", 1000)
    code, said = place.fetch(symbols="510300.SH")
    assert code == 1
    assert "sent more than any fund has" in said


def test_a_trickling_answer_is_abandoned(place):
    ticks = iter(range(0, 100_000, 200))
    client = Client(clock=lambda: float(next(ticks)), sleep=lambda seconds: None, spacing=0)
    request = Request("eastmoney", f"{place.vendors.url}/api/qt/stock/kline/get", _query("510300"))
    with pytest.raises(RefusedError, match="did not answer in time"):
        client.get(request, 0)
