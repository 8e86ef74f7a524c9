from etf_rotation.gate import lag


def model(dbt, session):
    """Compare the panel with the factor families one session earlier."""
    dbt.config(materialized="table")
    # Listed here, not read from int_factors__lagged: an omission in that model must
    # show.
    families = [
        dbt.ref("factors_bands"),
        dbt.ref("factors_cross_section"),
        dbt.ref("factors_direction"),
        dbt.ref("factors_macd"),
        dbt.ref("factors_moving_averages"),
        dbt.ref("factors_oscillators"),
        dbt.ref("factors_regression"),
        dbt.ref("factors_returns"),
        dbt.ref("factors_rsi"),
        dbt.ref("factors_true_range"),
        dbt.ref("factors_volatility"),
        dbt.ref("factors_volume"),
    ]
    return lag.differences(
        session,
        panel=dbt.ref("factor_panel"),
        families=families,
        bars=dbt.ref("stg_etf_daily"),
        calendar=dbt.ref("trading_calendar"),
    )
