#!/usr/bin/env bash
# Runs each fuzz target of the module with as many inputs as given, one target after another: `go test -fuzz` takes one of one package.
# A number and not a time, because a run that ends by its time fails now and then with "context deadline exceeded" (golang/go 75804).
# By default it would spend most of a short run on making the first inputs it finds smaller.
set -euo pipefail
cd "$(dirname "$0")/.."
inputs=${1:-20000}

targets=0
while IFS=: read -r file name; do
	package=./$(dirname "${file#./}")
	echo "$package $name"
	go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "${inputs}x" -fuzzminimizetime 10x
	targets=$((targets + 1))
done < <(grep -rhoHE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' internal local infra 2>/dev/null | sed 's/func //' | sort)

if [ "$targets" -eq 0 ]; then
	echo "found no fuzz target" >&2
	exit 1
fi
echo "$targets fuzz targets, $inputs inputs each"
