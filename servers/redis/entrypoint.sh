#!/bin/sh
# Options alone are for redis-server, which listens everywhere inside the container.
set -eu
case "${1:-}" in
  "" | -*) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
  shift
  set -- redis-server --bind 0.0.0.0 --protected-mode no "$@"
fi
exec "$@"
