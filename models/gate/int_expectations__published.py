from pathlib import Path

from etf_rotation.gate import expectations


def model(dbt, session):
    """Check the published tables against their expectations."""
    dbt.config(materialized="table", tags=["expectations"])
    docs = dbt.ref("run_settings").project("data_docs").fetchall()[0][0]
    tables = {
        "stg_etf_daily": dbt.ref("stg_etf_daily"),
        "factor_panel": dbt.ref("factor_panel"),
        "scores": dbt.ref("scores"),
        "target_weights": dbt.ref("target_weights"),
        "trades": dbt.ref("trades"),
        "positions_daily": dbt.ref("positions_daily"),
        "equity_daily": dbt.ref("equity_daily"),
    }
    return expectations.run_suites("published", expectations.published_suites(), tables, Path(docs))
