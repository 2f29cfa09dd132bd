#!/usr/bin/env bash
# Starts a demonstration of three partners, plays the clients' scenarios on it, holds its answers to the
# published shapes; then plays hostile clients and each way to log in, on nodes of their own.
# Usage: [FUZZ_SECONDS=60] run.sh COMITY [ARGUMENTS OF run.py]
set -euo pipefail
here="$(dirname "$0")"
comity="$1"
shift
work="$(mktemp -d)"
"$comity" demo --ready "$work/ready.json" >"$work/demo.txt" 2>&1 &
demo=$!
trap 'kill "$demo" 2>/dev/null; wait "$demo" 2>/dev/null; rm -rf "$work"' EXIT

deadline=$((SECONDS + 120))
until [[ -f "$work/ready.json" ]]; do
    if ! kill -0 "$demo" 2>/dev/null || ((SECONDS > deadline)); then
        echo "the demonstration did not come up:" >&2
        tail -n 20 "$work/demo.txt" >&2
        exit 2
    fi
    sleep 0.2
done
"$here/run.py" --ready "$work/ready.json" "$@"
"$here/schemas.py" --ready "$work/ready.json"
# First that it finds what it is to find, then for as long as it was told.
"$here/fuzz_api.py" "$comity" --seconds 5 --plant
"$here/fuzz_api.py" "$comity" --seconds "${FUZZ_SECONDS:-60}"
"$here/login_saml.py" "$comity"
"$here/login_oidc.py" "$comity"
"$here/login_totp.py" "$comity"
"$here/login_ldap.py" "$comity"
"$here/login_scim.py" "$comity"
"$here/acme.py" "$comity"
