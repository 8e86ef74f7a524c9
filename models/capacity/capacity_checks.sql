select
    pool,
    trade_date,
    kind,
    cast(tranche as integer) as tranche,
    check_name,
    subject,
    value,
    limit_value,
    is_violation,
    days_to_liquidate
from {{ ref('int_capacity__checks') }}
order by pool, trade_date, kind, tranche, check_name, subject
