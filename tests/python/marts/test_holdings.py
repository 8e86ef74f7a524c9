"""A holdings file: its content, and the message for each fault."""

import pytest
from etf_rotation.errors import InputError
from etf_rotation.marts import holdings

POOL_OF = {
    "510300.SH": "A_SHARE",
    "510500.SH": "A_SHARE",
    "513100.SH": "QDII",
    "518880.SH": "OTHER",
}


def parse(*lines, header="pool,symbol,shares", pools=("A_SHARE", "QDII"), priced=tuple(POOL_OF)):
    text = "\n".join([header, *lines]) + "\n"
    return holdings.parse(text, name="own.csv", pool_of=POOL_OF, pools=pools, priced=priced)


def faults(*lines, **options):
    with pytest.raises(InputError) as error:
        parse(*lines, **options)
    return str(error.value).split("\n")


def test_cash_and_shares_are_read_by_pool():
    assert parse(
        "QDII,CASH,1000.5",
        "A_SHARE,510300.SH,1200",
        "QDII,513100.SH, 300 ",
        "A_SHARE,CASH,0",
        "A_SHARE,510500.SH,0",
        "",
    ) == {
        "A_SHARE": (0.0, {"510300.SH": 1200.0}),
        "QDII": (1000.5, {"513100.SH": 300.0}),
    }


def test_columns_are_matched_by_name():
    own = parse("5,x,CASH,QDII", header="shares,note,symbol,pool")
    assert own == {"QDII": (5.0, {})}


def test_a_pool_that_is_not_in_the_build_is_checked_and_left_out():
    assert parse("QDII,CASH,1", "OTHER,CASH,1", "OTHER,518880.SH,100", priced=()) == {
        "QDII": (1.0, {})
    }
    assert len(faults("QDII,CASH,1", "OTHER,CASH,1", "OTHER,518880.SH,-1")) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("CHINA,510300.SH,1", "pool 'CHINA' is unknown; write one of A_SHARE, OTHER, QDII"),
        ("A_SHARE,600000.SH,1", "fund '600000.SH' is in no pool"),
        ("A_SHARE,513100.SH,1", "fund 513100.SH is not in pool A_SHARE; write QDII"),
        ("A_SHARE,510300.SH,-100", "shares -100 is negative"),
        ("A_SHARE,510300.SH,many", "shares 'many' is not a number"),
        ("A_SHARE,510300.SH,", "shares '' is not a number"),
        ("A_SHARE,510300.SH,nan", "shares 'nan' is not a number"),
        ("A_SHARE,510300.SH,inf", "shares 'inf' is not a number"),
        ('A_SHARE,510300.SH,"1,200"', "shares '1,200' is not a number"),
        ("A_SHARE,510500.SH,1", "fund 510500.SH has no bar"),
        ("A_SHARE,CASH,2", "A_SHARE CASH is already on line 2"),
        ("A_SHARE,510300.SH,1,2", "4 values under 3 columns"),
    ],
)
def test_a_faulty_line_is_named_with_what_to_do(line, said):
    (message,) = faults("A_SHARE,CASH,1", line, priced=("510300.SH",))
    assert message.startswith(f"holdings file own.csv, line 3: {said}")
    assert "; " in message


def test_a_second_row_of_a_fund_is_a_fault_even_if_it_says_the_same():
    (message,) = faults("QDII,CASH,1", "QDII,513100.SH,100", "QDII,513100.SH,100")
    assert "line 4: QDII 513100.SH is already on line 3" in message


def test_a_pool_without_cash_is_a_fault():
    (message,) = faults("A_SHARE,CASH,1", "QDII,513100.SH,100")
    assert message == (
        "holdings file own.csv, line 3: pool QDII has no CASH row; "
        "add the line QDII,CASH,<its cash in CNY>"
    )


def test_every_fault_has_a_line_of_its_own_in_the_order_of_the_file():
    lines = faults("QDII,CASH,x", "QDII,513100.SH,-1", "A_SHARE,513100.SH,1")
    assert [line.split(":")[0] for line in lines] == [
        "holdings file own.csv, line 2",
        "holdings file own.csv, line 3",
        "holdings file own.csv, line 4",
        "holdings file own.csv, line 4",
    ]


@pytest.mark.parametrize(
    ("header", "missing"),
    [("pool,symbol", "shares"), ("a;b", "pool, symbol, shares"), ("", "pool")],
)
def test_a_missing_column_is_named(header, missing):
    (message,) = faults("QDII,CASH,1", header=header)
    assert f"line 1: no column {missing}" in message


def test_a_file_without_holdings_is_a_fault():
    (message,) = faults()
    assert "no holdings" in message


def test_a_file_is_read_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "own.csv"
    path.write_bytes("\ufeffpool,symbol,shares\r\nQDII,CASH,7\r\n".encode())
    own = holdings.read(str(path), pool_of=POOL_OF, pools=["QDII"], priced=[])
    assert own == {"QDII": (7.0, {})}


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "own.csv"
    for content in (None, b"\xff\xfe\x00"):
        if content:
            path.write_bytes(content)
        with pytest.raises(InputError, match=r"own\.csv cannot be read: .*; correct the var"):
            holdings.read(str(path), pool_of=POOL_OF, pools=["QDII"], priced=[])
