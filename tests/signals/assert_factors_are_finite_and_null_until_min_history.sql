{{ after_the_gate() }}

with

panel as (

    select * exclude (trade_date, pool) from {{ ref('factor_panel') }}

),

bars as (

    select * from {{ ref('stg_etf_daily') }}

),

catalog as (

    select * from {{ ref('factor_catalog') }}

),

-- One scan of the panel, and no join with its 275 columns: each fund's first date with a
-- value. A value that is not finite counts as one before the first bar.
first_dates as (

    unpivot (
        select
            symbol,
            min(
                case
                    when isfinite(columns(* exclude (symbol, as_of_date))) then as_of_date
                    when columns(* exclude (symbol, as_of_date)) is not null then date '-infinity'
                end
            )
        from panel
        group by symbol
    )
    on columns(* exclude (symbol)) into name factor_id value first_date

),

first_bars as (

    select
        first_dates.factor_id,
        min(coalesce(bars.bar_number, 0)) as first_bar
    from first_dates
    left join bars
        on
            first_dates.symbol = bars.symbol
            and first_dates.first_date = bars.trade_date
    group by first_dates.factor_id

)

select
    factor_id,
    catalog.min_history,
    first_bars.first_bar
from catalog
inner join first_bars
    using (factor_id)
where first_bars.first_bar < catalog.min_history
