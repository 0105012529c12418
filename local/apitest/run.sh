#!/usr/bin/env bash
# Lets schemathesis make requests from the OpenAPI document that a real server serves, right ones and wrong ones, and checks every
# answer: no 5xx, no undocumented status, header or body, no wrong input taken, no operation without its credential. The seed is fixed
# and the time bounded. What it needs is installed outside the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."
seed=${APITEST_SEED:-1}
seconds=${APITEST_SECONDS:-75} # beyond it the run ends what it has begun
program=$PWD/bin/llm-proxy
here=$PWD/local/apitest

cache=${XDG_CACHE_HOME:-$HOME/.cache}/llm-proxy
pins=$(python3 --version 2>&1 | cat - "$here/requirements.txt" | sha256sum | cut -c1-12)
venv=$cache/apitest-$pins
if [ ! -x "$venv/ready" ]; then
	if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		echo "SKIPPED: the contract test needs python3 with venv (apt-get install python3-venv)" >&2
		exit 0
	fi
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
	ln -s bin/st "$venv/ready"
fi

work=$(mktemp -d)
export LLM_PROXY_DATA_DIR=$work LLM_PROXY_ADDR=127.0.0.1:0 LLM_PROXY_METRICS_ADDR=off
finish() {
	"$program" server stop >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT
"$program" server --demo -d >/dev/null 2>&1
read -r url token < <(python3 - <<-'END'
	import json, os
	d = os.environ["LLM_PROXY_DATA_DIR"]
	print(json.load(open(d + "/llm-proxy.pid"))["url"], json.load(open(d + "/keys.json"))["management_token"])
END
)

# Left out, since the document cannot say what they would need to know: positive_data_acceptance (which providers there are, which
# cursor belongs to which filter, which of two members is given) and use_after_free (a revoked token stays visible).
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
checks+=,negative_data_rejection,missing_required_header,unsupported_method,allow_header_conformance,ignored_auth,ensure_resource_availability
cd "$work" # it writes beside itself
timeout $((seconds * 2)) "$venv/bin/st" run "$url/manage/openapi.json" -H "Authorization: Bearer $token" --checks "$checks" \
	--seed "$seed" --max-examples 30 --max-time "$seconds" --generation-database none --warnings off --no-color

if grep -q '"level":"error"' "$work/server.log"; then
	echo "the server's log has errors:" >&2
	grep '"level":"error"' "$work/server.log" | cut -c1-500 >&2
	exit 1
fi
