from etf_rotation.gate import run_metadata


def model(dbt, session):
    """Describe the run: its input, code and parameters."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project("* exclude (run_started_at)").to_arrow_table()
    files = dbt.ref("raw_files").filter("is_read").to_arrow_table()
    panel = dbt.ref("factor_panel").limit(0)
    columns = [(name, str(type_)) for name, type_ in zip(panel.columns, panel.types, strict=True)]
    return run_metadata.describe_run(settings.to_pylist()[0], files, columns)
