"""The report: its content, and its behavior in a real browser."""

import base64
import gzip
import json
import os
import re
import shutil
import threading
import time
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import SEEDS
from etf_rotation.cli.main import main
from etf_rotation.errors import InputError
from etf_rotation.report.numbers import measured, money, number, percent, points
from etf_rotation.report.page import Run, write_report
from etf_rotation.report.plots import Columns, growth, is_log, rounded
from etf_rotation.texts import LANGUAGES, texts

POOLS = ("PORTFOLIO", "A_SHARE", "OTHER", "QDII")
OF_A_POOL = (
    "growth",
    "drawdown",
    "distribution",
    "rolling",
    "holdings",
    "trading",
    "extremes",
    "strategies",
)
OF_RESEARCH = ("rolling_ic", "quantiles")

pytest.importorskip("plotly", reason="plotly is not installed")


@pytest.fixture(scope="module")
def pages(sample, tmp_path_factory):
    """The report of the sample, by language."""
    folder = tmp_path_factory.mktemp("reports")
    paths = {language: folder / f"report_{language}.html" for language in LANGUAGES}
    for language, path in paths.items():
        write_report(sample.database, path, language=language, run=Run("20230609T170000"))
    return paths


@pytest.fixture
def changed(sample, tmp_path):
    """Write the report of a copy of the sample after some statements, and return its text."""

    def write(*statements, language="en", **options):
        database = tmp_path / "etf_rotation.duckdb"
        shutil.copy(sample.database, database)
        with duckdb.connect(str(database)) as connection:
            for statement in statements:
                connection.execute(statement)
        write_report(database, tmp_path / "report.html", language=language, **options)
        return (tmp_path / "report.html").read_text("utf-8")

    return write


def body(page):
    """The page without its scripts, as a reader sees it."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))


def embedded(page):
    """The figures' data, and their shared arrays."""
    found = re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)
    content = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return content["figures"], content["columns"]


# -- what it says ----------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_shows_the_tables_numbers(sample, pages, language):
    text = body(pages[language].read_text("utf-8"))
    metrics = sample.connection.execute("from marts.pool_metrics_summary where is_live").df()
    assert set(metrics.pool) == set(POOLS)
    for row in metrics.itertuples():
        assert percent(row.annual_return) in text
        assert percent(row.max_drawdown) in text
        assert str(row.max_drawdown_trough_date.date()) in text
        assert number(row.sharpe, 2) in text
        assert number(row.total_costs) in text
    title = {"en": "title", "zh": "title_zh"}[language]
    checks = sample.connection.execute(
        f"select distinct check_name, {title} from gate.gate_checks"
    ).fetchall()
    assert all(name in text and title in text for name, title in checks)
    orders = sample.connection.execute(
        "select trade_date, coalesce(symbol, pool) from marts.next_session_orders"
    ).fetchall()
    assert all(str(day) in text and what in text for day, what in orders)
    assert "20230609T170000" in text
    assert texts("report", language)["no_data"] not in text


def section(page, name):
    """The text of a section."""
    return body(re.search(rf'<section id="{name}">.*?</section>', page, re.DOTALL)[0])


@pytest.mark.parametrize("language", LANGUAGES)
def test_head_names_the_rules_that_fail(changed, language):
    words = texts("report", language)
    page = changed(
        "update gate.gate_checks set status = 'pass'",
        "update gate.gate_checks set status = 'warn', value = 0.0312 "
        "where check_name = 'annual_return' and pool in ('QDII', 'PORTFOLIO')",
        "update gate.gate_checks set status = 'fail', value = 0.0456 "
        "where check_name = 'quarantine_share' and pool = 'A_SHARE'",
        "update gate.gate_checks set status = 'warn', value = 0.0123 "
        "where check_name = 'quarantine_share' and pool = 'OTHER'",
        language=language,
    )
    head = body(page[: page.index("</header>")])
    colon, comma = words["colon"].strip(), words["comma"].strip()
    squeezed = re.sub(r"\s+", "", head)
    rules = pd.read_csv(SEEDS / "gate_thresholds.csv", index_col="check_name")
    titles = rules[{"en": "title", "zh": "title_zh"}[language]]
    for name, limit, values in (
        ("annual_return", words["below"].format("8%"), ("PORTFOLIO 3.1%", "QDII 3.1%")),
        ("quarantine_share", words["above"].format("1%"), ("A_SHARE 4.6%",)),
        ("quarantine_share", words["above"].format("0%"), ("OTHER 1.2%",)),
    ):
        line = f"{titles[name]}{limit}{colon}{comma.join(values)}"
        assert re.sub(r"\s+", "", line) in squeezed
    assert words["alerts_folded"].format(n=1) in head
    assert words["gate_fail"] in head
    passed = body(changed("update gate.gate_checks set status = 'pass'", language=language))
    assert words["alerts_folded"].format(n=1) not in passed
    assert words["nothing_new"] in passed
    assert words["gate_pass"] in passed


@pytest.mark.parametrize("language", LANGUAGES)
def test_head_folds_standing_warnings_and_names_resolved_findings(changed, language):
    words = texts("report", language)
    page = changed(
        "update gate.gate_checks set status = 'pass', since = 'unchanged'",
        "update gate.gate_checks set status = 'warn', value = 7 where check_name = 'no_row'",
        "update gate.gate_checks set since = 'new' where check_name = 'no_row' and pool = 'QDII'",
        "update gate.gate_checks set status = 'fail', value = 4 "
        "where check_name = 'missing_session' and pool = 'A_SHARE'",
        "insert into gate.gate_resolved by name select 'OTHER' as pool, 'no_row' as check_name, "
        "'Gap' as title, '缺口' as title_zh, '518880.SH' as symbol, date '2023-05-04' as "
        "trade_date, 'lost' as detail, '丢失' as detail_zh",
        language=language,
    )
    head = page[: page.index("</header>")]
    folded = re.search(r'<details class="folded" id="standing">.*?</details>', head, re.DOTALL)[0]
    gone = re.search(r'<details class="folded" id="resolved">.*?</details>', head, re.DOTALL)[0]
    shown = body(head.replace(folded, "").replace(gone, ""))
    rules = pd.read_csv(SEEDS / "gate_thresholds.csv", index_col="check_name")
    titles = rules[{"en": "title", "zh": "title_zh"}[language]]
    # Two of the three pools' warnings stand, and the failure is shown though it stands
    # too.
    assert words["standing"].format(n=2) in body(folded)
    assert "A_SHARE 7" in body(folded) and "OTHER 7" in body(folded)
    assert "QDII 7" in shown and "OTHER 7" not in shown
    assert titles["missing_session"] in shown and "A_SHARE 4" in shown
    assert words["resolved"].format(n=1) in body(gone)
    said = {"en": "OTHER Gap", "zh": "OTHER 缺口"}[language], {"en": "lost", "zh": "丢失"}[language]
    assert all(part in body(gone) for part in (*said, "518880.SH", "2023-05-04"))
    # In the table of checks, each says whether it is new.
    assert section(page, "gate").count(words["since_unchanged"]) == 3
    assert section(page, "gate").count(f"{words['warn']} {words['since_new']}") == 1


def test_drawdowns_and_factor_research_equal_the_tables(sample, pages):
    page = pages["en"].read_text("utf-8")
    for pool in POOLS:
        text = section(page, f"pool-{pool}")
        rows = sample.connection.execute(
            "select depth, peak_date, coalesce(recovery_date::varchar, 'not yet') "
            "from backtest.drawdowns where pool = ? and strategy = 'rotation' order by rank",
            [pool],
        ).fetchall()
        assert rows
        for depth, peak, recovery in rows:
            assert re.search(rf"{re.escape(percent(depth))} {peak} \S+ {recovery}", text)
    text = section(page, "research")
    rows = sample.connection.execute(
        "select mean_ic, icir, t_value_newey_west, share_positive "
        "from research.factor_ic_summary where horizon_sessions = 20"
    ).fetchall()
    assert rows
    for mean_ic, icir, t_value, share in rows:
        shown = (number(mean_ic, 3), number(icir, 2), number(t_value, 1), percent(share, 0))
        assert " ".join(shown) in text
    (alike,) = sample.connection.execute(
        "select mean_rank_correlation from research.factor_correlation "
        "where pool = 'QDII' and factor_id = 'ret_20' and other_factor_id = 'bias_60'"
    ).fetchall()[0]
    assert f"ret_20 {number(alike, 1)} " in text[text.rindex("Correlation of the factors") :]


def test_a_banner_marks_synthetic_data_and_not_real_data(pages, changed):
    for language, path in pages.items():
        assert texts("report", language)["synthetic_note"] in body(path.read_text("utf-8"))
    real = changed("update gate.run_metadata set is_synthetic = false")
    assert texts("report", "en")["synthetic"] not in body(real)


def test_report_does_not_guess_whether_data_is_real(changed):
    with pytest.raises(InputError, match="is_synthetic"):
        changed("drop table gate.run_metadata")
    page = body(
        changed("drop schema gate cascade", "drop schema research cascade", is_synthetic=True)
    )
    assert texts("report", "en")["synthetic_note"] in page
    assert texts("report", "en")["gate_missing"] in page


def test_sections_without_a_table_say_so(changed):
    page = body(changed("drop schema capacity cascade", "drop table research.factor_ic"))
    assert page.count(texts("report", "en")["no_data"]) == 1 + 3


def test_text_from_data_cannot_become_markup(changed):
    attack = "</script><script>alert(1)</script><b>&"
    page = changed(
        f"update seeds.etf_pools set name = '{attack}'",
        f"update gate.gate_checks set message = '{attack}'",
    )
    assert attack not in page
    assert attack in body(page)


def test_curves_end_where_the_metrics_say(sample, pages):
    figures, columns = embedded(pages["en"].read_text("utf-8"))
    array = lambda name: columns[int(name[1:])]  # noqa: E731
    for pool, total, depth, benchmark, sessions in sample.connection.execute(
        "select pool, total_return, max_drawdown, benchmark_return, sessions from backtest.metrics "
        "where strategy = 'rotation'"
    ).fetchall():
        strategy, held = figures[f"{pool}-growth"]["data"]
        assert array(strategy["y"])[-1] == pytest.approx(1 + total, rel=1e-4)
        assert array(held["y"])[-1] == pytest.approx((1 + benchmark) ** (sessions / 252), rel=1e-4)
        own, other = (array(trace["y"]) for trace in figures[f"{pool}-drawdown"]["data"])
        assert min(own) == pytest.approx(depth, rel=1e-4)
        level = np.array([1.0, *array(held["y"])])
        expected = (level / np.maximum.accumulate(level) - 1)[1:]
        np.testing.assert_allclose(other, expected, atol=2e-4)
        stacked = [array(trace["y"]) for trace in figures[f"{pool}-holdings"]["data"]]
        np.testing.assert_allclose(np.sum(stacked, axis=0), 1, atol=0.01)


def test_rolling_metrics_are_those_of_metrics_over_a_window(sample):
    where = "where strategy = 'rotation' and pool = 'QDII' order by trade_date"
    days = sample.connection.execute(f"from backtest.equity_daily {where}").df()
    found = sample.connection.execute(f"from backtest.rolling_metrics {where}").df()
    for prefix, column in (("", "daily_return"), ("benchmark_", "benchmark_return")):
        window = days[column].rolling(126)
        deviation = (window.std() * np.sqrt(252)).dropna()
        np.testing.assert_allclose(found[f"{prefix}volatility"], deviation, rtol=1e-9)
        sharpe = ((window.mean() * 252 - 0.03).dropna() / deviation).to_numpy()
        np.testing.assert_allclose(found[f"{prefix}sharpe"], sharpe, rtol=1e-6, atol=1e-9)
    beta = days.daily_return.rolling(126).cov(days.benchmark_return)
    beta = (beta / days.benchmark_return.rolling(126).var()).dropna()
    np.testing.assert_allclose(found.beta, beta, rtol=1e-6, atol=1e-9)


def test_statistics_of_returns_are_those_of_scipy(sample):
    where = "where strategy = 'rotation' and pool = 'A_SHARE'"
    days = sample.connection.execute(f"from backtest.equity_daily {where}").df()
    (row,) = (
        sample.connection.execute(f"from backtest.return_statistics {where} and curve = 'strategy'")
        .df()
        .to_dict("records")
    )
    returns = days.daily_return
    tail = returns[returns <= np.quantile(returns, 0.05)]
    assert row["value_at_risk"] == pytest.approx(np.quantile(returns, 0.05), rel=1e-12)
    assert row["conditional_value_at_risk"] == pytest.approx(tail.mean(), rel=1e-12)
    assert row["skewness"] == pytest.approx(scipy.stats.skew(returns), rel=1e-9)
    assert row["excess_kurtosis"] == pytest.approx(scipy.stats.kurtosis(returns), rel=1e-9)
    assert row["best_day"] == returns.max() and row["worst_day"] == returns.min()


def test_holdings_are_the_last_positions_at_average_cost(sample):
    """The unrealized return is recomputed fill by fill, as a broker's app does."""
    held = sample.connection.execute("from marts.holdings").df()
    assert set(held.strategy) == {"rotation"}
    for row in held.itertuples():
        shares = cost = 0.0
        for fill in sample.connection.execute(
            "select side, trades.shares, value, positions.shares as after from backtest.trades "
            "left join backtest.positions_daily as positions "
            "using (strategy, pool, symbol, trade_date) "
            "where strategy = 'rotation' and pool = ? and symbol = ? order by sequence",
            [row.pool, row.symbol],
        ).fetchall():
            side, traded, value, after = fill
            # Corporate actions change the shares between two fills.
            before = (after or 0.0) + (traded if side == "sell" else -traded)
            if side == "sell":
                cost *= 1 - traded / before
            else:
                cost = (cost if before > 1e-6 else 0.0) + value
            shares = after or 0.0
        assert row.shares == pytest.approx(shares, rel=1e-9) or shares < row.shares
        assert row.cost == pytest.approx(cost, rel=1e-9)
        assert row.unrealized_return == pytest.approx(row.market_value / cost - 1, rel=1e-9)


def test_only_pools_that_are_traded_stand_among_the_orders(changed):
    page = changed("update marts.next_session_orders set is_simulated_pool = pool <> 'QDII'")
    orders = section(page, "orders")
    assert "QDII" in orders
    assert "A_SHARE" not in orders and "OTHER" not in orders
    assert "Simulated only, not to be sent: A_SHARE, OTHER" in section(page, "holdings")


def test_first_screen_answers_before_anything_else(pages):
    text = pages["en"].read_text("utf-8")
    places = [
        text.index(f'id="{name}"')
        for name in ("orders", "holdings", "returns", "strategies", "metrics", "pool-PORTFOLIO")
    ]
    assert places == sorted(places)
    assert text.index('class="status') < places[0]
    assert text.index('id="versions"') > text.index('id="gate"')


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_that_failed_leaves_a_report_that_says_so(changed, language):
    check = {"pool": "BUILD", "check_name": "trades", "status": "error", "title": "trades"}
    check |= {"title_zh": "trades", "message": "disk full", "message_zh": "磁盘已满"}
    check |= {"is_alert": False, "value": None, "warn_threshold": None, "fail_threshold": None}
    run = Run(unpublished="disk full", checks=[check])
    page = changed("drop schema marts cascade", language=language, run=run, is_synthetic=True)
    words = texts("report", language)
    assert re.search(rf'<div class="unpublished" role="alert"><strong>{words["unpublished"]}', page)
    assert words["gate_fail"] in body(page[: page.index("</header>")])
    assert {"en": "disk full", "zh": "磁盘已满"}[language] in section(page, "gate")


def test_what_changed_since_the_published_run_is_named(sample, changed, tmp_path):
    before = tmp_path / "before.duckdb"
    shutil.copy(sample.database, before)
    run = Run(published=before, since="raw data unchanged")
    same = section(changed(run=run), "changes")
    assert same.count("unchanged") == 1 + 3
    page = changed(
        "update marts.holdings set shares = shares + 100 where pool = 'QDII'",
        "update marts.pool_metrics_summary set sharpe = sharpe + 1 where pool = 'OTHER'",
        run=run,
    )
    text = section(page, "changes")
    assert "Sharpe ratio" in text and "1.00" in text
    (symbol,) = sample.connection.execute(
        "select min(symbol) from marts.holdings where pool = 'QDII'"
    ).fetchall()[0]
    assert symbol in text
    assert "Orders: unchanged" in text.replace(" :", ":")


def test_verdict_and_strategies_stand_side_by_side(changed):
    page = changed(
        "update backtest.evidence set verdict = 'worse', mean_excess = -0.05, excess_t = -3.1 "
        "where strategy = 'rotation' and pool = 'PORTFOLIO'"
    )
    assert "Worse than equal weight: −5.0% a year (t −3.1" in section(page, "returns")
    text = section(page, "strategies")
    assert all(name in text for name in ("rotation live", "steady_rotation", "risk_weighted"))
    assert "place" in text and "the strategy to beat" in text


def test_axis_is_logarithmic_for_a_wide_range_of_growth():
    assert not is_log([[1.0, 2.9], [1.1]])
    assert is_log([[1.0, 3.1], [1.1]])
    curves = {"strategy": [1.0, 4.0], "benchmark": [1.0, 2.0]}
    assert (
        growth(Columns(), ["2021-01-04", "2021-01-05"], curves)["layout"]["yaxis"]["type"] == "log"
    )


def test_numbers_are_written_for_people():
    assert (percent(-0.12345), percent(None), percent(0.05, 0)) == ("−12.3%", "–", "5%")
    assert (percent(-0.0001), number(-0.001, 2), points(-0.001)) == ("0.0%", "0.00", "−0.1")
    assert (number(1234567.8), number(float("nan"))) == ("1,234,568", "–")
    assert (rounded(0.123456, 3), rounded(2.0, 3), rounded(float("inf"), 3)) == (0.123, 2, None)


def test_large_sums_and_checks_are_written_for_people():
    assert [money(value, "en") for value in (5e8, 70_500_568, 1e6, 999)] == [
        "500 m",
        "70.5 m",
        "1 m",
        "999",
    ]
    assert [money(value, "zh") for value in (5e8, 70_500_568, 1e6, 999)] == [
        "5 亿",
        "7,050 万",
        "100 万",
        "999",
    ]
    assert money(None, "zh") == money(float("nan"), "en") == "–"
    assert [measured(value, True) for value in (0.08, -0.3902, None)] == ["8%", "−39.0%", "–"]
    assert [measured(value, False) for value in (246, 0.06443, 1.000000001)] == ["246", "0.06", "1"]


def test_same_database_gives_the_same_page(sample, pages, tmp_path):
    write_report(
        sample.database, tmp_path / "again.html", language="zh", run=Run("20230609T170000")
    )
    assert (tmp_path / "again.html").read_bytes() == pages["zh"].read_bytes()


def test_an_unknown_language_is_rejected(sample, tmp_path):
    with pytest.raises(InputError, match="'fr'"):
        write_report(sample.database, tmp_path / "report.html", language="fr")


def test_command_names_what_it_cannot_read(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none.duckdb"), str(tmp_path / "report.html")]) == 2
    assert "none.duckdb" in capsys.readouterr().err


# -- in a browser ----------------------------------------------------------------------

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1280,1000",
)
OPENED = "return performance.getEntriesByType('navigation')[0]?.loadEventEnd"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 1000, "deviceScaleFactor": 1, "mobile": False}


class Browser:
    """Chromium, and what it logged."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, *, scheme="light", screen=DESKTOP):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd(
            "Emulation.setTouchEmulationEnabled", {"enabled": screen["mobile"]}
        )
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )
        self.log()
        self.driver.get(path.as_uri())
        while not self.run(OPENED):
            time.sleep(0.05)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def log(self):
        """Console messages, and the addresses asked for, since the last call."""
        messages = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        return messages, [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
            # The browser's own first tab may still be loading.
            and not event["params"]["request"]["url"].startswith("chrome:")
        ]

    def scroll_through(self):
        """Scroll to every plot once; return the state of each."""
        self.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        plots = self.run("return [...document.querySelectorAll('.plot')]")
        for plot in plots:
            self.run("arguments[0].scrollIntoView()", plot)
            deadline = time.monotonic() + 5
            while not self.run("return arguments[0].dataset.drawn", plot):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        return self.run(
            """
            return [...document.querySelectorAll('.plot')].map(plot => {
                const marks = [...plot.querySelectorAll(
                    '.scatterlayer path.js-line, .scatterlayer path.js-fill, ' +
                    '.barlayer path, .heatmaplayer image'
                )].map(mark => mark.getBoundingClientRect());
                const box = plot.querySelector('svg.main-svg')?.getBoundingClientRect();
                const text = plot.querySelector('.xtick text');
                return {
                    name: plot.dataset.figure,
                    marks: marks.filter(mark => mark.width > 0 || mark.height > 0).length,
                    right: box ? box.right : null,
                    text: text ? getComputedStyle(text).fill : null,
                };
            })
            """
        )


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip(
            "chromium and chromedriver are not installed (apt-get install chromium chromium-driver)"
        )
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    yield Browser(driver)
    driver.quit()


# A plot's ink does not depend on the language. The tests of the theme and of printing draw the
# other two pairs.
@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_browser_draws_every_plot_in_silence(browser, pages, language, scheme):
    browser.open(pages[language], scheme=scheme)
    plots = browser.scroll_through()
    messages, addresses = browser.log()
    assert messages == []
    assert [url for url in addresses if not url.startswith("data:")] == [pages[language].as_uri()]
    assert {plot["name"] for plot in plots} == {
        *(f"{pool}-{name}" for pool in POOLS for name in OF_A_POOL),
        *(f"{pool}-{name}" for pool in POOLS[1:] for name in (*OF_RESEARCH, "excess")),
        "capacity",
    }
    assert [plot["name"] for plot in plots if not plot["marks"]] == []
    ink = {"light": "rgb(28, 35, 48)", "dark": "rgb(228, 232, 238)"}[scheme]
    assert {plot["text"] for plot in plots} == {ink}
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 29)"}[scheme]
    empty = browser.run(
        "return [...document.querySelectorAll('main section')].filter("
        "s => !s.querySelector('.plot, table, p, dl')).map(s => s.id)"
    )
    assert empty == []


def test_page_is_light_and_draws_what_is_in_sight(browser, pages):
    page = pages["en"]
    assert page.stat().st_size < 3e6
    browser.open(page)
    drawn = browser.run("return document.querySelectorAll('.plot[data-drawn]').length")
    assert drawn < browser.run("return document.querySelectorAll('.plot').length")


def without_policy(text):
    """The page with a test's addition, which its security policy would block."""
    found = re.subn(r'<meta http-equiv="Content-Security-Policy" content="[^"]*">', "", text)
    assert found[1] == 1
    return found[0]


# Every kind of network request that a page can make, each to its own address.
REQUESTS = """
const at = name => `${arguments[0]}/${name}`;
const add = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
add('img', { src: at('img') });
add('script', { src: at('script') });
add('link', { rel: 'stylesheet', href: at('style') });
add('iframe', { src: at('frame') });
add('object', { data: at('object') });
add('video', { src: at('video') });
add('style', { textContent: `@import '${at('import')}'; b { background: url('${at('image')}') }` });
navigator.sendBeacon(at('beacon'), '1');
fetch(at('fetch'), { mode: 'no-cors' }).catch(() => {});
"""


@pytest.fixture
def asked():
    """A server on this machine; yields its address and the paths that it was asked for."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            paths.append(self.path.strip("/"))
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()


def test_page_makes_no_network_request(browser, pages, asked, tmp_path):
    address, paths = asked
    ways = set(re.findall(r"at\('(\w+)'\)", REQUESTS))
    page = tmp_path / "report.html"
    page.write_text(without_policy(pages["en"].read_text("utf-8")), "utf-8")
    for path, expected in ((pages["en"], set()), (page, ways)):
        browser.open(path)
        browser.run(REQUESTS, address)
        for _ in range(100):
            if expected <= set(paths):
                break
            time.sleep(0.05)
        browser.open(path)  # whatever was still on its way has arrived
        assert set(paths) == expected
    browser.log()


def test_page_runs_no_script_but_its_own(browser, pages, tmp_path):
    text = pages["en"].read_text("utf-8")
    assert "unsafe-eval" not in text[: text.index("<style>")]
    fault = "<script>window.foreign = 1</script><img src='x:' onerror='window.foreign = 2'>"
    page = tmp_path / "report.html"
    page.write_text(text.replace("<main>", f"<main>{fault}", 1), "utf-8")
    browser.open(page)
    assert browser.run("return window.foreign") is None
    assert any("Content Security Policy" in message for message in browser.log()[0])
    # A bit of its own script that changes is a foreign script.
    page.write_text(text.replace("const plots =", "const  plots =", 1), "utf-8")
    browser.driver.get(page.as_uri())
    assert browser.run("return typeof Plotly") == "undefined"


def test_page_is_ready_when_it_says_so(browser, pages, tmp_path):
    """A script that prints the page waits only for its load event."""
    page = tmp_path / "report.html"
    note = "<script>addEventListener('load', () => { window.found = typeof Plotly; })</script>"
    text = without_policy(pages["en"].read_text("utf-8"))
    page.write_text(text.replace("<main>", f"{note}<main>", 1), "utf-8")
    browser.open(page)
    assert browser.run("return window.found") == "object"
    assert browser.run("return document.getElementById('undrawn').hidden")


# Every text that is shown, with its contrast to what is behind it, as WCAG 2 has it.
CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = color => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = color => rgba(color).slice(0, 3).map(part => part / 255).map(
    part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
).reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
const behind = element => {
    while (element && rgba(getComputedStyle(element).backgroundColor)[3] < 255) {
        // The band is painted by an image of two yellows; this is the darker one.
        if (element.classList.contains('synthetic')) return '#ffc61a';
        element = element.parentElement;
    }
    return element ? getComputedStyle(element).backgroundColor : 'white';
};
return [...document.querySelectorAll('body *')].filter(element =>
    !element.closest('script, style, svg, [hidden]') && element.getClientRects().length &&
    [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(element => {
    const both = [getComputedStyle(element).color, behind(element)].map(luminance);
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    return [contrast, element.textContent.trim().slice(0, 40)];
}).sort((one, other) => one[0] - other[0]);
"""

UNNAMED = """
const nameless = [...document.querySelectorAll('.plot')].filter(
    plot => plot.getAttribute('role') !== 'img' || !plot.getAttribute('aria-label')
).map(plot => plot.dataset.figure);
const tables = [...document.querySelectorAll('table')].filter(table =>
    !table.getAttribute('aria-label') || !table.querySelector('thead th[scope=col]') ||
    [...table.querySelectorAll('th')].some(head => !head.scope) ||
    [...table.querySelectorAll('tbody tr')].some(row => !row.querySelector('th'))
).map(table => table.textContent.trim().slice(0, 40));
return [...nameless, ...tables];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_page_can_be_read_by_all(browser, pages, language, scheme):
    browser.open(pages[language], scheme=scheme)
    assert (
        browser.run("return document.documentElement.lang")
        == texts("report", language)["html_lang"]
    )
    assert browser.run(UNNAMED) == []
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    contrasts = browser.run(CONTRASTS)
    assert len(contrasts) > 1000
    assert [found for found in contrasts if found[0] < 4.5] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_page_fits_a_phone(browser, pages, language):
    browser.open(pages[language], screen=PHONE)
    plots = browser.scroll_through()
    assert browser.run("return document.documentElement.scrollWidth") == PHONE["width"]
    assert [plot["name"] for plot in plots if not plot["marks"]] == []
    assert [plot["name"] for plot in plots if plot["right"] > PHONE["width"]] == []


def test_plots_follow_the_theme(browser, pages):
    browser.open(pages["en"])
    browser.scroll_through()
    browser.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    time.sleep(0.5)
    assert {plot["text"] for plot in browser.scroll_through()} == {"rgb(228, 232, 238)"}


def test_print_shows_sections_that_were_never_scrolled_to(browser, pages):
    browser.open(pages["zh"], scheme="dark")
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    undrawn = "return document.querySelectorAll('.plot:not([data-drawn])').length"
    assert browser.run(undrawn) == 0
    # Drawn for paper once more, to see what it looks like there.
    browser.run("dispatchEvent(new Event('beforeprint'))")
    spilt = browser.run(
        """
        return [...document.querySelectorAll('.plot')].filter(plot => {
            const [box, drawn] = [plot, plot.querySelector('svg.main-svg')].map(
                element => element.getBoundingClientRect());
            return drawn.width > 700 || drawn.height > box.height + 1;
        }).map(plot => plot.dataset.figure)
        """
    )
    assert spilt == []
    assert {plot["text"] for plot in browser.scroll_through()} == {"rgb(28, 35, 48)"}
    assert browser.log()[0] == []


def test_checks_of_the_browser_can_fail(browser, pages, tmp_path):
    fault = (
        '<script>undefinedFunction()</script><img src="http://127.0.0.1:9/pixel.png">'
        '<p style="color: #999">pale</p><div class="plot" data-figure="QDII-empty"></div>'
        "<table><tr><th>nameless</th></tr></table>"
    )
    page = tmp_path / "report.html"
    text = without_policy(pages["en"].read_text("utf-8"))
    page.write_text(text.replace("<main>", f"<main>{fault}", 1), "utf-8")
    browser.open(page)
    messages, addresses = browser.log()
    assert any("undefinedFunction" in message for message in messages)
    assert "http://127.0.0.1:9/pixel.png" in addresses
    assert browser.run(UNNAMED) == ["QDII-empty", "nameless"]
    assert [text for contrast, text in browser.run(CONTRASTS) if contrast < 4.5] == ["pale"]
    drawn = browser.scroll_through()
    assert [plot["name"] for plot in drawn if not plot["marks"]] == ["QDII-empty"]


def test_page_whose_plots_cannot_be_unpacked_says_so(browser, pages, tmp_path):
    page = tmp_path / "report.html"
    text = pages["en"].read_text("utf-8")
    page.write_text(text.replace('id="plotly">H4sI', 'id="plotly">AAAA', 1), "utf-8")
    browser.open(page)
    assert not browser.run("return document.getElementById('undrawn').hidden")
    assert browser.log()[0]


# -- the first screen, pictures, and axe -----------------------------------------------

LAPTOP = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
SCREENS = {"laptop": LAPTOP, "phone": PHONE}
# Where a text stands on the screen: the first line box of the element, in pixels from
# the top.
BOTTOMS = """
return Object.fromEntries(arguments[0].map(where => {
    const found = document.querySelector(where);
    return [where, found ? found.getBoundingClientRect().bottom : null];
}));
"""


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """The folder for pictures of the page: ETF_SCREENSHOTS, where CI keeps them as files."""
    folder = os.environ.get("ETF_SCREENSHOTS")
    folder = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_first_screen_shows_verdict_news_and_orders(browser, changed, tmp_path, language, screen):
    changed(
        "update gate.gate_checks set since = 'unchanged'",
        "update gate.gate_checks set status = 'warn', since = 'new', value = 2 "
        "where check_name = 'no_row' and pool = 'QDII'",
        language=language,
    )
    browser.open(tmp_path / "report.html", screen=SCREENS[screen])
    wanted = ["h1 .status", "#new li", "#orders h2", "#orders tbody tr:first-child"]
    bottoms = browser.run(BOTTOMS, wanted)
    assert all(bottoms[name] and bottoms[name] <= SCREENS[screen]["height"] for name in wanted)
    order = [bottoms[name] for name in wanted]
    assert order == sorted(order)
    # The rest of the page is further down.
    assert browser.run(BOTTOMS, ["#pool-QDII"])["#pool-QDII"] > SCREENS[screen]["height"]


def test_a_hundred_findings_do_not_push_the_orders_away(browser, changed, tmp_path):
    changed("update gate.gate_checks set status = 'warn', since = 'new'")
    browser.open(tmp_path / "report.html", screen=PHONE)
    bottoms = browser.run(BOTTOMS, ["#new", "#orders h2"])
    assert bottoms["#orders h2"] <= PHONE["height"]
    folded = browser.run("return document.querySelectorAll('#new details li').length")
    assert folded > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures_of_the_page_are_kept(browser, pages, pictures, language, screen, scheme):
    browser.open(pages[language], screen=SCREENS[screen], scheme=scheme)
    taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path = pictures / f"report-{language}-{screen}-{scheme}.png"
    path.write_bytes(base64.b64decode(taken["data"]))
    assert path.stat().st_size > 20_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_print_of_the_page_is_kept(browser, pages, pictures, language):
    browser.open(pages[language])
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    path = pictures / f"report-{language}.pdf"
    path.write_bytes(base64.b64decode(printed["data"]))
    assert path.stat().st_size > 100_000


@pytest.mark.parametrize("screen", SCREENS)
def test_tables_stack_or_show_that_they_scroll(browser, pages, screen):
    browser.open(pages["en"], screen=SCREENS[screen])
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    spilt = browser.run(
        """
        return [...document.querySelectorAll('table')].filter(table => {
            const within = table.closest('.wide');
            const isScrolled = within && getComputedStyle(within).overflowX === 'auto';
            return !isScrolled && table.getBoundingClientRect().right > innerWidth + 1;
        }).map(table => table.getAttribute('aria-label'))
        """
    )
    assert spilt == []
    heads = browser.run("return getComputedStyle(document.querySelector('.stack thead')).display")
    assert (heads == "none") is (screen == "phone")


AXE = """
const done = arguments[arguments.length - 1];
const rules = { runOnly: ['wcag2a', 'wcag2aa', 'best-practice'] };
axe.run(arguments[0] || document, rules).then(found => done(
    found.violations.map(
        rule => `${rule.id}: ${rule.nodes.slice(0, 3).map(node => node.target).join(' ')}`
    )
), error => done([String(error)]));
"""


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_barrier(browser, pages, language, screen):
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = (Path(package.__path__[0]) / "axe.min.js").read_text("utf-8")
    browser.open(pages[language], screen=SCREENS[screen])
    browser.run(script)
    assert browser.driver.execute_async_script(AXE, None) == []
    # It can find one.
    browser.run("document.querySelector('main').append(new Image())")
    (found,) = browser.driver.execute_async_script(AXE, "main > img")
    assert found.startswith("image-alt")
