from etf_rotation import panel


def model(dbt, session):
    """Put the lagged factors into catalogue order, once both are known to agree."""
    dbt.config(materialized="table")
    lagged = dbt.ref("int_factors__lagged")
    catalogue = [row[0] for row in dbt.ref("factor_catalog").project("factor_id").fetchall()]
    return lagged.project(
        ", ".join([*panel.KEYS, *panel.catalogue_order(lagged.columns, catalogue)])
    )
