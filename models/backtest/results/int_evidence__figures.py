from etf_rotation.backtest import evidence


def model(dbt, session):
    """Test whether every strategy's returns differ from chance."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project(
        "sessions_per_year, risk_free_rate, min_metrics_sessions"
    )
    sessions_per_year, risk_free_rate, min_sessions = settings.fetchall()[0]
    return evidence.judge_all(
        dbt.ref("int_evidence__returns").to_arrow_table(),
        sessions_per_year=sessions_per_year,
        risk_free_rate=risk_free_rate,
        min_sessions=min_sessions,
    )
