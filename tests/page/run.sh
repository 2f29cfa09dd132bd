#!/usr/bin/env bash
# The page: its types, its modules' tests, what it is made of; then in a real browser at real nodes.
# Usage: run.sh COMITY [ARGUMENTS OF stories.mjs]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
comity="$1"
shift
cache="${XDG_CACHE_HOME:-$HOME/.cache}/comity/page-$(cat "$here/package.json" "$here/package-lock.json" | sha256sum | cut -c1-12)"
if [[ ! -e "$cache/.installed" ]]; then
    rm -rf "$cache" && mkdir -p "$cache"
    cp "$here/package.json" "$here/package-lock.json" "$cache"
    (cd "$cache" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
    touch "$cache/.installed"
fi
export COMITY_PAGE_MODULES="$cache"
"$cache/node_modules/.bin/tsc" --project "$here/../../node/web/jsconfig.json"
node "$here/vendored.mjs"
node --test "$here"/unit/*.test.mjs | grep -E '^(not ok|# (tests|pass|fail))' || exit 1
node "$here/stories.mjs" "$comity" "$@"
