#!/usr/bin/env bash
# Fetches Amazon's DynamoDB Local, as pom.xml pins it, and prints the folder of its jars. They stay outside the tree, in
# $XDG_CACHE_HOME/llm-proxy; a second run takes a moment and needs no network. Java and Maven are installed where that is allowed.
set -euo pipefail
cd "$(dirname "$0")"
version=$(sha256sum pom.xml | cut -c1-12)
home=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy/dynamodb-local
lib=$home/$version

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
[ -d "$lib" ] || command -v mvn >/dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
	if ! command -v apt-get >/dev/null || { [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; }; then
		echo "missing and not ours to install: ${missing[*]}" >&2
		exit 1
	fi
	echo "installing ${missing[*]}" >&2
	as_root=(env DEBIAN_FRONTEND=noninteractive)
	[ "$(id -u)" = 0 ] || as_root=(sudo -n "${as_root[@]}")
	"${as_root[@]}" apt-get -qq update >&2
	"${as_root[@]}" apt-get -qq install --no-install-recommends -y "${missing[@]}" >/dev/null
fi

# Test packages run side by side: one fetches, the others wait for it. The folder gets its name when it is complete.
if [ ! -d "$lib" ]; then
	mkdir -p "$home"
	exec 9>"$home/lock"
	flock 9
	if [ ! -d "$lib" ]; then
		fresh=$(mktemp -d "$home/fetching.XXXXXX")
		trap 'rm -rf "$fresh"' EXIT
		echo "fetching DynamoDB Local (once; about 50 MB)" >&2
		mvn -q -B --strict-checksums dependency:copy-dependencies -DoutputDirectory="$fresh/lib" >&2
		mv "$fresh/lib" "$lib"
	fi
fi
echo "$lib"
