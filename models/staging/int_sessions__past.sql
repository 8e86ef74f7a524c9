-- A view: the sessions up to today. A row that is dated later is in the quarantine, and says nothing
-- about sessions to come.
{{ config(materialized='view') }}

select calendar.*
from {{ ref('trading_calendar') }} as calendar
cross join {{ ref('run_settings') }} as settings
where calendar.trade_date <= settings.today
