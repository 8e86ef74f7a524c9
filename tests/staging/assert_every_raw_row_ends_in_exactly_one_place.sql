with

bars as (

    select * from {{ ref('stg_etf_daily') }}

),

suspensions as (

    select * from {{ ref('suspensions') }}

),

quarantine as (

    select * from {{ ref('quarantine') }}

),

raw_rows as (

    select
        source_file,
        source_row,
        raw_symbol as symbol,
        trade_date
    from {{ ref('raw_rows') }}

),

-- A surplus duplicate shares its key with the kept row, so only other rows are matched
-- by key.
placed as (

    select
        raw_rows.*,
        quarantine.source_row is not null as is_quarantined,
        bars.symbol is not null as is_bar,
        suspensions.symbol is not null as is_suspended
    from raw_rows
    left join quarantine
        on
            raw_rows.source_file = quarantine.source_file
            and raw_rows.source_row = quarantine.source_row
    left join bars
        on
            raw_rows.symbol = bars.symbol
            and raw_rows.trade_date = bars.trade_date
            and quarantine.source_row is null
    left join suspensions
        on
            raw_rows.symbol = suspensions.symbol
            and raw_rows.trade_date = suspensions.trade_date
            and suspensions.kind <> 'no_row'
            and quarantine.source_row is null

),

-- Destinations and their numbers of raw rows.
accounted as (

    select
        'a bar' as place,
        bars.symbol,
        bars.trade_date,
        count(placed.source_row) as row_count,
        1 as expected_count
    from bars
    left join placed
        on
            bars.symbol = placed.symbol
            and bars.trade_date = placed.trade_date
            and placed.is_bar
    group by bars.symbol, bars.trade_date

    union all

    select
        'a suspension' as place,
        suspensions.symbol,
        suspensions.trade_date,
        count(placed.source_row) as row_count,
        case when suspensions.kind = 'no_row' then 0 else 1 end as expected_count
    from suspensions
    left join placed
        on
            suspensions.symbol = placed.symbol
            and suspensions.trade_date = placed.trade_date
            and (placed.is_suspended or suspensions.kind = 'no_row')
    group by suspensions.symbol, suspensions.trade_date, suspensions.kind

),

faults as (

    select
        source_file,
        source_row,
        symbol,
        trade_date,
        'a raw row in ' || (is_quarantined::integer + is_bar::integer + is_suspended::integer)
        || ' places' as fault
    from placed
    where is_quarantined::integer + is_bar::integer + is_suspended::integer <> 1

    union all

    select
        null as source_file,
        null as source_row,
        symbol,
        trade_date,
        place || ' that comes from ' || row_count || ' raw rows' as fault
    from accounted
    where row_count <> expected_count

    union all

    select
        quarantine.source_file,
        quarantine.source_row,
        quarantine.symbol,
        quarantine.trade_date,
        'a quarantined row that is no raw row' as fault
    from quarantine
    left join placed
        on
            quarantine.source_file = placed.source_file
            and quarantine.source_row = placed.source_row
    where placed.source_row is null

)

select * from faults
