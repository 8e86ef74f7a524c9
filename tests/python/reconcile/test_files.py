"""Brokers' files: their content, and a one-line error for each bad file."""

import datetime as dt
from decimal import Decimal

import pytest
from broker import SEEDS, SLIP, TUE, business, slip, trade
from etf_rotation.reconcile import cells, fees
from etf_rotation.reconcile.statements import (
    read_balance,
    read_fills,
    read_flows,
    read_positions,
)
from etf_rotation.reconcile.texts import RefusedError

QMT = (
    "account_id,stock_code,order_type,traded_id,traded_time,traded_price,traded_volume,"
    "traded_amount,order_id,order_sysid,strategy_name,order_remark,commission"
)


@pytest.fixture
def write(tmp_path):
    def written(content, name="fills.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def refusal(read, *arguments):
    with pytest.raises(RefusedError) as refused:
        read(*arguments)
    message = str(refused.value)
    assert "\n" not in message
    return message


def only(write, *rows, **options):
    (entry,) = read_fills(write(slip(*rows, **options)), SEEDS, None).entries
    return entry


# -- what is read ----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", ["\t", ","])
def test_encoding_and_separator_are_detected(write, encoding, separator):
    row = trade("510300", "证券买入", 3.912, 1200, fees="7.22", 备注="20230606-A_SHARE-510300-BUY")
    entry = only(write, row, encoding=encoding, separator=separator)
    assert (entry.symbol, entry.pool, entry.kind) == ("510300.SH", "A_SHARE", "buy")
    assert (entry.shares, entry.price, entry.value) == (1200, Decimal("3.912"), Decimal("4694.40"))
    assert (entry.fees, entry.cash) == (Decimal("7.22"), Decimal("-4701.62"))
    assert (entry.trade_date, entry.time) == (TUE, "09:30:05")
    assert entry.order_id == "20230606-A_SHARE-510300-BUY"


def test_quoted_codes_thousands_and_a_trailing_column_are_read(write):
    row = trade("x", "买入", 4.0, 100000)
    row |= {"证券代码": '="510300"', "成交数量": "100,000", "成交金额": "400,000.00"}
    row |= {"发生金额": "-400,005.00"}
    entry = only(write, row, header=(*SLIP, ""))
    assert (entry.symbol, entry.shares, entry.value) == (
        "510300.SH",
        100000,
        Decimal("400000.00"),
    )


def test_qmt_columns_are_read(write):
    content = (
        f"{QMT}\n880123,510300.SH,23,t1,1686015005,3.9,1000,3900.0,1,2,s,"
        "20230606-A_SHARE-510300-,0.975\n"
        "880123,159915.SZ,24,t2,20230606093007,2.5,200,500.0,1,2,s,,0.13\n"
    )
    buy, sell = read_fills(write(content), SEEDS, None).entries
    assert (buy.kind, buy.fees, buy.cash) == ("buy", Decimal("0.98"), Decimal("-3900.98"))
    assert (buy.trade_date, buy.time) == (TUE, "09:30:05")
    # A remark that was cut off still names day, pool and fund.
    assert buy.order_id == "20230606-A_SHARE-510300"
    assert (sell.kind, sell.symbol, sell.time) == ("sell", "159915.SZ", "09:30:07")


def test_a_negative_sell_is_a_sell(write):
    for shares in (-500, 500):
        entry = only(write, trade("510300", "卖出", 3.9, shares))
        assert (entry.kind, entry.shares, entry.cash) == ("sell", 500, Decimal("1945.00"))


def test_a_sell_may_cost_more_than_it_brings(write):
    row = trade("510300", "卖出", 3.9, 1, fees="5.00")
    assert row["发生金额"] == "-1.10"
    assert only(write, row).cash == Decimal("-1.10")


def test_two_fills_that_are_equal_count_twice(write):
    row = trade("510300", "买入", 3.9, 100)
    assert len(read_fills(write(slip(row, row)), SEEDS, None).entries) == 2


@pytest.mark.parametrize(
    ("code", "symbol"),
    [
        ("510300", "510300.SH"),
        ("159915.sz", "159915.SZ"),
        ("510300.SS", "510300.SH"),
        ("SH510300", "510300.SH"),
        ("878", "000878.SZ"),
        ("204001", "204001.SH"),
        ("131810", "131810.SZ"),
        ("600000", "600000.SH"),
        ("", None),
    ],
)
def test_codes_get_their_exchange(code, symbol):
    assert cells.symbol(code, SEEDS.symbol_of_code) == symbol


@pytest.mark.parametrize("code", ["51030a", "SH510300.SH", "5103000", "沪300"])
def test_an_invalid_code_is_refused(code):
    with pytest.raises(ValueError):
        cells.symbol(code, SEEDS.symbol_of_code)


@pytest.mark.parametrize("text", ["1,23", "1 000", "NaN", "inf", "1.000,5", "3.9元"])
def test_an_invalid_number_is_refused(text):
    with pytest.raises(ValueError):
        cells.number(text)


def test_a_title_above_the_header_and_sums_below_the_rows_are_passed_over(write):
    rows = slip(trade("510300", "买入", 3.9, 100), encoding="utf-8").decode()
    content = f"成交查询\n\n{rows}合计\t\t\t\t\t\t\t390.00\t-395.00\t5.00\t\t\t\t\t\t\n"
    assert len(read_fills(write(content), SEEDS, None).entries) == 1


def test_business_rows_are_classified(write):
    fills = read_fills(
        write(
            slip(
                business("红利入账", 120.5, code="510300"),
                business("利息归本", 3.21),
                business("银行转存", 10000),
                business("银证转账", -2000),
                business("指定交易", 0),
                business("基金份额拆分", 0, code="513100", 成交数量="4000"),
                business("融券购回", 50001.12, code="204001"),
            )
        ),
        SEEDS,
        None,
    )
    assert [(entry.kind, str(entry.cash)) for entry in fills.entries] == [
        ("dividend", "120.50"),
        ("interest", "3.21"),
        ("deposit", "10000.00"),
        ("transfer", "-2000.00"),
        ("split", "0.00"),
        ("unknown", "50001.12"),
    ]
    found = [(finding.key, finding.is_break) for finding in fills.findings]
    assert found == [("no_effect", False), ("unknown_word", True)]
    assert "融券购回" in fills.findings[1].line("en")
    assert "50001.12" in fills.findings[1].line("zh")


def test_an_unknown_word_with_a_long_number_is_masked(write):
    fills = read_fills(write(slip(business("转6222020200112230", 5))), SEEDS, None)
    assert "6222020200112230" not in fills.findings[0].line("en") + fills.entries[0].word


def test_price_times_shares_may_differ_from_the_value_by_half_a_tick_a_share(write):
    def found(value):
        row = trade("510300", "买入", 3.9, 10000, fees="5.00")
        row |= {"成交金额": f"{value:.2f}", "发生金额": f"{-value - 5:.2f}"}
        return [finding.key for finding in read_fills(write(slip(row)), SEEDS, None).findings]

    assert found(39005.01) == []
    assert found(39005.02) == ["value"]
    assert found(38994.99) == []
    assert found(38994.98) == ["value"]


def test_positions_are_read_and_empty_ones_left_out(write):
    content = "证券代码\t证券名称\t股份余额\t股份可用\t当前持仓\t参考成本价\t股东代码\t\n"
    content += (
        '="510300"\t沪深300ETF\t12,000\t0\t12000\t3.9\tA88\t\n513100\t纳指\t0\t0\t0\t1\tA88\t\n'
    )
    held, _ = read_positions(write(content.encode("gb18030")), SEEDS)
    assert held == {"510300.SH": 12000}


def test_one_fund_in_two_shareholder_accounts_is_one_holding(write):
    held, _ = read_positions(write("stock_code,volume\n510300.SH,100\n510300.SH,200\n"), SEEDS)
    assert held == {"510300.SH": 300}


@pytest.mark.parametrize(
    ("content", "cash"),
    [
        ("资金余额\t可用金额\t可取金额\t股票市值\t总资产\n1,234.56\t1\t1\t1\t1\n", "1234.56"),
        ("account_id,cash,frozen_cash,market_value,total_asset\n880,100.5,20.25,1,1\n", "120.75"),
        ("币种,资金余额\n港币,7\n人民币,8\n美元,9\n", "8.00"),
    ],
)
def test_the_balance_is_the_cash_in_cny(write, content, cash):
    assert read_balance(write(content), SEEDS)[0] == Decimal(cash)


def test_flows_are_read(write):
    flows, _ = read_flows(
        write('date,amount,pool\n2023-06-06,"10,000.00",QDII\n20230607,-5,\n'), SEEDS
    )
    assert [(flow.trade_date, str(flow.amount), flow.pool) for flow in flows] == [
        (TUE, "10000.00", "QDII"),
        (dt.date(2023, 6, 7), "-5.00", None),
    ]


# -- fees ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "sums", "implied", "amount"),
    [
        ([5], [], None, 5),
        ([5, 0.36], [], None, 5.36),
        ([], [5], None, 5),
        ([0, 0], [5], None, 5),
        ([5, 0.36], [5.36], None, 5.36),  # they add up to it
        ([5, 0.36], [5.36], 5.36, 5.36),
        ([0.36], [5], 5.36, 5.36),  # a part
        ([0.36], [5], 5, 5),  # the sum
        ([5, 0.36], [5], 5.36, 5.36),  # the commission once more
        ([], [], 5, 5),  # no column of fees at all
        ([-5], [], None, 5),
    ],
)
def test_fees_that_are_a_part_or_the_sum_are_told_apart(parts, sums, implied, amount):
    def exact(values):
        return [Decimal(str(value)) for value in values]

    given = None if implied is None else Decimal(str(implied))
    assert fees.of_trade(exact(parts), exact(sums), given) == fees.Fees(Decimal(str(amount)))


def test_fees_that_may_be_either_are_not_guessed():
    assert fees.of_trade([Decimal("0.36")], [Decimal(5)], None) is None


def test_fees_that_the_cash_moved_contradicts_are_named(write):
    row = trade("510300", "买入", 3.9, 1000, fees="5.00") | {"佣金": "9.00"}
    fills = read_fills(write(slip(row)), SEEDS, None)
    assert [finding.key for finding in fills.findings] == ["fees"]
    # The cash decides all the same.
    assert fills.entries[0].cash == Decimal("-3905.00")


def test_fills_without_any_fees_say_so(write):
    header = "日期,代码,操作,成交价,成交数量"
    fills = read_fills(write(f"{header}\n20230606,510300,买入,4,1000\n"), SEEDS, None)
    assert [finding.key for finding in fills.findings] == ["no_fees"]
    assert fills.entries[0].cash == Decimal("-4000.00")
    stated = read_fills(write(f"{header},佣金\n20230606,510300,买入,4,1000,5\n"), SEEDS, None)
    assert stated.findings == []


def test_the_commission_beside_the_net_commission_is_their_sum(write):
    header = "日期,代码,操作,成交价,成交数量,发生金额,佣金,净佣金,规费\n"
    entry = read_fills(write(header + "20230606,510300,买入,4,1000,-4005,5,4.2,0.8\n"), SEEDS, None)
    assert entry.entries[0].fees == Decimal(5)
    assert entry.findings == []


# -- what is refused -------------------------------------------------------------------


def test_a_missing_column_is_refused_with_the_headers_found(write):
    header = tuple(name for name in SLIP if name != "成交价格")
    message = refusal(read_fills, write(slip(header=header)), SEEDS, None)
    assert "no column for price; headers found: 成交日期, " in message


def test_a_column_that_is_there_twice_is_refused(write):
    message = refusal(read_fills, write(slip(header=(*SLIP, "成交均价"))), SEEDS, None)
    assert "成交价格, 成交均价 both mean price" in message


def test_a_file_without_a_header_is_refused_and_not_repeated(write):
    content = "20230606\t09:30\t510300\tA880123456\t100\n"
    message = refusal(read_fills, write(content), SEEDS, None)
    assert "no header" in message
    assert "880123456" not in message


@pytest.mark.parametrize(
    ("change", "column", "what"),
    [
        ({"成交数量": "-100"}, "成交数量", "the sign contradicts"),
        ({"成交数量": "100.5"}, "成交数量", "not a whole number"),
        ({"成交数量": ""}, "成交数量", "not a whole number"),
        ({"成交价格": "三块九"}, "成交价格", "not a number"),
        ({"成交价格": "0"}, "成交价格", "no price above zero"),
        ({"成交金额": "1,23"}, "成交金额", "not a number"),
        ({"发生金额": "390.00"}, "发生金额", "the sign contradicts"),
        ({"买卖标志": "卖出", "发生金额": "-385.00"}, "发生金额", "the sign contradicts"),
        ({"证券代码": "沪300"}, "证券代码", "not a code"),
        ({"证券代码": ""}, "证券代码", "not a code"),
        ({"成交日期": "6 June"}, "成交日期", "not a date"),
        ({"成交时间": "half past nine"}, "成交时间", "not a time"),
        ({"佣金": "five"}, "佣金", "not a number"),
    ],
)
def test_a_bad_cell_is_refused_by_file_line_and_column(write, change, column, what):
    good = trade("510500", "买入", 3.9, 100)
    bad = good | change
    path = write(slip(good, bad, bad))
    message = refusal(read_fills, path, SEEDS, None)
    assert message.startswith(f"{path}, line 3, column {column}: {what}")
    assert message.endswith("(other bad lines: 1)")
    # Nothing of the row is repeated.
    said = message.removeprefix(path)
    values = [value for value in (*good.values(), *change.values()) if len(value) > 1]
    assert not [value for value in values if value in said]


def test_ambiguous_fees_are_refused(write):
    header = "日期,代码,操作,成交价,成交数量,手续费,过户费\n"
    message = refusal(
        read_fills, write(header + "20230606,510300,买入,4,1000,5,0.36\n"), SEEDS, None
    )
    assert "column 手续费: ambiguous, a part of the fees or their sum" in message


def test_a_deposit_below_zero_is_refused(write):
    message = refusal(read_fills, write(slip(business("银行转存", -10))), SEEDS, None)
    assert "column 发生金额: the sign contradicts" in message


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"PK\x03\x04rest", "a binary spreadsheet"),
        (b"\xd0\xcf\x11\xe0rest", "a binary spreadsheet"),
        (b"\xff\xfe\x00", "neither UTF-8 nor GB18030"),
        ("成交日期,证券代码".encode("utf-16"), "neither UTF-8 nor GB18030"),
        (slip(trade("510300", "买入", 3.9, 100)) + b"20230606\t510300\r\n", "line 3: 2 cells"),
        (slip(separator=",") + b'"20230606,\r\n', "the quotation marks do not match"),
    ],
)
def test_a_file_that_is_not_a_table_is_refused(write, content, what):
    assert what in refusal(read_fills, write(content), SEEDS, None)


def test_a_missing_file_is_rejected(tmp_path):
    assert "cannot be read" in refusal(read_fills, str(tmp_path / "none.csv"), SEEDS, None)


def test_rows_without_dates_need_one_from_the_command_line(write):
    path = write("代码,操作,成交价,成交数量\n510300,买入,4,100\n")
    assert "--date" in refusal(read_fills, path, SEEDS, None)
    assert read_fills(path, SEEDS, TUE).entries[0].trade_date == TUE


def test_two_columns_of_holdings_that_disagree_are_refused(write):
    path = write("证券代码,股份余额,当前持仓\n510300,100,100\n513100,100,200\n")
    assert "line 3, column 当前持仓" in refusal(read_positions, path, SEEDS)


@pytest.mark.parametrize("content", ["资金余额\n", "资金余额\n1\n2\n", "币种,资金余额\n港币,7\n"])
def test_a_balance_without_exactly_one_row_in_cny_is_refused(write, content):
    assert "exactly one" in refusal(read_balance, write(content), SEEDS)


def test_a_flow_into_an_unknown_pool_is_rejected(write):
    path = write("date,amount,pool\n2023-06-06,1,CHINA\n")
    assert "line 2, column pool" in refusal(read_flows, path, SEEDS)
