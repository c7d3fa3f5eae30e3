#!/bin/bash
# See that what the tests need beside the embedded server is there: PostgreSQL 15, the oldest version supported, pgbouncer,
# hledger and ledger, Kafka with Java and Maven, and Go. The packages are installed on Debian when run as root, and asked
# for otherwise. Maven downloads Kafka once. Where that cannot be, the tests of Kafka, or those with Go, are left out,
# which CI does not allow.
set -euo pipefail

can_install=no
if [[ "$(id -u)" == 0 && -z "${POSTGRES15_BIN:-}" ]] && command -v apt-get >/dev/null; then
    can_install=yes
fi
programs="${POSTGRES15_BIN:-/usr/lib/postgresql/15/bin}"
missing=()
[[ -x "$programs/postgres" && -x "$programs/initdb" ]] || missing+=(postgresql-15)
PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null || missing+=(pgbouncer)
for tool in hledger ledger; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
java=()
command -v java >/dev/null || java+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || java+=(maven)
if [[ ${#java[@]} != 0 && $can_install == yes ]]; then
    missing+=("${java[@]}")
    java=()
fi
if ! command -v go >/dev/null; then
    if [[ $can_install == yes ]]; then
        missing+=(golang-go)
    else
        echo "Go is not installed (Debian: apt-get install golang-go): the test of proofs with Go is left out."
    fi
fi

get_kafka() {
    local python
    python="$(dirname "$0")/../../.venv/bin/python"
    if [[ ! -x "$python" ]]; then
        return # before `make install`: it is downloaded when it is needed
    fi
    if [[ ${#java[@]} != 0 ]]; then
        echo "Java or Maven is not installed (Debian: apt-get install ${java[*]}): the tests of Kafka are left out."
    elif ! "$python" -W ignore -m workers.kafka.broker; then
        echo "Kafka cannot be downloaded: the tests of Kafka are left out."
    fi
}

if [[ ${#missing[@]} == 0 ]]; then
    get_kafka
    exit 0
fi

ask="The tests need ${missing[*]}: install it (Debian 12: apt-get install ${missing[*]}). PostgreSQL 15 is looked for in"
ask+=" $programs; if it is elsewhere, set POSTGRES15_BIN to the folder of its programs."
if [[ $can_install == no ]]; then
    echo "$ask" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
    apt-get update -qq
fi
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
    echo "$ask (This system's packages do not have all of them.)" >&2
    exit 1
fi
echo "Installing ${missing[*]} for the tests."
# The packages would create and start servers of their own; the tests start theirs.
apt-get install -y -qq --no-install-recommends postgresql-common </dev/null >/dev/null
mkdir -p /etc/postgresql-common/createcluster.d
echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/no-main-cluster.conf
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
get_kafka
