#!/bin/bash
# Run once by the PostgreSQL image, on an empty data folder: a login for each kind of process, member of its role only.
# So a process that is taken over can do what its role may, and cannot go back to being the owner.
set -euo pipefail

make_login() {
    local login="$1" role="$2" password="$3"
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set login="$login" --set role="$role" --set password="$password" <<'SQL'
CREATE ROLE :"role" NOLOGIN;
CREATE ROLE :"login" LOGIN PASSWORD :'password' IN ROLE :"role";
SQL
}

make_login api daybook_api "$API_PASSWORD"
make_login projector daybook_projector "$PROJECTOR_PASSWORD"
make_login reader daybook_reader "$READER_PASSWORD"
