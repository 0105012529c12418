#!/usr/bin/env bash
# Installs what the tests of the template need, each in a virtual environment of its own since their pins differ: sam with cfn-lint and the
# SAM translator, checkov, ministack, which stands in for AWS, and AWS's own command line. All of it is pinned with its hashes and stays
# outside the tree, in $XDG_CACHE_HOME/llm-proxy/aws; where it is there already this takes a moment. Names as arguments install those alone.
set -euo pipefail
cd "$(dirname "$0")"
to=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy/aws

fail() { echo "infra/aws/tools/install.sh: $*" >&2; exit 1; }
command -v python3 >/dev/null || fail "missing: python3 (apt-get install python3 python3-venv)"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, this is $(python3 --version)"
mkdir -p "$to"
exec 9>"$to/.lock"
command -v flock >/dev/null && flock 9 # two runs at once would write one folder

[ $# -gt 0 ] || set -- sam checkov ministack awscli
for name in "$@"; do
	# A folder without its stamp, or with another one, is left from a run that was broken off or had other pins.
	stamp=$(python3 --version; cat "$name.txt")
	if [ "$(cat "$to/$name/.stamp" 2>/dev/null)" != "$stamp" ]; then
		echo "installing $name (once; a minute or two)"
		rm -rf "${to:?}/$name"
		python3 -m venv "$to/$name" || fail "python3 -m venv does not work (apt-get install python3-venv)"
		"$to/$name/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps --only-binary :all: -r "$name.txt"
		printf '%s\n' "$stamp" >"$to/$name/.stamp"
	fi
done
