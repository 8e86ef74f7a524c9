"""Documentation: descriptions in dbt docs, the pages in docs/, the READMEs."""

import csv
import json
import re
import shutil
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from conftest import PROJECT, SEEDS, run_dbt
from dbt_coverage import CoverageType, compute_coverage, load_files
from etf_rotation import report
from etf_rotation.cli.main import main
from etf_rotation.production import export
from etf_rotation.production.run import GATE, METRICS, RESOLVED

ROOT_PAGES = ("README.md", "README.zh-CN.md")
TWINS = (
    "README",
    "docs/strategy",
    "docs/change",
    "docs/settings",
    "docs/run",
    "docs/queries",
    "docs/data",
    "docs/trade",
    "docs/growth",
)
SETTINGS_PAGES = ("docs/settings.md", "docs/settings.zh-CN.md")
PAGES = sorted([*(PROJECT / "docs").glob("*.md"), *(PROJECT / name for name in ROOT_PAGES)])
OVERVIEW = PROJECT / "models" / "overview.md"
# Prefixes of intermediate steps; all other relations are for readers.
INTERNAL = ("int_", "check_")
# A user's own ranking is one SQL file and needs no description.
OWN_RANKINGS = {path.stem for path in (PROJECT / "models" / "strategies").glob("*.sql")}
OWN_RANKINGS -= {"rank_by_score", "rank_by_liquidity"}
# Its factor columns are described by the seed factor_catalog.
OF_FACTORS = re.compile(r"factor_panel|factors_\w+")
# Only tests set it; by default it is today's date.
NOT_A_SETTING = {"today"}


def text_of(path):
    return path.read_text(encoding="utf-8")


def seed(name):
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def docs(sample, tmp_path_factory):
    """`dbt docs generate --static` on the sample: the folder of its files."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(sample.database, folder / "etf_rotation.duckdb")
    arguments = ["docs", "generate", "--static", "--selector", "data_and_research"]
    assert run_dbt(folder, sample.raw_root, *arguments, writes_json=True).success
    return folder / "target"


@pytest.fixture(scope="module")
def manifest(docs):
    return json.loads(text_of(docs / "manifest.json"))


# -- dbt docs --------------------------------------------------------------------------


def published(target):
    """dbt-coverage's catalog of the relations for readers, columns of the factor seed left out.

    Returns it with the number of columns left out, each of which the seed describes.
    """
    catalog = load_files(PROJECT, target)
    factors = {row["factor_id"] for row in seed("factor_catalog") if row["description"].strip()}
    left_out = 0
    for kind in (catalog.models, catalog.seeds):
        for unique_id, table in list(kind.items()):
            name = unique_id.rpartition(".")[2]
            if name.startswith(INTERNAL) or name in OWN_RANKINGS:
                del kind[unique_id]
            elif OF_FACTORS.fullmatch(name):
                left_out += len(factors & set(table.columns))
                table.columns = {k: c for k, c in table.columns.items() if k not in factors}
    return catalog, left_out


def test_every_published_column_is_described(docs):
    catalog, left_out = published(docs)
    coverage = compute_coverage(catalog, CoverageType.DOC)
    assert coverage.misses == set()
    assert coverage.coverage == 1
    # In the panel and in one family each.
    assert left_out == 2 * len(seed("factor_catalog"))
    assert {"factor_panel", "gate_checks", "equity_daily", "capacity_curve", "factor_ic"} <= {
        unique_id.rpartition(".")[2] for unique_id in catalog.models
    }
    assert len(catalog.seeds) == len(list(SEEDS.glob("*.csv")))


def test_the_database_carries_every_description(sample, manifest):
    """As `comment on`, so that any DuckDB client shows it."""
    relations = sample.connection.sql(
        "select schema_name || '.' || table_name, comment from duckdb_tables() "
        "union all select schema_name || '.' || view_name, comment from duckdb_views() "
        "where not internal"
    ).fetchall()
    columns = sample.connection.sql(
        "select schema_name || '.' || table_name || '.' || column_name, comment "
        "from duckdb_columns() where not internal"
    ).fetchall()
    readers = [name for name, comment in columns if not name.split(".")[1].startswith(INTERNAL)]
    commented = {name: comment for name, comment in columns + relations if comment}
    assert len(relations) > 80
    assert [name for name, _ in relations if name not in commented] == []
    assert [name for name in readers if name not in commented] == []
    for factor in seed("factor_catalog"):
        assert commented[f"signals.factor_panel.{factor['factor_id']}"] == factor["description"]
    for node in manifest["nodes"].values():
        name = f"{node['schema']}.{node['name']}"
        if name in commented:
            assert commented[name] == node["description"]
            for column in node["columns"].values():
                assert commented[f"{name}.{column['name']}"] == column["description"]


def test_a_column_without_description_is_found(docs, tmp_path):
    broken = json.loads(text_of(docs / "manifest.json"))
    columns = broken["nodes"]["model.etf_rotation.trades"]["columns"]
    columns["price"]["description"] = ""
    del columns["side"]
    (tmp_path / "manifest.json").write_text(json.dumps(broken), encoding="utf-8")
    shutil.copy(docs / "catalog.json", tmp_path)
    coverage = compute_coverage(published(tmp_path)[0], CoverageType.DOC)
    assert {column.column_name for column in coverage.misses} == {"price", "side"}


def test_a_factor_that_the_catalog_does_not_have_is_found(docs, tmp_path):
    broken = json.loads(text_of(docs / "catalog.json"))
    columns = broken["nodes"]["model.etf_rotation.factor_panel"]["columns"]
    columns["ret_99"] = columns["ret_20"] | {"name": "ret_99"}
    (tmp_path / "catalog.json").write_text(json.dumps(broken), encoding="utf-8")
    shutil.copy(docs / "manifest.json", tmp_path)
    coverage = compute_coverage(published(tmp_path)[0], CoverageType.DOC)
    assert {column.column_name for column in coverage.misses} == {"ret_99"}


def test_every_model_seed_macro_and_exposure_is_described(manifest):
    kinds = ("model", "seed")
    own = [node for node in manifest["nodes"].values() if node["resource_type"] in kinds]
    own = [node for node in own if node["name"] not in OWN_RANKINGS]
    own += [m for m in manifest["macros"].values() if m["package_name"] == "etf_rotation"]
    own += manifest["exposures"].values()
    assert len(own) > 100
    assert [node["name"] for node in own if not node["description"].strip()] == []


def test_every_argument_of_a_macro_is_described(manifest):
    for macro in manifest["macros"].values():
        # A materialization takes no argument.
        if macro["package_name"] != "etf_rotation" or macro["name"].startswith("materialization_"):
            continue
        signature = re.search(
            r"{%-?\s*(?:macro|test)\s+\w+\s*\((.*?)\)\s*-?%}", macro["macro_sql"], re.DOTALL
        )
        names = re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"=\s*(\[[^\]]*\]|[^,]+)", "", signature[1]))
        described = [a["name"] for a in macro["arguments"] if (a["description"] or "").strip()]
        assert described == names, macro["name"]


def test_exposures_read_what_the_code_reads(manifest):
    tables = {
        f"{node['schema']}.{node['name']}"
        for node in manifest["nodes"].values()
        if node["resource_type"] in ("model", "seed")
    }

    def read_by(module):
        path = Path(module.__file__)
        # A package reads what its modules read.
        paths = path.parent.glob("*.py") if path.stem == "__init__" else [path]
        # A module of the package is no table: etf_rotation.staging.raw_files.
        pattern = r"(?<!\.)\b[a-z]+\.[a-z_]+\b"
        return {name for path in paths for name in re.findall(pattern, text_of(path))} & tables

    def depends(name):
        nodes = manifest["exposures"][f"exposure.etf_rotation.{name}"]["depends_on"]["nodes"]
        return {f"{manifest['nodes'][n]['schema']}.{manifest['nodes'][n]['name']}" for n in nodes}

    assert depends("report") == read_by(report)
    # Written out in the code as capacity.{table}.
    assert depends("files") == read_by(export) | {"capacity.pool_capacity"}
    assert depends("notification") == {
        GATE,
        RESOLVED,
        METRICS,
        "backtest.metrics_by_period",
        "marts.holdings",
        "marts.next_session_orders",
    }


def test_links_of_the_overview_lead_somewhere(manifest):
    links = re.findall(r"\]\(#!/([^)]*)\)", text_of(OVERVIEW))
    names = {node["name"] for node in manifest["nodes"].values()}
    for link in links:
        kind, _, rest = link.partition("/")
        if kind in ("model", "seed"):
            assert manifest["nodes"][rest]["resource_type"] == kind
            continue
        for item in unquote(link.partition("g_i=")[2]).split():
            if item.startswith("path:"):
                assert any((PROJECT / item.removeprefix("path:")).iterdir())
            elif ":" in item:
                assert f"exposure.etf_rotation.{item.partition(':')[2]}" in manifest["exposures"]
            else:
                assert item in names
    assert len(links) > 20


def test_docs_open_in_a_browser_without_the_network(docs):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1500,1000"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        page = (docs / "static_index.html").as_uri()
        shown = {
            "#!/overview": "what to trade at the next open",
            "#!/model/model.etf_rotation.next_session_orders": "in sending order",
            "#!/seed/seed.etf_rotation.pool_constraints": "Maximum number of broad funds",
            "#!/exposure/exposure.etf_rotation.report": "One self-contained page per run",
        }
        for place, sentence in shown.items():
            driver.get("about:blank")
            driver.get(page + place)
            deadline = time.monotonic() + 30
            while sentence not in driver.page_source:
                assert time.monotonic() < deadline, f"{place} does not show: {sentence}"
                time.sleep(0.1)
        events = [
            json.loads(entry["message"])["message"] for entry in driver.get_log("performance")
        ]
    finally:
        driver.quit()
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    urls = {request["request"]["url"] for request in sent}
    assert any(url.startswith(page) for url in urls)
    local = ("file:", "data:", "blob:", "about:", "chrome:")
    assert [url for url in urls if not url.startswith(local)] == []


# -- vars ------------------------------------------------------------------------------


def known_vars():
    """Every var: those with a default in dbt_project.yml, and those that the code asks for."""
    declared = yaml.safe_load(text_of(PROJECT / "dbt_project.yml"))["vars"]
    names = {"language"}
    for path in [*PROJECT.glob("models/**/*.sql"), *PROJECT.glob("macros/*.sql")]:
        names |= set(re.findall(r"\bvar\(\s*['\"](\w+)", text_of(path)))
    return declared, (names | set(declared)) - NOT_A_SETTING


@pytest.mark.parametrize("page", SETTINGS_PAGES)
def test_every_var_has_its_row(page):
    heads = re.findall(r"^\| (`[^|]+) \|", text_of(PROJECT / page), flags=re.MULTILINE)
    rows = set(re.findall(r"`(\w+)`", " ".join(heads)))
    assert known_vars()[1] - rows == set()


def test_every_var_stands_in_the_project_file():
    text = text_of(PROJECT / "dbt_project.yml").partition("\nvars:")[2]
    named = set(re.findall(r"^  (?:# )?(\w+)(?::| \()", text, flags=re.MULTILINE))
    assert known_vars()[1] - named == set()


@pytest.mark.parametrize("page", SETTINGS_PAGES)
def test_defaults_are_those_of_the_project_file(page):
    declared, _ = known_vars()
    rows = r"^\| (`[^|]+) \| ([^|]+) \| ([^|]+) \|$"
    for head, default, _ in re.findall(rows, text_of(PROJECT / page), flags=re.MULTILINE):
        names = re.findall(r"`([a-z_]+)`", head)
        scalars = [n for n in names if isinstance(declared.get(n), (int, float, str))]
        if not scalars or len(scalars) < len(names):
            continue
        given = re.split(r", |、", default.replace("`", ""))
        wanted = [yaml.safe_load(value.replace(",", "")) for value in given]
        assert wanted == [declared[name] for name in names], names


# -- pages -----------------------------------------------------------------------------


def anchors(page):
    """Ids that a reader of the rendered page can jump to, made as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", outside_code(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def outside_code(page):
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_resolve(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_code(page)):
        assert not link.startswith("http"), f"{link}: a page must do without the network"
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), link
        if anchor:
            assert unquote(anchor) in anchors(target), link


@pytest.mark.parametrize("name", TWINS)
def test_a_page_and_its_twin_are_in_step(name):
    """The same headings by depth, lists by length, tables by size, and code."""
    english, chinese = (PROJECT / f"{name}{ending}" for ending in (".md", ".zh-CN.md"))

    def shape(page):
        text = outside_code(page)
        code = re.findall(r"^```\w*\n(.*?)^```$", text_of(page), flags=re.DOTALL | re.MULTILINE)
        return {
            "headings": [len(mark) for mark in re.findall(r"^(#+) ", text, flags=re.MULTILINE)],
            "points": len(re.findall(r"^ *(?:- |\d+\. )", text, flags=re.MULTILINE)),
            "rows": [line.count("|") for line in text.splitlines() if line.startswith("|")],
            "names": [
                sorted(re.findall(r"`([^`]+)`", line))
                for line in text.splitlines()
                if line.startswith("|")
            ],
            # Comments are in the page's language.
            "code": [re.sub(r"\s*(#|--) .*", "", block) for block in code],
        }

    one, other = shape(english), shape(chinese)
    for part in one:
        assert one[part] == other[part], part


@pytest.mark.parametrize("page", ["docs/run.md", "docs/run.zh-CN.md"])
def test_every_check_is_explained(page):
    points = r"^- \*\*`(\w+)`\*\*"
    explained = re.findall(points, text_of(PROJECT / page), flags=re.MULTILINE)
    checks = {row["check_name"] for row in seed("gate_thresholds")}
    assert set(explained) == checks
    assert len(explained) == len(set(explained))


@pytest.mark.parametrize("command", ["run", "fetch"])
@pytest.mark.parametrize("page", ["docs/run.md", "docs/run.zh-CN.md"])
def test_every_variable_of_the_environment_is_explained(page, command, capsys):
    assert main([command, "--help"]) == 0
    names = r"\b(?:ETF|SMTP|EMAIL|DINGTALK|WECOM|FEISHU|TUSHARE)_[A-Z_]+\b"
    named = set(re.findall(names, capsys.readouterr().out))
    assert len(named) > 10
    assert named <= set(re.findall(r"\b[A-Z_]+\b", text_of(PROJECT / page)))


@pytest.mark.parametrize(
    "page", [*ROOT_PAGES, "docs/strategy.md", "docs/strategy.zh-CN.md", "models/overview.md"]
)
def test_number_of_factors_is_that_of_the_catalog(page):
    numbers = re.findall(r"(\d+) (?:factors|of them|个因子|个，只用)", text_of(PROJECT / page))
    assert numbers
    assert set(numbers) == {str(len(seed("factor_catalog")))}
