-- Every finding of the checks that do not pass.

with

findings as (

    select * from {{ ref('int_gate_findings') }}
    where build = 'current'

),

published as (

    select * from {{ ref('int_gate_comparable') }}

)

select
    findings.pool,
    findings.check_name,
    findings.source_file,
    findings.symbol,
    findings.trade_date,
    findings.value,
    findings.detail,
    findings.detail_zh,
    case
        when not published.is_comparable or findings.compared_by = 'none' then null
        when findings.is_in_both then 'unchanged'
        else 'new'
    end as since
from findings
cross join published
order by
    findings.pool, findings.check_name, findings.symbol, findings.trade_date, findings.detail
