from etf_rotation.staging import raw_rows, seed_checks


def model(dbt, session):
    """Read every raw row of the build's funds without repairing it."""
    dbt.config(materialized="table")
    settings = dbt.ref("run_settings").project("as_of, universe, selected_pools")
    as_of, universe, selected_pools = settings.fetchall()[0]
    funds = dbt.ref("etf_pools").project("symbol, pool").fetchall()
    selected = set(selected_pools.split(",")) if selected_pools else set()
    rows = raw_rows.read_rows(
        session,
        dbt.ref("raw_files").to_arrow_table(),
        seed_checks.Universe.of_seed(funds, selected, takes_all=universe == "all"),
        as_of,
    )
    symbols = {symbol for (symbol,) in rows.unique("raw_symbol").fetchall()}
    seed_checks.check_every_pool_has_rows(funds, symbols, selected)
    return rows
