#!/usr/bin/env bash
# Installs the site's packages as package-lock.json pins them, outside the tree, in $XDG_CACHE_HOME/llm-proxy/ui, and points node_modules
# there. A link, so that no Go command finds the Go files that some packages bring. Where they are already there it does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "internal/admin/ui/tools/install.sh: $*" >&2; exit 1; }
command -v npm >/dev/null || fail "missing: npm (Node 20.19 or newer, https://nodejs.org)"
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' ||
	fail "Node 20.19 or newer is needed, this is $(node --version)"

pins=$( (node --version; uname -sm; cat package.json package-lock.json .npmrc) | sha256sum | cut -c1-16)
to=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy/ui/$pins
if [ ! -d "$to" ]; then
	echo "installing the site's packages (once; half a minute)"
	mkdir -p "$(dirname "$to")"
	work=$(mktemp -d "$to.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	cp package.json package-lock.json .npmrc "$work/"
	npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	mv -T "$work" "$to" 2>/dev/null || test -d "$to" # another one was faster
fi
if [ -d node_modules ] && [ ! -L node_modules ]; then
	rm -rf node_modules
fi
ln -sfn "$to/node_modules" node_modules
