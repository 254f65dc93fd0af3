#!/bin/sh
# Kafka's name for `tidelog dump-log`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" dump-log "$@"
