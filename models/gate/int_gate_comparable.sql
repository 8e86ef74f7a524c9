{{ config(materialized='ephemeral') }}

-- Whether the checks and findings of a published build are readable.

select
    count(*) filter (where kind = 'check') > 0
    and count(*) filter (where kind = 'fault' and coalesce(name, 'gate.') like 'gate.%') = 0
        as is_comparable
from {{ ref('int_published_build') }}
