#!/usr/bin/env bash
# go test, with the tests that were skipped and their reasons listed at the end: of several packages, go test itself tells neither. What fails
# is told at once and once more in that list, and the status is that of go test.
set -euo pipefail
program=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy/bin/gotestsum
[ -x "$program" ] || { echo "missing: gotestsum (make tools)" >&2; exit 127; }
exec "$program" --format pkgname-and-test-fails --format-icons text --format-hide-empty-pkg -- "$@"
