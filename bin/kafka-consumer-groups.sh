#!/bin/sh
# Kafka's name for `tidelog consumer-groups`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" consumer-groups "$@"
