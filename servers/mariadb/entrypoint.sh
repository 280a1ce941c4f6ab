#!/bin/sh
# Options alone are for mariadbd. MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and _DATABASE are what they say, for the first start.
set -eu
case "${1:-}" in
  "" | -*) set -- mariadbd "$@" ;;
esac
if [ "$1" = mariadbd ] && [ ! -d /var/lib/mysql/mysql ]; then
  : "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:?has to be set, as this image knows no other root}"
  shift
  # The official image has root at localhost and everywhere. GRANT does nothing yet, so the rows are changed themselves.
  cat > /tmp/first.sql <<END
DELETE FROM mysql.global_priv WHERE User = 'root' AND Host NOT IN ('localhost', '127.0.0.1');
UPDATE mysql.global_priv SET Host = '%' WHERE User = 'root' AND Host = '127.0.0.1';
DELETE FROM mysql.proxies_priv WHERE User = 'root' AND Host <> '127.0.0.1';
UPDATE mysql.proxies_priv SET Host = '%' WHERE User = 'root' AND Host = '127.0.0.1';
${MARIADB_DATABASE:+CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;}
END
  # This listens nowhere, and prints no line that a server prints when it is ready.
  mariadb-install-db --rpm --user=mysql --datadir=/var/lib/mysql --auth-root-authentication-method=normal \
    --skip-test-db --extra-file=/tmp/first.sql "$@" --skip-log-bin --old-mode=UTF8_IS_UTF8MB3 >&2
  set -- mariadbd "$@"
fi
exec "$@"
