#!/bin/sh
# Kafka's name for `tidelog log-dirs`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" log-dirs "$@"
