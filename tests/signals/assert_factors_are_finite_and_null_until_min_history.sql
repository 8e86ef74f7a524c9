{{ after_the_gate() }}

with

bars as (

    select * from {{ ref('stg_etf_daily') }}

),

catalog as (

    select * from {{ ref('factor_catalog') }}

),

panel as (

    select
        factor_panel.* exclude (symbol, trade_date, as_of_date, pool),
        bars.bar_number
    from {{ ref('factor_panel') }} as factor_panel
    inner join bars
        on
            factor_panel.symbol = bars.symbol
            and factor_panel.as_of_date = bars.trade_date

),

-- One scan of the panel: a value that is not finite counts as one on bar 0.
first_bars as (

    unpivot (
        select
            min(
                case
                    when not isfinite(columns(* exclude (bar_number))) then 0
                    when columns(* exclude (bar_number)) is not null then bar_number
                end
            )
        from panel
    )
    on columns(*) into name factor_id value first_bar

)

select
    factor_id,
    catalog.min_history,
    first_bars.first_bar
from catalog
inner join first_bars
    using (factor_id)
where first_bars.first_bar < catalog.min_history
