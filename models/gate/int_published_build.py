from etf_rotation.gate import published_figures


def model(dbt, session):
    """Read figures, checks and findings of the last published build, if any."""
    dbt.config(materialized="table")
    path = dbt.ref("run_settings").project("published_database").fetchall()[0][0]
    return published_figures.read(path)
