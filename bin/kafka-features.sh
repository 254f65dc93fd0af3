#!/bin/sh
# Kafka's name for `tidelog features`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" features "$@"
