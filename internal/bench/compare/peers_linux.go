package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bench"
)

// peer is one way to the upstream.
type peer struct {
	name    string
	target  bench.Target
	process *bench.Process // nil: there is none in between
	started time.Duration  // from exec to its first answer
}

// startPeers brings up all ways that this machine has. The order is that of the table.
func startPeers(ctx context.Context, s settings, upstream, work string) ([]*peer, error) {
	peers := []*peer{{name: directName, target: bench.Target{Addr: upstream, Token: "direct"}}}
	for _, start := range []func(context.Context, settings, string, string) (*peer, error){startBare, startNginx, startOurs, startBefore} {
		p, err := start(ctx, s, upstream, work)
		if err != nil {
			stopPeers(peers)
			return nil, err
		}
		if p != nil {
			peers = append(peers, p)
		}
	}
	return peers, nil
}

func stopPeers(peers []*peer) {
	for _, p := range peers {
		if p.process != nil {
			p.process.Stop()
		}
	}
}

// startBare runs this program again as a bare ReverseProxy.
func startBare(ctx context.Context, _ settings, upstream, _ string) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return startPeer(ctx, bareName, bench.Target{Addr: addr, Token: "bare"}, func() *exec.Cmd {
		return exec.CommandContext(ctx, self, "bare", addr, upstream) //nolint:gosec // itself
	})
}

// serveBare is the least a reverse proxy in Go can be: the standard library's, with connections kept.
func serveBare(addr, upstream string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		FlushInterval: -1,
	}
	server := &http.Server{Addr: addr, Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// startNginx runs nginx with one worker for each processor; without nginx there is no such peer.
func startNginx(ctx context.Context, _ settings, upstream, work string) (*peer, error) {
	binary, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: nginx is not installed, its column is left out")
		return nil, nil //nolint:nilnil // no such peer
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(work, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	user := "" // of the workers: started by root they would otherwise be somebody who may not write here
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := fmt.Sprintf(`daemon off; %[4]s worker_processes auto; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  keepalive_requests 100000000; client_max_body_size 600m;
  upstream up { server %[3]s; keepalive 256; keepalive_requests 100000000; }
  server { listen %[2]s; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; } }
}
`, dir, addr, upstream, user)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return startPeer(ctx, "nginx", bench.Target{Addr: addr, Token: "nginx"}, func() *exec.Cmd {
		return exec.CommandContext(ctx, binary, "-c", file, "-e", filepath.Join(dir, "error.log")) //nolint:gosec // found on the path
	})
}

// startOurs sets a project and a token with limits up and starts the server: SQLite on disk, events and their log on, the ledger if asked for.
func startOurs(ctx context.Context, s settings, upstream, work string) (*peer, error) {
	return startProgram(ctx, s, "llm-proxy", s.binary, upstream, work)
}

// startBefore starts the program that ours is compared with, if there is one.
func startBefore(ctx context.Context, s settings, upstream, work string) (*peer, error) {
	if s.before == "" {
		return nil, nil //nolint:nilnil // no such peer
	}
	return startProgram(ctx, s, "before", s.before, upstream, work)
}

func startProgram(ctx context.Context, s settings, name, binary, upstream, work string) (*peer, error) {
	dir := filepath.Join(work, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	providers, key, db := filepath.Join(dir, "providers.yaml"), filepath.Join(dir, "key"), filepath.Join(dir, "llm-proxy.db")
	config := fmt.Sprintf("default: openai\nproviders:\n  openai:\n    base_url: http://%s\n    auth: {header: Authorization, scheme: Bearer}\n    endpoints:\n      - {path: /v1/chat/completions, methods: [POST], usage: openai-chat}\n      - {path: /v1/streams/chat/completions, methods: [POST], usage: openai-chat}\n      - {path: /v1/completions, methods: [POST], usage: openai-completions}\n      - {path: /v1/embeddings, methods: [POST]}\n    limits: {connections_per_host: 4096}\n", upstream)
	if err := os.WriteFile(providers, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(key, []byte("sk-fake-key-of-the-benchmark\n"), 0o600); err != nil {
		return nil, err
	}
	setup := exec.CommandContext(ctx, binary, "setup", "--non-interactive", "--db", db, "--providers", providers, "--project", "bench", "--api-key-file", key, //nolint:gosec // the binary to measure
		"--max-requests", "1000000000", "--requests-per-hour", "1000000000", "--duration-minutes", "600", "--json")
	setup.Stderr = os.Stderr
	out, err := setup.Output()
	if err != nil {
		return nil, fmt.Errorf("%s setup: %w", binary, err)
	}
	var made struct{ Token string }
	if err := json.Unmarshal(out, &made); err != nil {
		return nil, fmt.Errorf("%s setup printed %q: %w", binary, out, err)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return startPeer(ctx, name, bench.Target{Addr: addr, Token: made.Token}, func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, "server", "--addr", addr, "--db", db, "--providers", providers, "--file-event-log", filepath.Join(dir, "events.jsonl")) //nolint:gosec // the binary to measure
		cmd.Env = append(os.Environ(), "LLM_PROXY_METRICS_ADDR=127.0.0.1:0", "LLM_PROXY_MAX_CONCURRENT_PER_TOKEN=0", "LLM_PROXY_LOG_LEVEL=warn", fmt.Sprintf("LLM_PROXY_LEDGER=%t", s.ledger))
		cmd.Stderr = os.Stderr
		return cmd
	})
}

// startRounds is how often each peer is started; the median is reported.
const startRounds = 9

// startPeer starts a peer several times, and leaves the last one running.
func startPeer(ctx context.Context, name string, target bench.Target, command func() *exec.Cmd) (*peer, error) {
	p := &peer{name: name, target: target}
	starts := make([]time.Duration, startRounds)
	for i := range starts {
		if p.process != nil {
			p.process.Stop()
		}
		var err error
		if p.process, err = bench.StartProcess(ctx, command(), target.Addr); err != nil {
			return nil, err
		}
		starts[i] = p.process.Started
	}
	slices.Sort(starts)
	p.started = starts[len(starts)/2]
	return p, nil
}

// freeAddr is a loopback address that was free a moment ago.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
