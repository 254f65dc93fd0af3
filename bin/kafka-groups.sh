#!/bin/sh
# Kafka's name for `tidelog groups`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" groups "$@"
