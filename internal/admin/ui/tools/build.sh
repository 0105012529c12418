#!/usr/bin/env bash
# Builds the site into dist/, which the binary embeds. Where dist/ is what these sources make, it does nothing. With --if-possible a
# machine without Node, or without its packages, keeps the placeholder page: the binary works, and its page says how to get the site.
set -euo pipefail
cd "$(dirname "$0")/.."

sources() { # what the bundle is made of, as one hash; tests are no part of it
	find src public index.html package.json package-lock.json tsconfig.json vite.config.ts postcss.config.mjs tools/build.sh -type f ! -name '*.test.ts*' -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}
clean() { find dist -mindepth 1 ! -name placeholder.html -delete; }

build() {
	tools/install.sh || return 1
	clean
	node_modules/.bin/vite build --logLevel warn || return 1
	sources >dist/.stamp
}

stamp=$(sources)
if [ "$(cat dist/.stamp 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi
if [ "${1:-}" != --if-possible ]; then
	build
elif ! command -v npm >/dev/null; then
	clean
	echo "no Node here: the binary comes without the admin site (make ui)" >&2
elif ! (build); then
	clean
	echo "the admin site could not be built: the binary comes without it (make ui)" >&2
fi
