#!/usr/bin/env bash
# Runs govulncheck (its path is the argument) on the module. Exit code 3 is its word for findings; anything else that fails means that
# the database did not answer, which is a failure only under CI, where it is known to be reachable.
set -uo pipefail
cd "$(dirname "$0")/../.."

out=$("$1" ./... 2>&1)
code=$?
printf '%s\n' "$out"
case $code in
0) ;;
3) exit 1 ;;
*)
	if [ -n "${CI:-}" ]; then
		exit 1
	fi
	echo "SKIPPED: govulncheck could not run, most likely because its database cannot be reached from here" >&2
	;;
esac
