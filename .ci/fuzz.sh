#!/usr/bin/env bash
# Runs each fuzz target of the module for the time given, one after another: `go test -fuzz` takes one target of one package.
# By default it would spend all of a short time on making the first inputs it finds smaller.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-3s}

targets=0
while IFS=: read -r file name; do
	package=./$(dirname "${file#./}")
	echo "$package $name"
	go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x
	targets=$((targets + 1))
done < <(grep -rhoHE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal local infra 2>/dev/null | sed 's/func //' | sort)

if [ "$targets" -eq 0 ]; then
	echo "found no fuzz target" >&2
	exit 1
fi
echo "$targets fuzz targets, $time each"
