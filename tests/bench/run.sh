#!/bin/sh
# Measures Comity, ejabberd and Prosody beside one another, through what their users use.
#   tests/bench/run.sh setup        installs the other servers (apt) and makes the environment
#   tests/bench/run.sh [ARGUMENT]…  measures; --help tells the arguments
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
environment=target/bench-users/venv
packages='prosody lua-event lua-dbi-sqlite3 lua-unbound ejabberd erlang-p1-sqlite3 nftables
  dnsmasq-base ethtool iproute2 openssl python3 python3-venv'

# The packages would start both servers, and Erlang's name server, on this host itself.
setup() {
  missing=
  for package in $packages; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing="$missing $package"
  done
  if test -n "$missing"; then
    apt-get update
    policy=/usr/sbin/policy-rc.d
    if ! test -e $policy; then
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      printf '#!/bin/sh\nexit 101\n' >$policy
      chmod +x $policy
    fi
    # Unquoted: a list of names.
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
  fi
  test -x $environment/bin/python || python3 -m venv $environment
  $environment/bin/pip install --disable-pip-version-check --quiet --requirement "$here/requirements.txt"
}

if test "${1-}" = setup; then
  setup
  exit
fi
test -x $environment/bin/python && command -v prosody >/dev/null && command -v erl >/dev/null || setup
exec $environment/bin/python "$here/bench.py" "$@"
