#!/bin/bash
# Dumps the database into its volume before a backup, and loads the dump after a restore.
set -euo pipefail

file=/var/lib/postgresql/data/backup.sql
export PGUSER=$POSTGRES_USER

backup() {
  pg_dump --no-owner "$POSTGRES_DB" >"$file.part"
  mv "$file.part" "$file"
}

restore() {
  psql -q -d template1 -c "DROP DATABASE \"$POSTGRES_DB\""
  createdb -T template0 "$POSTGRES_DB"
  psql -q -1 -v ON_ERROR_STOP=1 -d "$POSTGRES_DB" -f "$file" >/dev/null
}

"$1"
