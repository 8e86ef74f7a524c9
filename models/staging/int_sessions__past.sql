-- The sessions up to today. Rows dated later are in quarantine and must not add
-- sessions.
{{ config(materialized='view') }}

select calendar.*
from {{ ref('trading_calendar') }} as calendar
cross join {{ ref('run_settings') }} as settings
where calendar.trade_date <= settings.today
