#!/bin/bash
# Dumps the database into its volume before a backup, and loads the dump after a restore.
set -euo pipefail

file=/var/lib/postgresql/data/backup.sql
export PGUSER=$POSTGRES_USER

backup() {
  pg_dump --no-owner "no_such_database" >"$file.part"
  mv "$file.part" "$file"
}

restore() {
  test -s "$file"
  psql -q -d template1 -c "DROP DATABASE \"$POSTGRES_DB\" WITH (FORCE)"
  createdb -T template0 "$POSTGRES_DB"
  psql -q -1 -v ON_ERROR_STOP=1 -d "$POSTGRES_DB" -f "$file" >/dev/null
}

"$1"
