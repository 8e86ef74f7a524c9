"""The figures of a benchmark as ratios, tables and the two pages in docs."""

from __future__ import annotations

import statistics
from pathlib import Path

import jinja2
from measure import BenchError

GIB = 2**30
PAGES = {"en": "benchmarks.md", "zh": "benchmarks.zh-CN.md"}
GROWTH = ("panel", "funds-2", "funds-4", "funds-15", "history-2", "history-4")

SESSIONS_A_YEAR, MINUTES_A_SESSION = 243, 240
STOCKS, YEARS = 5_400, 30
ALL_STOCKS_BARS = 30_000_000  # most stocks were listed for less than the thirty years
NIGHT_HOURS, DISK_BYTES = 8, 1e12
ASKED_OF_BEFORE = 0.6  # of the older checkout's CPU seconds, at most


def median(results: dict, measure: str, *keys: str) -> float | None:
    """Return the median over the rounds of one figure, None where it was not measured."""
    values = column(results, measure, *keys)
    return statistics.median(values) if values else None


def column(results: dict, measure: str, *keys: str) -> list[float]:
    """Return one figure of every round; `keys` lead to it, `a+b` adds up two."""
    values = []
    for figures in results["rounds"].get(measure, []):
        here = figures
        for key in keys[:-1]:
            here = here[key]
        values.append(sum(here[name] for name in keys[-1].split("+")))
    return values


def paired(above: list[float], below: list[float]) -> dict | None:
    """Return median, least and most of the ratios round by round, None where one is missing."""
    if not above or len(above) != len(below):
        return None
    values = [a / b for a, b in zip(above, below, strict=True)]
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def comparisons(results: dict) -> list[dict]:
    """Return the comparisons with the peers; `ratio` is the peer's time over ours."""

    def row(name, ours, peer, asked, scale=1.0):
        a, b = column(results, *ours), column(results, *peer)
        return {
            "name": name,
            "ours": statistics.median(a) if a else None,
            "peer": statistics.median(b) if b else None,
            "ours_peak": median(results, ours[0], "peak"),
            "peer_peak": median(results, peer[0], "peak"),
            "ours_cpu": median(results, ours[0], "cpu"),
            "peer_cpu": median(results, peer[0], "cpu"),
            "ratio": paired([x * scale for x in b], a),
            "asked": asked,
        }

    def panels(name, peer, asked):
        """From raw files, and from adjusted bars."""
        return [
            row(f"{name}_raw", ("panel", "from_raw"), (peer, "seconds", "read+panel"), asked),
            row(f"{name}_bars", ("panel", "from_bars"), (peer, "seconds", "panel"), None),
        ]

    variants = [column(results, name, "variants") for name in ("sweep", "vectorbt-sweep")]
    scale = variants[0][0] / variants[1][0] if all(variants) else 1.0
    return [
        *panels("talib", "talib", 1 / 1.3),
        *panels("polars", "polars", None),
        # vectorbt's would be the time that numba compiles.
        *(row(f"{x}_whole", ("panel", "whole"), (x, "whole"), None) for x in ("talib", "polars")),
        *panels("vectorbt", "vectorbt", 8),
        *panels("rust", "vectorbt-rust", 8),
        row(
            "vectorbt_sweep",
            ("sweep", "whole"),
            ("vectorbt-sweep", "seconds", "sweep"),
            None,
            scale,
        ),
    ]


def against(results: dict) -> list[dict]:
    """Return the build and the production run against the older checkout, if it was measured.

    `ratio` is our CPU seconds over the older one's, round by round: below 1 the project got faster.
    """
    rows = []
    for name in ("build", "production"):
        now, before = (column(results, x, "cpu") for x in (name, f"{name}-before"))
        ratio = paired(now, before)
        if ratio:
            row = {"name": name, "ratio": ratio, "asked": ASKED_OF_BEFORE}
            for key in ("whole", "cpu", "peak"):
                row[key] = median(results, f"{name}-before", key)
            rows.append(row)
    return rows


def runs(results: dict) -> list[dict]:
    """Return every run: wall seconds, CPU seconds and load at its start, measure by measure."""
    return [
        {"name": name, **{key: column(results, name, key) for key in ("whole", "cpu", "load")}}
        for name in results["rounds"]
    ]


def loads(results: dict) -> dict:
    """Return the load averages that the measured commands met: median, least and most."""
    values = [figures["load"] for rounds in results["rounds"].values() for figures in rounds]
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def growth(results: dict) -> list[dict]:
    """Return one row a size of the raw data: bars, seconds, memory, disk, and each against × 1."""
    rows = []
    for name in GROWTH:
        if name not in results["rounds"]:
            continue
        row = {
            key: median(results, name, key)
            for key in ("bars", "funds", "from_raw", "cpu", "peak", "disk", "file")
        }
        rows.append(row | {"name": name, "runs": len(results["rounds"][name])})
    for row in rows:
        for key in ("bars", "from_raw", "peak"):
            row[f"{key}_times"] = row[key] / rows[0][key]
    return rows


def line(x: list[float], y: list[float]) -> tuple[float, float]:
    """Return intercept and slope of the least-squares line."""
    slope, intercept = statistics.linear_regression(x, y)
    return intercept, slope


def plan(results: dict) -> dict | None:
    """Return what larger data would need by the lines through the measured growth.

    None with fewer than three sizes.
    """
    rows = [row for row in growth(results) if not row["name"].startswith("history-")]
    if len(rows) < 3:  # noqa: PLR2004 - a line through two points shows nothing
        return None
    bars = [row["bars"] for row in rows]
    lines = {key: line(bars, [row[key] for row in rows]) for key in ("from_raw", "peak", "disk")}
    memory = results["machine"]["memory"]
    funds = rows[0]["funds"]
    minute = SESSIONS_A_YEAR * MINUTES_A_SESSION
    cases = {
        "market": bars[0],
        "stocks": ALL_STOCKS_BARS,
        "minutes_funds_year": funds * minute,
        "minutes_stocks_year": STOCKS * minute,
        "minutes_stocks_all": ALL_STOCKS_BARS * MINUTES_A_SESSION,
    }

    def at(key, count):
        intercept, slope = lines[key]
        return intercept + slope * count

    return {
        "cases": [
            {"name": name, "bars": count, **{key: at(key, count) for key in lines}}
            for name, count in cases.items()
        ],
        "per_bar": {key: slope for key, (_, slope) in lines.items()},
        "fixed": {key: intercept for key, (intercept, _) in lines.items()},
        "ends": {
            "memory": _reach(lines["peak"], memory),
            "night": _reach(lines["from_raw"], NIGHT_HOURS * 3600),
            "disk": _reach(lines["disk"], DISK_BYTES),
        },
        "funds": funds,
    }


def _reach(line_: tuple[float, float], limit: float) -> float | None:
    intercept, slope = line_
    return (limit - intercept) / slope if slope > 0 and limit > intercept else None


# ---------- text


PEERS = {
    "talib": "TA-Lib",
    "polars": "polars with polars-talib",
    "vectorbt": "vectorbt with numba",
    "rust": "vectorbt with vectorbt-rust",
}
KINDS = {
    "raw": "panel, raw files to one parquet file",
    "whole": "panel, the whole commands",
    "bars": "panel, adjusted bars in memory to one parquet file",
}
LABELS = {
    f"{peer}_{kind}": f"{text}: {name} / ours"
    for peer, name in PEERS.items()
    for kind, text in KINDS.items()
} | {"vectorbt_sweep": "sweep, per variant: vectorbt / ours"}


def ratios(results: dict) -> str:
    """Return the ratios as text: above 1 the project is the faster one."""
    lines = ["ratios of times, the peer's over ours: above 1 the project is faster"]
    for row in comparisons(results):
        if row["ratio"] is None:
            lines.append(f"  {LABELS[row['name']]}: not measured")
            continue
        ratio = row["ratio"]
        asked = f", asked {row['asked']:.2f}" if row["asked"] else ""
        lines.append(
            f"  {LABELS[row['name']]}: {ratio['median']:.2f} "
            f"({ratio['least']:.2f} to {ratio['most']:.2f}{asked}); "
            f"{row['peer']:.2f} s and {row['ours']:.2f} s"
        )
    for row in against(results):
        ratio = row["ratio"]
        lines.append(
            f"  {row['name']}, CPU seconds: ours / {results['before']}: {ratio['median']:.2f} "
            f"({ratio['least']:.2f} to {ratio['most']:.2f}, asked {row['asked']:.2f} at most)"
        )
    for row in growth(results)[1:]:
        lines.append(
            f"  growth, {row['name']}: bars {row['bars_times']:.2f}, "
            f"seconds {row['from_raw_times']:.2f}, peak {row['peak_times']:.2f} times"
        )
    return "\n".join(lines)


def number(x: float | None, digits: int = 2) -> str:
    """Return a number with thousands separated, a dash for what is not known."""
    return "–" if x is None else f"{x:,.{digits}f}"


def listed(values: list[float]) -> str:
    """Return the rounds of one figure, one digit behind the point."""
    return " · ".join(number(x, 1) for x in values)


def gib(x: float | None) -> str:
    """Return bytes as GiB."""
    return number(None if x is None else x / GIB)


def rough(x: float | None) -> str:
    """Return two significant digits: an extrapolation has no more."""
    if x is None:
        return "–"
    for size, unit in [(1e9, " G"), (1e6, " M"), (1e3, " k")]:
        if x >= size:
            return f"{float(f'{x / size:.2g}'):,g}{unit}"
    return f"{float(f'{x:.2g}'):g}"


def duration(seconds: float) -> str:
    """Return seconds in the unit one would say: s, min or h, two significant digits."""
    for size, unit in [(3600, "h"), (60, "min")]:
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.2g}'):g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def write(results: dict, folder: Path) -> list[Path]:
    """Write both pages into `folder` and return their paths.

    Raises
    ------
    BenchError
        If two sides of a comparison were not measured in the same rounds.
    """
    compared = {row["name"]: row for row in comparisons(results)}
    for name, row in compared.items():
        if row["ratio"] is None:
            raise BenchError(f"no pages: not measured in the same rounds: {LABELS[name]}")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown
    )
    environment.filters |= {
        "number": number,
        "gib": gib,
        "listed": listed,
        "rough": rough,
        "duration": duration,
    }
    stages = [figures["stages"] for figures in results["rounds"]["build"]]
    names = {name for figures in stages for name in figures}
    build_stages = {
        name: statistics.median([figures.get(name, 0.0) for figures in stages]) for name in names
    }
    slowest = results["rounds"]["build"][-1]["slowest"]
    # Of each build that was measured: ours, and the older checkout's.
    nodes = {
        name: rounds[0]["node_count"]
        for name, rounds in results["rounds"].items()
        if "node_count" in rounds[0]
    }
    written = []
    for name in PAGES.values():
        text = environment.get_template(f"{name}.j2").render(
            results=results,
            compared=compared,
            against=against(results),
            runs=runs(results),
            growth=growth(results),
            plan=plan(results),
            load=loads(results),
            median=lambda *keys: median(results, *keys),
            stages=sorted(build_stages.items(), key=lambda pair: -pair[1]),
            slowest=slowest,
            peer_versions={
                package: number_
                for measure in ("talib", "polars", "vectorbt", "vectorbt-rust", "vectorbt-sweep")
                for package, number_ in results["rounds"][measure][0]["versions"].items()
            },
            node_ms=lambda name: 1000 * median(results, name, "cpu") / nodes[name],
            nodes=nodes,
            first={name: rounds[0] for name, rounds in results["rounds"].items()},
        )
        path = folder / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
