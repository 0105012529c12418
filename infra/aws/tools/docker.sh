#!/usr/bin/env bash
# Finds or starts a container engine in which `sam local` can run functions, and keeps it while its own standard input is open:
#
#   infra/aws/tools/docker.sh FOLDER
#
# prints two lines: what DOCKER_HOST is to be, and the address at which containers reach this machine. An engine that answers is used as it
# is, with the image of Lambda from its registry. Where there is none, and root may install and start things, one is started from Debian's
# packages, with all it keeps in FOLDER; it reaches no network and changes no firewall. If the image cannot be fetched there, a shell and
# certificates take its place: the functions need no more. Exit code 3: there can be none, and why is on standard error.
set -euo pipefail
folder=${1:?usage: infra/aws/tools/docker.sh FOLDER}
image=public.ecr.aws/lambda/provided:al2023-x86_64
[ "$(uname -m)" = aarch64 ] && image=public.ecr.aws/lambda/provided:al2023-arm64

none() { echo "no container engine: $*" >&2; exit 3; }
root=()
[ "$(id -u)" = 0 ] || root=(sudo -n)
may() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

has_image() { docker image inspect "$image" >/dev/null 2>&1; }
fetch_image() { has_image || timeout 300 docker pull --quiet "$image" >/dev/null 2>&1; }

keep() { # tell of the engine, then wait until nobody needs it
	echo "${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || echo unix:///var/run/docker.sock)}"
	(ip -4 -brief address show docker0 2>/dev/null || true) | awk '{sub("/.*", "", $3); gateway = $3} END {print gateway ? gateway : "host.docker.internal"}'
	exec >/dev/null
	cat >/dev/null
}

if command -v docker >/dev/null && timeout 30 docker info >/dev/null 2>&1; then
	fetch_image || none "the one that answers cannot fetch $image"
	keep
	exit
fi

[ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null || none "none answers, and this is not Debian"
may || none "none answers, and only root may start one"
missing=()
command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || missing+=(docker.io)
command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] || missing+=(iptables)
[ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 || missing+=(busybox-static)
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing ${missing[*]}" >&2
	apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
	{ "${apt[@]}" update && "${apt[@]}" install --no-install-recommends -y "${missing[@]}"; } >/dev/null 2>&1 || none "${missing[*]} cannot be installed"
	if timeout 30 docker info >/dev/null 2>&1; then # the package has started it
		fetch_image || none "the one that answers cannot fetch $image"
		keep
		exit
	fi
fi

mkdir -p "$folder"
export DOCKER_HOST=unix://$folder/docker.sock
had_bridge=$(test -e /sys/class/net/docker0 && echo yes || true)
"${root[@]}" env PATH="/usr/sbin:/sbin:$PATH" dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" --host "$DOCKER_HOST" \
	--iptables=false --ip-masq=false --ip-forward=false >"$folder/log" 2>&1 </dev/null &
engine=$!
stop() {
	trap - EXIT INT TERM
	[ ! -f "$folder/pid" ] || "${root[@]}" kill "$(cat "$folder/pid")" 2>/dev/null || true
	wait "$engine" 2>/dev/null || true
	[ -n "$had_bridge" ] || "${root[@]}" ip link delete docker0 2>/dev/null || true
	"${root[@]}" rm -rf "$folder/data" "$folder/exec"
}
trap stop EXIT
trap 'exit 1' INT TERM
for ((i = 0; i < 300; i++)); do
	! docker info >/dev/null 2>&1 || break
	kill -0 "$engine" 2>/dev/null || none "dockerd ended: $(tail -n 1 "$folder/log")"
	sleep 0.1
done
docker info >/dev/null 2>&1 || none "dockerd does not answer: $(tail -n 1 "$folder/log")"

if ! fetch_image; then
	echo "the image of Lambda cannot be fetched; a shell and certificates take its place" >&2
	tree=$(mktemp -d "$folder/tree.XXXXXX")
	mkdir -p "$tree"/{bin,dev,etc/ssl/certs,opt,proc,root,tmp,var/runtime,var/task}
	chmod 1777 "$tree/tmp"
	cp /bin/busybox "$tree/bin/"
	/bin/busybox --list | while read -r name; do [ "$name" = busybox ] || ln -s busybox "$tree/bin/$name"; done
	cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
	tar -C "$tree" -c . | docker import --change 'ENV PATH=/usr/local/bin:/bin' --change 'WORKDIR /var/task' - "$image" >/dev/null
	rm -rf "$tree"
fi
keep
