#!/usr/bin/env bash
# Tests the site: types, unit tests, then its screens in a real Chromium against a real server (bin/llm-proxy server --demo, one for each
# file of tests, on a free port with a folder of its own). Arguments go to the browser tests: tools/test.sh projects. KIND=shots makes the
# pictures of the documentation instead, KIND=paint times screens over the database that LLM_PROXY_SIZE_DB names.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install.sh
if [ "${KIND:-e2e}" = e2e ]; then
	node_modules/.bin/tsc --noEmit
	node_modules/.bin/vitest run --reporter=dot --reporter=./e2e/failures.ts
fi

for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
	if [ -n "$name" ] && command -v "$name" >/dev/null; then
		CHROMIUM=$(command -v "$name")
		export CHROMIUM
		exec node_modules/.bin/vitest run --config e2e/vitest.config.ts "$@"
	fi
done
echo "the browser tests need Chromium (apt-get install chromium), or CHROMIUM=/path/to/it" >&2
exit 1
