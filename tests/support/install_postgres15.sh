#!/bin/bash
# See that PostgreSQL 15 is there for the tests: installed on Debian when run as root, asked for otherwise.
set -euo pipefail

programs="${POSTGRES15_BIN:-/usr/lib/postgresql/15/bin}"
if [[ -x "$programs/postgres" && -x "$programs/initdb" ]]; then
    exit 0
fi

ask="The tests also run on PostgreSQL 15, and $programs holds none: install it (Debian 12: apt-get install postgresql-15)"
ask+=" and, if it is elsewhere, set POSTGRES15_BIN to the folder of its programs."
if [[ "$(id -u)" != 0 || -n "${POSTGRES15_BIN:-}" ]] || ! command -v apt-get >/dev/null; then
    echo "$ask" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
if ! apt-cache show postgresql-15 >/dev/null 2>&1; then
    apt-get update -qq
fi
if ! apt-cache show postgresql-15 >/dev/null 2>&1; then
    echo "$ask (This system's packages have no postgresql-15.)" >&2
    exit 1
fi
echo "Installing postgresql-15 for the tests."
# The package would create and start a server of its own; the tests start theirs.
apt-get install -y -qq --no-install-recommends postgresql-common </dev/null >/dev/null
mkdir -p /etc/postgresql-common/createcluster.d
echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/no-main-cluster.conf
apt-get install -y -qq --no-install-recommends postgresql-15 </dev/null >/dev/null
