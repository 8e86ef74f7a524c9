from etf_rotation.capacity import curve


def model(dbt, session):
    """Estimate every pool's net return by capital."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project(
        "capacity_capitals, impact_coefficient, sessions_per_year"
    )
    capitals, impact_coefficient, sessions_per_year = settings.fetchall()[0]
    return curve.curves_of_all(
        fills=dbt.ref("int_capacity__fills").to_arrow_table(),
        equity=dbt.ref("int_capacity__equity").to_arrow_table(),
        pools=dbt.ref("pool_constraints").to_arrow_table(),
        capitals=capitals,
        impact_coefficient=impact_coefficient,
        sessions_per_year=sessions_per_year,
    )
