#!/usr/bin/env bash
# The daily run for cron, for example at 18:00 on weekdays (CRON_TZ=Asia/Shanghai):
#   0 18 * * 1-5 /path/to/project/bin/cron_daily.sh
# With ETF_FETCH_SOURCE set it fetches first, and runs whatever came of that: the gate decides.
# Arguments go to 'etf-rotation run'. cron's environment is empty: settings (ETF_RAW_ROOT,
# DINGTALK_WEBHOOK, …) are read from the file ETF_ENV_FILE, .env in the project where that is not
# set, as lines NAME=value; let nobody else read it (chmod 600). The log of each day is kept for 30
# days in ETF_LOG_DIR (factor_output/logs). Of two runs at once the second ends with code 2.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}" TZ=Asia/Shanghai

# Read, not run: a password may hold whatever a shell would take for a command, and no error shows it.
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

logs="${ETF_LOG_DIR:-$root/factor_output/logs}"
mkdir -p "$logs" || exit 2
find "$logs" -maxdepth 1 -name 'cron_*.log' -mtime +30 -delete
log="$logs/cron_$(date +%Y%m%d).log"
# The log is for its owner; what is published keeps the permissions that the user wants.
(umask 077 && : >> "$log") || exit 2
fetched=0
{
    if [ -n "${ETF_FETCH_SOURCE:-}" ]; then
        # fetch leaves its summary here, and run puts it into the notification.
        export ETF_FETCH_SUMMARY="$logs/.fetch_summary.$$"
        trap 'rm -f "$ETF_FETCH_SUMMARY"' EXIT
        (umask 077 && : > "$ETF_FETCH_SUMMARY")
        echo "== $(date '+%F %T %z') etf-rotation fetch"
        "$root/bin/etf-rotation" fetch
        fetched=$?
        echo "== $(date '+%F %T %z') exit code $fetched"
        if [ ! -s "$ETF_FETCH_SUMMARY" ]; then
            echo "etf-rotation fetch ended with code $fetched" > "$ETF_FETCH_SUMMARY"
        fi
    fi
    echo "== $(date '+%F %T %z') etf-rotation run $*"
    "$root/bin/etf-rotation" run "$@"
    code=$?
    echo "== $(date '+%F %T %z') exit code $code"
} >> "$log" 2>&1
# cron mails what is printed: a line when it went wrong, nothing when it went well.
[ "$fetched" -eq 0 ] || echo "etf-rotation fetch ended with code $fetched, see $log" >&2
[ "$code" -eq 0 ] || echo "etf-rotation run ended with code $code, see $log" >&2
exit "$code"
