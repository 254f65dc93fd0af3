#!/bin/sh
# Kafka's name for `tidelog transactions`.
exec "$(dirname -- "$(readlink -f -- "$0")")/tidelog" transactions "$@"
