{{ config(severity='warn') }}

{{ runs_last() }}

{{ gate_findings('warn') }}
