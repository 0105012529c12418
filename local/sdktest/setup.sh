#!/usr/bin/env bash
# Installs the official Python and JavaScript SDKs, and the clients of Helicone and Lunary, at the versions that requirements.txt and the
# files package-lock.json pin by hash, outside the tree, in $XDG_CACHE_HOME/llm-proxy/sdk. Where they are already there it does nothing.
set -euo pipefail
cd "$(dirname "$0")"
to=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy/sdk

fail() { echo "local/sdktest/setup.sh: $*" >&2; exit 1; }
command -v python3 >/dev/null || fail "missing: python3 (apt-get install python3 python3-venv)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, this is $(python3 --version)"
command -v npm >/dev/null || fail "missing: npm (Node 20 or newer, https://nodejs.org)"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || fail "Node 20 or newer is needed, this is $(node --version)"

# A folder that is there but has no stamp, or another one, is left from a run that was broken off or had other pins.
python_stamp=$(python3 --version; cat requirements.txt)
if [ "$(cat "$to/python/.stamp" 2>/dev/null)" != "$python_stamp" ]; then
	echo "installing the Python SDK"
	rm -rf "$to/python"
	python3 -m venv "$to/python" || fail "python3 -m venv does not work (apt-get install python3-venv)"
	"$to/python/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all: -r requirements.txt
	printf '%s\n' "$python_stamp" >"$to/python/.stamp"
fi

# install_node puts what a lock file names into a folder. The vendors' clients ask for packages beside them that they run without.
install_node() { # what name lock-folder options...
	local what=$1 name=$2 from=$3 stamp
	shift 3
	stamp=$(node --version; cat "$from/package-lock.json")
	[ "$(cat "$to/$name/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
	echo "installing $what"
	rm -rf "${to:?}/$name"
	mkdir -p "$to/$name"
	cp "$from/package.json" "$from/package-lock.json" "$to/$name/"
	npm ci --prefix "$to/$name" --ignore-scripts --no-audit --no-fund --loglevel=error "$@" >/dev/null
	printf '%s\n' "$stamp" >"$to/$name/.stamp"
}
install_node "the JavaScript SDK" javascript .
install_node "the clients of Helicone and Lunary" vendors vendors --legacy-peer-deps
