{% set gate = one_of('performance_gate', var('performance_gate'), ['warn', 'error']) %}

with

wanted as (

    select
        gate_index.pool,
        thresholds.*,
        thresholds.direction in ('above', 'at_least', 'below')
        and thresholds.aggregate in ('sum', 'worst')
        and isfinite(coalesce(thresholds.warn_threshold, thresholds.fail_threshold))
        and coalesce(isfinite(thresholds.fail_threshold), true)
        and (thresholds.fail_threshold is not null or not thresholds.is_blocking) as is_usable
    from {{ ref('gate_index') }} as gate_index
    inner join {{ ref('gate_thresholds') }} as thresholds
        on gate_index.check_name = thresholds.check_name

),

observations as (

    select
        observations.*,
        wanted.aggregate,
        -- The worst first, whichever way a check looks.
        case when wanted.direction = 'below' then observations.value else -observations.value end as severity
    from {{ ref('int_gate_observations') }} as observations
    left join wanted
        on
            observations.pool = wanted.pool
            and observations.check_name = wanted.check_name

),

measured as (

    select
        pool,
        check_name,
        case
            when any_value(aggregate) = 'sum'
                then round(sum(value order by symbol, trade_date, detail), 12)
            else arg_min(value, severity)
        end as value,
        any_value(max_status) as max_status,
        string_agg(detail, '; ' order by detail) filter (where value is null) as nothing_to_judge
    from observations
    group by pool, check_name

),

numbered as (

    select
        *,
        concat_ws(
            ' ',
            source_file,
            case when source_file is null or not starts_with(source_file, symbol) then symbol end,
            trade_date,
            detail
        ) as finding,
        row_number() over (
            partition by pool, check_name order by abs(value) desc, trade_date desc, symbol, detail
        ) as place,
        count(*) over (partition by pool, check_name) as n
    from {{ ref('gate_violations') }}

),

findings as (

    select
        pool,
        check_name,
        string_agg(finding, '; ' order by place) filter (where place <= 5)
        || case when any_value(n) > 5 then format('; and {} more', any_value(n) - 5) else '' end as listed
    from numbered
    group by pool, check_name

),

judged as (

    select
        coalesce(wanted.pool, measured.pool) as pool,
        coalesce(wanted.check_name, measured.check_name) as check_name,
        measured.value,
        wanted.warn_threshold,
        wanted.fail_threshold,
        case
            when wanted.check_name is null
                then 'the seed gate_thresholds has no row for this check and pool; restore it'
            when measured.check_name is null
                then 'no model of models/gate computes this check for this pool; restore it'
            when not wanted.is_usable
                then 'the row of the seed gate_thresholds is not complete: a blocking check needs a '
                    || 'fail_threshold, any other a warn_threshold, direction and aggregate'
        end as defect,
        {{ is_beyond('measured.value', 'wanted.direction', 'wanted.fail_threshold') }} as is_beyond_fail,
        {{ is_beyond('measured.value', 'wanted.direction', 'wanted.warn_threshold') }} as is_beyond_warn,
        case
            when measured.max_status is not null then measured.max_status
            -- The pool MARKET is there for research; nothing is traded on it.
            when wanted.pool = 'MARKET' then 'warn'
            when not wanted.is_blocking then 'warn'
            when wanted.is_performance and '{{ gate }}' = 'warn' then 'warn'
            else 'fail'
        end as max_status,
        measured.nothing_to_judge,
        findings.listed,
        wanted.direction,
        wanted.remedy
    from wanted
    full join measured
        on
            wanted.pool = measured.pool
            and wanted.check_name = measured.check_name
    left join findings
        on
            measured.pool = findings.pool
            and measured.check_name = findings.check_name

),

graded as (

    select
        *,
        case
            when defect is not null then 'fail'
            when max_status = 'pass' then 'pass'
            when value is null then 'warn'
            when is_beyond_fail and max_status = 'fail' then 'fail'
            when is_beyond_fail or is_beyond_warn then 'warn'
            else 'pass'
        end as status
    from judged

)

select
    pool,
    check_name,
    value,
    warn_threshold,
    fail_threshold,
    status,
    case
        when defect is not null then defect
        when value is null
            then format('no value, nothing was judged: {}', coalesce(nothing_to_judge, 'too little history'))
        when is_beyond_fail or is_beyond_warn
            then format(
                '{:.4g} is {} {:.4g}: {}. {}',
                value,
                replace(direction, '_', ' '),
                case when is_beyond_fail then fail_threshold else warn_threshold end,
                listed,
                remedy
            )
        else 'ok'
    end as message
from graded
order by pool, check_name
