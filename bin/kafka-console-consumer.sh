#!/bin/sh
# Kafka's name for `tidelog console-consumer`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" console-consumer "$@"
