#!/usr/bin/env bash
# Installs what `make test` needs and this machine lacks: the Go tools pinned in infra/tools/go.mod, and Debian packages where they
# may be installed. Everything built stays outside the tree, in $XDG_CACHE_HOME/llm-proxy; a second run takes a moment.
set -euo pipefail
cd "$(dirname "$0")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy

need() { # program, where to get it
	command -v "$1" >/dev/null || { echo "missing: $1 ($2)" >&2; exit 1; }
}
need go "Go 1.26 or newer, https://go.dev/dl"
need git "apt-get install git"

# Debian packages, each with the test that shows whether it is there.
missing=()
has_compiler() { command -v "${CC:-gcc}" && echo 'int main(void){return 0;}' | "${CC:-gcc}" -x c -o /dev/null -; }
has_venv() { python3 -c 'import ensurepip, venv'; }
has_nginx() { command -v nginx || test -x /usr/sbin/nginx; }
has_chromium() { test -n "${CHROMIUM:-}" || command -v chromium || command -v chromium-browser || command -v google-chrome; }
has_version2() { test -e /sys/fs/cgroup/cgroup.controllers || command -v linux.uml || test "$(uname -m)" != x86_64; } # control groups of the kernel, or of one beside it
has_compiler >/dev/null 2>&1 || missing+=(gcc libc6-dev)
has_venv >/dev/null 2>&1 || missing+=(python3-venv)
has_nginx >/dev/null 2>&1 || missing+=(nginx-light)
has_chromium >/dev/null 2>&1 || missing+=(chromium)
has_version2 >/dev/null 2>&1 || missing+=(user-mode-linux)

apt_as_root() {
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}
if [ ${#missing[@]} -gt 0 ]; then
	if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
		echo "installing ${missing[*]}"
		{ apt_as_root apt-get -qq update && apt_as_root apt-get -qq install --no-install-recommends -y "${missing[@]}" >/dev/null; } ||
			echo "could not install ${missing[*]}; what needs them says so and does without, or fails" >&2
	else
		echo "missing and not ours to install: apt-get install ${missing[*]}" >&2
		echo "  (gcc: the race detector; python3-venv: the Python SDK's tests; nginx-light: a column of make bench; chromium: the admin site's tests;" >&2
		echo "  user-mode-linux: Lambda's limits under version 2 of control groups)" >&2
	fi
fi

# The tools are built anew when a pin or the Go release changes.
stamp=$cache/bin/.pins
pins=$(go version; cat go.mod go.sum | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$pins" ]; then
	echo "building actionlint, golangci-lint, gofumpt, gotestsum, govulncheck and oapi-codegen (once; a minute or two)"
	mkdir -p "$cache/bin"
	GOBIN= GOWORK=off GOFLAGS= go build -mod=readonly -buildvcs=false -o "$cache/bin/" tool
	echo "$pins" >"$stamp"
fi

# The tests of the DynamoDB store need Amazon's DynamoDB Local, a Java program. They fetch it themselves where it is not there yet; here
# its download does not count as their time.
dynamodb-local/fetch.sh >/dev/null || echo "could not fetch DynamoDB Local; the tests that need it say so and skip" >&2
