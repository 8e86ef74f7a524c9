-- The families use windows without partition and order. The row before a bar must
-- therefore be the fund's previous bar.

{{ after_the_gate() }}

with

bars as (

    select
        symbol,
        trade_date,
        bar_number
    from {{ ref('int_bars') }}

),

streamed as (

    select
        *,
        lag(symbol) over () as symbol_before,
        lag(trade_date) over () as date_before,
        lag(bar_number) over () as number_before
    from bars

)

select * from streamed
where
    coalesce(
        case
            when bar_number = 1 then symbol_before >= symbol
            else
                symbol_before is distinct from symbol
                or number_before is distinct from bar_number - 1
                or date_before >= trade_date
        end,
        false
    )
