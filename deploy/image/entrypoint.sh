#!/bin/sh
# gateway | controller | worker: one role, as this process; all: the three in one; anything else: a command of
# `pointsman`. More options follow: `worker --grace 60`.
set -eu
command=${1:-all}
[ "$#" -eq 0 ] || shift
case "$command" in
  gateway | controller | worker) exec pointsman serve --role "$command" "$@" ;;
  all) exec pointsman serve "$@" ;;
  *) exec pointsman "$command" "$@" ;;
esac
