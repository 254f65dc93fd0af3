#!/bin/sh
# Kafka's name for `tidelog console-producer`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" console-producer "$@"
