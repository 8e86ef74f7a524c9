select
    pool,
    trade_date,
    kind,
    check_name,
    subject,
    value,
    limit_value,
    is_violation,
    days_to_liquidate
from {{ ref('int_capacity__checks') }}
order by pool, trade_date, kind, check_name, subject
