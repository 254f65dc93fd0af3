#!/bin/sh
# Kafka's name for `tidelog configs`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" configs "$@"
