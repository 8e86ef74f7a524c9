from etf_rotation import published


def model(dbt, session):
    """Read figures, checks and findings of the last published build, if there is one."""
    dbt.config(materialized="table")
    path = dbt.ref("run_settings").project("published_database").fetchall()[0][0]
    return published.read(path)
