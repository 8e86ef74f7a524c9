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
        -- The worst finding first, in the direction of the check.
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
        string_agg(detail, '; ' order by detail) filter (where value is null) as not_judged,
        string_agg(detail_zh, '；' order by detail) filter (where value is null) as not_judged_zh
    from observations
    group by pool, check_name

),

located as (

    select
        *,
        coalesce(since = 'new', false) as is_new,
        -- A check with new and unchanged findings lists the new ones first and marks
        -- them.
        case
            when
                since = 'new'
                and count(*) filter (where since = 'unchanged') over (partition by pool, check_name) > 0
                then 'new:'
        end as marked,
        case when marked is not null then '新增：' else '' end as marked_zh,
        concat_ws(
            ' ',
            source_file,
            case when source_file is null or not starts_with(source_file, symbol) then symbol end,
            trade_date
        ) as place
    from {{ ref('gate_violations') }}

),

numbered as (

    select
        pool,
        check_name,
        is_new,
        concat_ws(' ', marked, nullif(place, ''), detail) as finding,
        marked_zh || concat_ws(' ', nullif(place, ''), detail_zh) as finding_zh,
        row_number() over (
            partition by pool, check_name
            order by is_new desc, abs(value) desc, trade_date desc, symbol, detail
        ) as number,
        count(*) over (partition by pool, check_name) as n
    from located

),

findings as (

    select
        pool,
        check_name,
        bool_or(is_new) as has_new,
        string_agg(finding, '; ' order by number) filter (where number <= 5)
        || case when any_value(n) > 5 then format('; and {} more', any_value(n) - 5) else '' end as listed,
        string_agg(finding_zh, '；' order by number) filter (where number <= 5)
        || case when any_value(n) > 5 then format('；另有 {} 项', any_value(n) - 5) else '' end as listed_zh
    from numbered
    group by pool, check_name

),

published as (

    select * from {{ ref('int_published_build') }}
    where kind = 'check'

),

published_build as (

    select * from {{ ref('int_gate_comparable') }}

),

judged as (

    select
        coalesce(wanted.pool, measured.pool) as pool,
        coalesce(wanted.check_name, measured.check_name) as check_name,
        measured.value,
        wanted.warn_threshold,
        wanted.fail_threshold,
        coalesce(wanted.is_performance, false) as is_alert,
        case
            when wanted.check_name is null then 'no_threshold'
            when measured.check_name is null then 'no_model'
            when not wanted.is_usable then 'incomplete_threshold'
        end as defect,
        {{ is_beyond('measured.value', 'wanted.direction', 'wanted.fail_threshold') }} as is_beyond_fail,
        {{ is_beyond('measured.value', 'wanted.direction', 'wanted.warn_threshold') }} as is_beyond_warn,
        case
            when measured.max_status is not null then measured.max_status
            -- The pool MARKET is for research only and never trades.
            when wanted.pool = 'MARKET' then 'warn'
            when not wanted.is_blocking then 'warn'
            when wanted.is_performance and '{{ gate }}' = 'warn' then 'warn'
            else 'fail'
        end as max_status,
        measured.not_judged,
        measured.not_judged_zh,
        findings.listed,
        findings.listed_zh,
        coalesce(findings.has_new, false) as has_new,
        coalesce(published.status, 'pass') as published_status,
        published_build.is_comparable and coalesce(wanted.compared_by, 'none') <> 'none' as is_compared,
        wanted.direction,
        wanted.title,
        wanted.title_zh,
        wanted.remedy,
        wanted.remedy_zh
    from wanted
    full join measured
        on
            wanted.pool = measured.pool
            and wanted.check_name = measured.check_name
    left join findings
        on
            measured.pool = findings.pool
            and measured.check_name = findings.check_name
    left join published
        on
            wanted.pool = published.pool
            and wanted.check_name = published.name
    cross join published_build

),

graded as (

    select
        *,
        case when is_beyond_fail then fail_threshold else warn_threshold end as threshold,
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
    coalesce(title, check_name) as title,
    coalesce(title_zh, check_name) as title_zh,
    value,
    warn_threshold,
    fail_threshold,
    status,
    case
        when defect = 'no_threshold'
            then 'the seed gate_thresholds has no row for this check and pool; restore it'
        when defect = 'no_model'
            then 'no model of models/gate computes this check for this pool; restore it'
        when defect = 'incomplete_threshold'
            then 'the row of the seed gate_thresholds is not complete: a blocking check needs a '
                || 'fail_threshold, any other a warn_threshold, direction and aggregate'
        when value is null
            then format('no value, nothing was judged: {}', coalesce(not_judged, 'too little history'))
        when is_beyond_fail or is_beyond_warn
            then format(
                '{:.4g} is {} {:.4g}: {}. {}', value, replace(direction, '_', ' '), threshold, listed, remedy
            )
        else 'ok'
    end as message,
    case
        when defect = 'no_threshold' then '种子 gate_thresholds 中没有该检查和该池的行；请恢复'
        when defect = 'no_model' then 'models/gate 中没有模型为该池计算此检查；请恢复'
        when defect = 'incomplete_threshold'
            then '种子 gate_thresholds 的该行不完整：阻断检查须有 fail_threshold，其他须有 warn_threshold，'
                || '并须有 direction 和 aggregate'
        when value is null
            then format('无数值，未评判：{}', coalesce(not_judged_zh, '历史太短'))
        when is_beyond_fail or is_beyond_warn
            then format(
                '{:.4g} {} {:.4g}：{}。{}',
                value,
                case direction when 'above' then '高于' when 'at_least' then '不低于' else '低于' end,
                threshold,
                listed_zh,
                remedy_zh
            )
        else '正常'
    end as message_zh,
    is_alert,
    case
        when not is_compared then null
        when has_new then 'new'
        -- A check without a value has no finding. A threshold may have changed, too.
        when status = 'warn' and published_status = 'pass' then 'new'
        when status = 'fail' and published_status <> 'fail' then 'new'
        else 'unchanged'
    end as since
from graded
order by pool, check_name
