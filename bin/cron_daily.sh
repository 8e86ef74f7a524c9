#!/usr/bin/env bash
# The daily run for cron, for example at 18:00 on weekdays (CRON_TZ=Asia/Shanghai):
#   0 18 * * 1-5 /path/to/project/bin/cron_daily.sh
# With ETF_FETCH_SOURCE it fetches first. The run follows even a failed fetch: the gate decides.
# The arguments go to 'etf-rotation run'. cron's environment is empty, so settings (ETF_RAW_ROOT,
# DINGTALK_WEBHOOK, …) come from a file of lines NAME=value: ETF_ENV_FILE, or .env in the project.
# Keep that file to yourself (chmod 600); the script warns if others can read it. ETF_LOG_DIR
# (factor_output/logs) keeps the log of each day for 30 days. If another run is at work, the script
# ends with code 2. INT and TERM are passed on to the command at work; a run's exit code is the
# script's.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}" TZ=Asia/Shanghai

# Parsed and never sourced: a shell could run parts of a password, or show it in an error.
read_settings() {
    local line number=0 is_setting='^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z_0-9]*)=(.*)$'
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        line="${line#$'\xef\xbb\xbf'}"
        line="${line%"${line##*[![:space:]]}"}"
        [[ "$line" =~ ^[[:space:]]*(#|$) ]] && continue
        if ! [[ "$line" =~ $is_setting ]]; then
            echo "$1: line $number is not NAME=value" >&2
            return 1
        fi
        local name="${BASH_REMATCH[2]}" value="${BASH_REMATCH[3]}"
        case "$value" in
            \"*\" | \'*\')
                if [ "${#value}" -gt 1 ]; then value="${value:1:-1}"; fi
                ;;
        esac
        export "$name=$value"
    done < "$1"
}

env_file="${ETF_ENV_FILE:-$root/.env}"
if [ -n "${ETF_ENV_FILE:-}" ] || [ -f "$env_file" ]; then
    if [ -d "$env_file" ] || [ ! -r "$env_file" ]; then
        echo "the settings file $env_file cannot be read (ETF_ENV_FILE)" >&2
        exit 2
    fi
    read_settings "$env_file" || exit 2
fi
warning=""
if [ -f "$env_file" ] && [ -n "$(find -L "$env_file" \( -perm -040 -o -perm -004 \))" ]; then
    warning="warning: others can read $env_file, which may hold secrets; run 'chmod 600 $env_file'"
    echo "$warning" >&2
fi

logs="${ETF_LOG_DIR:-$root/factor_output/logs}"
mkdir -p "$logs" || exit 2
find "$logs" -maxdepth 1 -name 'cron_*.log' -mtime +30 -delete
log="$logs/cron_$(date +%Y%m%d).log"
# Only the owner may read the log. Published files keep the user's permissions.
(umask 077 && : >> "$log") || exit 2
child="" signaled="" stopped=""
trap 'signaled=1; stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' INT TERM
# Wait in a loop, because a signal ends a wait before the command has ended.
passing_signals_on() {
    local code again
    "$@" &
    child=$!
    [ -z "$signaled" ] || kill -TERM "$child"
    wait "$child"
    code=$?
    # 127: the previous wait already returned the code.
    while [ -n "$signaled" ]; do
        signaled=""
        wait "$child"
        again=$?
        [ "$again" -eq 127 ] || code=$again
    done
    child=""
    return "$code"
}
fetched=0
{
    if [ -n "${ETF_FETCH_SOURCE:-}" ]; then
        # fetch writes its summary here, and run puts it into the notification.
        export ETF_FETCH_SUMMARY="$logs/.fetch_summary.$$"
        trap 'rm -f "$ETF_FETCH_SUMMARY"' EXIT
        (umask 077 && : > "$ETF_FETCH_SUMMARY")
        echo "== $(date '+%F %T %z') etf-rotation fetch"
        passing_signals_on "$root/bin/etf-rotation" fetch
        fetched=$?
        echo "== $(date '+%F %T %z') exit code $fetched"
        if [ ! -s "$ETF_FETCH_SUMMARY" ]; then
            echo "etf-rotation fetch ended with code $fetched" > "$ETF_FETCH_SUMMARY"
        fi
    fi
    echo "== $(date '+%F %T %z') etf-rotation run $*"
    [ -z "$warning" ] || echo "$warning"
    if [ -n "$stopped" ]; then
        echo "stopped before the run began"
        code=2
    else
        passing_signals_on "$root/bin/etf-rotation" run "$@"
        code=$?
    fi
    echo "== $(date '+%F %T %z') exit code $code"
} >> "$log" 2>&1
# cron mails the output: one line after a failure, nothing after a success.
[ "$fetched" -eq 0 ] || echo "etf-rotation fetch ended with code $fetched, see $log" >&2
[ "$code" -eq 0 ] || echo "etf-rotation run ended with code $code, see $log" >&2
exit "$code"
