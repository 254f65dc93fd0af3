#!/bin/sh
# Kafka's name for `tidelog topics`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" topics "$@"
