#!/bin/sh
# Makes a PostgreSQL cluster in an empty $PGDATA, then becomes the server. A cluster counts once PG_VERSION is in place, which
# is moved there last: an attempt that was killed half-way is begun again, never used.
set -eu

password() {
	if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
		cat "$POSTGRES_PASSWORD_FILE"
	elif [ -n "${POSTGRES_PASSWORD:-}" ]; then
		echo "$POSTGRES_PASSWORD"
	else
		echo "set POSTGRES_PASSWORD_FILE or POSTGRES_PASSWORD" >&2
		return 1
	fi
}

init() {
	user=${POSTGRES_USER:-postgres} db=${POSTGRES_DB:-${POSTGRES_USER:-postgres}} new=$PGDATA/.new
	find "$PGDATA" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
	umask 077
	password >/dev/null # fails here, not in the pipe
	# By a pipe, so that the password is never on a disk.
	password | initdb --pgdata="$new" --username="$user" --pwfile=/dev/stdin --encoding=UTF8 --locale=C.UTF-8 \
		--auth-local=trust --auth-host=scram-sha-256 --no-sync --no-instructions
	echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
	if [ "$db" != postgres ]; then
		echo "CREATE DATABASE \"$db\"" | postgres --single -D "$new" postgres >/dev/null
	fi
	find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv {} "$PGDATA/" \;
	sync
	mv "$new/PG_VERSION" "$PGDATA/"
	rmdir "$new"
}

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
	init
fi
exec "$@"
