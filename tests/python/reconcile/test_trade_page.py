"""docs/trade.md: its worked example, recomputed by the command itself."""

import datetime as dt
import re
from decimal import Decimal

import pytest
from broker import Account, write_bars
from conftest import PROJECT
from etf_rotation.reconcile.console import fixed, price, whole
from etf_rotation.reconcile.texts import entries
from etf_rotation.reconcile.tracking import PARTS, Live, Model, fill, row_of

BEFORE, SESSION = dt.date(2023, 6, 5), dt.date(2023, 6, 6)
FUNDS = ("510300.SH", "510500.SH", "513100.SH")
PAGES = ("docs/trade.md", "docs/trade.zh-CN.md")


def text_of(page):
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks(page):
    """Return the files of the example, in the order of the page."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(page), flags=re.DOTALL | re.MULTILINE)
    return [block for language, block in fenced if not language]


def tables(page):
    """Return the tables of the example as lists of rows, without their heads."""
    text = text_of(page)
    text = text[text.index("2023-06-05") :]
    found = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
        for table in found
    ]


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example of the English page, reconciled; the Chinese one has the same files."""
    account = Account(tmp_path_factory.mktemp("page") / "account")
    prices = tables(PAGES[0])[0]
    write_bars(
        account.raw,
        {
            fund: [
                (BEFORE, float(last), float(last)),
                (SESSION, float(opened), float(closed), float(before)),
            ]
            for fund, last, before, opened, closed in prices
        },
    )
    opening, orders, fills, positions, _ = blocks(PAGES[0])
    own = account.folder / "holdings.csv"
    done = account.reconcile(
        fills.encode(),
        opening=account.file("opening.csv", opening),
        orders=account.file("orders.csv", orders),
        positions=account.file("positions.csv", positions),
        cash="95567.91",
        write_holdings=str(own),
    )
    return done, account.day(SESSION), own.read_text()


def test_the_example_runs_as_the_page_says(example):
    done, day, own = example
    assert done.code == 1
    assert own == blocks(PAGES[0])[4]
    assert not any(finding["is_break"] for finding in day["findings"])
    assert "0.050 CNY per share; 1000.00 CNY receivable" in done.text


@pytest.mark.parametrize("page", PAGES)
def test_the_identities_are_those_of_the_page(example, page):
    _, day, _ = example
    _, shares, cash, *_ = tables(page)
    names = ("opening", "bought", "sold", "split", "expected", "broker")
    assert shares == [
        [line["symbol"], *(whole(Decimal(line[name])) for name in names)]
        for line in day["positions"]
    ]
    names = ("opening", "buys", "sells", "fees", "expected", "broker")
    assert cash == [
        [line["pool"], *(fixed(line[name] and Decimal(line[name]), 2) for name in names)]
        for line in day["cash"]
    ]


@pytest.mark.parametrize("page", PAGES)
def test_orders_and_costs_are_those_of_the_page(example, page):
    _, day, _ = example
    _, _, _, orders, shortfall, *_ = tables(page)

    def exact(row, name):
        return Decimal(row[name])

    assert orders == [
        [
            row["symbol"],
            f"`{row['status']}`",
            whole(Decimal(row["ordered"])),
            whole(Decimal(row["filled"])),
            price(exact(row, "price")),
            fixed(exact(row, "slippage_bps"), 1),
            fixed(exact(row, "fees_bps"), 2),
            fixed(exact(row, "assumed_fees_bps"), 2),
        ]
        for row in day["orders"]
    ]
    names = ("delay", "execution", "fees", "missed", "shortfall")
    assert shortfall == [
        [row["symbol"], *(fixed(exact(row, name), 2) for name in names)] for row in day["orders"]
    ]


@pytest.mark.parametrize("page", PAGES)
def test_the_tracking_is_that_of_the_page(example, page):
    _, day, _ = example
    live = Live.from_dict(day["live"])
    model = Model(0.0035, 0.0004, {"510500.SH": 0.0021, "513100.SH": 0.0018}, "run")
    row = fill(row_of(SESSION, live, ""), live, model)
    parts = ("difference", *PARTS)
    assert [line[2:] for line in tables(page)[5]] == [
        [f"{getattr(row, part):.4%}", fixed(row.cny[part], 2)] for part in parts
    ]
    text = text_of(page)
    for value in (live.opening_value, live.closing_value, *live.made.values()):
        assert fixed(value, 2) in text
    for share in (row.live_return, model.daily_return, model.cost, *model.made.values()):
        assert f"{share:.4%}" in text


def test_both_pages_have_the_same_files():
    assert blocks(PAGES[0]) == blocks(PAGES[1])
    assert len(blocks(PAGES[0])) == 5


@pytest.mark.parametrize(("page", "language"), [(PAGES[0], "en"), (PAGES[1], "zh")])
def test_every_line_that_the_page_explains_is_one_that_the_command_says(page, language):
    quoted = re.findall(r"^\| “([^”]+)” \|", text_of(page), flags=re.MULTILINE)
    assert len(quoted) == 10
    said = [re.sub(r"\{\w+\}", "…", both[language]) for both in entries().values()]
    for line in quoted:
        pieces = [piece.strip() for piece in re.split("…", line)]
        assert any(all(piece in text for piece in pieces) for text in said), line
