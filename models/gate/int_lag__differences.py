from etf_rotation.gate import lag


def model(dbt, session):
    """Compare the panel with the families of factors on the session before."""
    dbt.config(materialized="table")
    # Named here and not taken from int_factors__lagged: what that model forgets must show.
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
