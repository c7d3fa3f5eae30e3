#!/bin/bash
# Run once by the PostgreSQL image, on an empty data folder and after workers/logins.sql: a password for each login.
set -euo pipefail

set_password() {
    local login="$1" password="$2"
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set login="$login" --set password="$password" <<'SQL'
ALTER ROLE :"login" PASSWORD :'password';
SQL
}

set_password api "$API_PASSWORD"
set_password query "$QUERY_PASSWORD"
set_password projector "$PROJECTOR_PASSWORD"
set_password read_owner "$READ_OWNER_PASSWORD"
set_password audit "$AUDIT_PASSWORD"
set_password reader "$READER_PASSWORD"
set_password publisher "$PUBLISHER_PASSWORD"
set_password replica "$REPLICA_PASSWORD"
set_password credentials "$CREDENTIALS_PASSWORD"
set_password sealer "$SEALER_PASSWORD"
