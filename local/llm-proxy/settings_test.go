package main

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// settingEffects has for each setting, by its environment variable, the difference that it makes. A setting without a row fails the
// test: what changes nothing has no place.
var settingEffects = map[string]func(t *testing.T){
	"LLM_PROXY_ADDR": func(t *testing.T) {
		addr := freeAddr(t)
		s := start(t, map[string]string{"LLM_PROXY_ADDR": addr})
		require.Equal(t, "http://"+addr, s.url)
		get(t, "http://"+addr+"/health/live", http.StatusOK)
	},
	"LLM_PROXY_METRICS_ADDR": func(t *testing.T) {
		addr := freeAddr(t)
		start(t, map[string]string{"LLM_PROXY_METRICS_ADDR": addr})
		require.Contains(t, get(t, "http://"+addr+"/metrics", http.StatusOK), "llmproxy_events_published_total")
		// Who asked for an address gets it or an error; off is none at all.
		_, err := tryStart(t, map[string]string{"LLM_PROXY_METRICS_ADDR": addr})
		require.ErrorContains(t, err, "listen for metrics")
		off := start(t, map[string]string{"LLM_PROXY_METRICS_ADDR": "off"})
		running, err := findServer(off.settings.PIDFile)
		require.NoError(t, err)
		require.Empty(t, running.MetricsURL)
	},
	"LLM_PROXY_DATA_DIR": func(t *testing.T) {
		dir := t.TempDir()
		start(t, map[string]string{"LLM_PROXY_DATA_DIR": dir})
		for _, name := range []string{"keys.json", "llm-proxy.db", "llm-proxy.pid", "spool"} {
			_, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
		}
	},
	"LLM_PROXY_DB": func(t *testing.T) {
		db := filepath.Join(t.TempDir(), "other.db")
		start(t, map[string]string{"LLM_PROXY_DB": db})
		require.FileExists(t, db)
		// Without a data folder the rest is beside it.
		s, err := parseSettings(map[string]string{"LLM_PROXY_DB": db})
		require.NoError(t, err)
		require.Equal(t, filepath.Dir(db), s.DataDir)
	},
	"LLM_PROXY_PROVIDERS": func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "providers.yaml")
		require.NoError(t, os.WriteFile(file, []byte("default: other\nproviders:\n  other:\n    base_url: http://127.0.0.1:1\n    endpoints:\n      - {path: /v1/other, methods: [GET]}\n"), 0o600))
		s := startPlain(t, map[string]string{"LLM_PROXY_PROVIDERS": file})
		require.Equal(t, http.StatusNotFound, s.send(http.MethodGet, "/v1/models", "").StatusCode)
		require.Equal(t, http.StatusUnauthorized, s.send(http.MethodGet, "/v1/other", "").StatusCode)
	},
	"LLM_PROXY_EVENT_LOG": func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "mine.jsonl")
		s := start(t, map[string]string{"LLM_PROXY_EVENT_LOG": file})
		s.send(http.MethodGet, "/v1/models", "")
		require.NoError(t, s.end())
		require.Len(t, eventLines(t, file), 1)
		// A plain server has none unless told.
		require.Nil(t, openedParts(t, startPlain(t, nil)).eventLog)
	},
	"LLM_PROXY_LEDGER":   testLedgerElsewhere,
	"LLM_PROXY_TLS_CERT": testTLS,
	"LLM_PROXY_TLS_KEY":  testTLS,
	"LLM_PROXY_PUBLIC_URL": func(t *testing.T) {
		s := start(t, map[string]string{"LLM_PROXY_PUBLIC_URL": "https://llm.example.com"})
		require.Contains(t, s.printed, "export OPENAI_BASE_URL=https://llm.example.com/v1\n")
		// Pages of that origin may change things with a session.
		for origin, status := range map[string]int{"https://llm.example.com": http.StatusUnauthorized, "https://evil.example": http.StatusForbidden} {
			require.Equal(t, status, s.signIn("admin", "fake-wrong-password", "Origin: "+origin).StatusCode)
		}
		for _, wrong := range []string{"llm.example.com", "https://llm.example.com/v1", "ftp://llm.example.com", "https://u:p@llm.example.com", "https://"} {
			_, err := parseSettings(map[string]string{"LLM_PROXY_PUBLIC_URL": wrong})
			require.ErrorContains(t, err, "is not an origin", wrong)
		}
	},
	"LLM_PROXY_CAPTURE": func(t *testing.T) {
		const prompt = `{"model":"m","messages":[{"role":"user","content":"remember-this-prompt"}]}`
		for capture, kept := range map[string]bool{"": true, "full": true, "metadata": false} {
			s := start(t, map[string]string{"LLM_PROXY_CAPTURE": capture})
			s.send(http.MethodPost, "/v1/chat/completions", prompt)
			require.NoError(t, s.end())
			require.Equal(t, kept, strings.Contains(spoolText(t, s), "remember-this-prompt"), capture)
		}
	},
	"LLM_PROXY_MAX_CONCURRENT_PER_TOKEN": func(t *testing.T) {
		for limit, status := range map[string]int{"1": http.StatusTooManyRequests, "2": http.StatusOK, "0": http.StatusOK} {
			s := start(t, map[string]string{"LLM_PROXY_MAX_CONCURRENT_PER_TOKEN": limit})
			running := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5,hang-after=1")
			require.Equal(t, http.StatusOK, running.StatusCode)
			require.Equal(t, status, s.send(http.MethodGet, "/v1/models", "").StatusCode, limit)
			running.Body.Close()
		}
	},
	"LLM_PROXY_DEFAULT_MAX_REQUESTS": func(t *testing.T) {
		s := start(t, map[string]string{"LLM_PROXY_DEFAULT_MAX_REQUESTS": "1"})
		require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
		require.Equal(t, http.StatusTooManyRequests, s.send(http.MethodGet, "/v1/models", "").StatusCode)
	},
	"LLM_PROXY_SQLITE_SYNC": func(t *testing.T) { // what it does to the disk is tested in package sqlite
		require.False(t, parsed(t, "LLM_PROXY_SQLITE_SYNC", "").sqlite(nil).FullSync)
		require.False(t, parsed(t, "LLM_PROXY_SQLITE_SYNC", "normal").sqlite(nil).FullSync)
		require.True(t, parsed(t, "LLM_PROXY_SQLITE_SYNC", "full").sqlite(nil).FullSync)
	},
	"LLM_PROXY_SPOOL_SYNC": func(t *testing.T) { // likewise, in package spool
		require.Equal(t, spool.DefaultSync, parsed(t, "LLM_PROXY_SPOOL_SYNC", "").spool(nil).Sync)
		require.Equal(t, spool.SyncAlways, parsed(t, "LLM_PROXY_SPOOL_SYNC", "always").spool(nil).Sync)
		require.Equal(t, spool.SyncMode(time.Second), parsed(t, "LLM_PROXY_SPOOL_SYNC", "1s").spool(nil).Sync)
	},
	"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
		for level, logs := range map[string]bool{"": true, "info": true, "warn": false} {
			s := start(t, map[string]string{"LLM_PROXY_LOG_LEVEL": level})
			require.Equal(t, logs, strings.Contains(s.log.String(), `"msg":"serving"`), level)
		}
	},
	"LLM_PROXY_LOG_FILE": func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "llm-proxy.log")
		s := start(t, map[string]string{"LLM_PROXY_LOG_FILE": file})
		logged, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(logged), `"msg":"serving"`)
		require.Empty(t, s.log.String())
	},
	"LLM_PROXY_PID_FILE": func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "server.pid")
		start(t, map[string]string{"LLM_PROXY_PID_FILE": file})
		running, err := findServer(file)
		require.NoError(t, err)
		require.Equal(t, os.Getpid(), running.PID)
	},
	"LLM_PROXY_SHUTDOWN_TIMEOUT": func(t *testing.T) { // that it is kept is TestAStopCutsWhatRunsBeyondTheLimit
		s := start(t, map[string]string{"LLM_PROXY_SHUTDOWN_TIMEOUT": "1500ms"})
		running, err := findServer(s.settings.PIDFile)
		require.NoError(t, err)
		require.Equal(t, 1500*time.Millisecond, running.shutdown())
		s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=5,hang-after=1")
		began := time.Now()
		require.NoError(t, s.end())
		require.GreaterOrEqual(t, time.Since(began), 1500*time.Millisecond)
	},
	"LLM_PROXY_STORE": func(t *testing.T) {
		a := newAccount(t).withTables()
		s := a.server(nil)
		s.token = s.mint()
		require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
		require.Equal(t, []string{"Bearer " + fakeProviderKey}, a.upstream.Requests()[0].Header["Authorization"])
		projects, _, err := a.tables(nil).Projects(t.Context(), llmproxy.ProjectFilter{}, llmproxy.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, projects, 1)
		for _, name := range []string{"llm-proxy.db", "keys.json", "spool"} {
			require.NoFileExists(t, filepath.Join(s.settings.DataDir, name))
		}
		require.Contains(t, get(t, s.url+"/health", http.StatusOK), `"status":"ok"`)
		_, err = parseSettings(map[string]string{"LLM_PROXY_STORE": "redis"})
		require.ErrorContains(t, err, "neither sqlite nor dynamodb")
	},
	"LLM_PROXY_TOKENS_TABLE": func(t *testing.T) {
		a := newAccount(t).withTables()
		other := map[string]string{"LLM_PROXY_TOKENS_TABLE": "other-tokens"}
		a.tables(other)
		_, token := a.mint(a.service(), 9)
		for status, s := range map[int]*testServer{http.StatusOK: a.server(nil), http.StatusUnauthorized: a.server(other)} {
			s.token = token
			require.Equal(t, status, s.send(http.MethodGet, "/v1/models", "").StatusCode)
		}
	},
	"LLM_PROXY_CONTROL_TABLE": func(t *testing.T) {
		a := newAccount(t).withTables()
		other := map[string]string{"LLM_PROXY_CONTROL_TABLE": "other-control"}
		store := a.tables(other)
		status, project := a.server(other).manage("projects", `{"name":"Team","api_key":"`+fakeProviderKey+`"}`)
		require.Equal(t, http.StatusCreated, status, project.Raw)
		projects, _, err := store.Projects(t.Context(), llmproxy.ProjectFilter{}, llmproxy.Page{Limit: 10})
		require.NoError(t, err)
		require.Len(t, projects, 1)
	},
	"LLM_PROXY_SEALING_SECRET": func(t *testing.T) {
		a := newAccount(t).withTables()
		_, token := a.mint(a.service(), 9)
		for name, status := range map[string]int{"stack-sealing": http.StatusOK, "other-sealing": http.StatusServiceUnavailable, "no-sealing": http.StatusServiceUnavailable} {
			s := a.server(map[string]string{"LLM_PROXY_SEALING_SECRET": name})
			s.token = token
			require.Equal(t, status, s.send(http.MethodGet, "/v1/models", "").StatusCode, name)
		}
		status, problem := a.server(map[string]string{"LLM_PROXY_SEALING_SECRET": "no-sealing"}).manage("projects", `{"name":"Team","api_key":"`+fakeProviderKey+`"}`)
		require.Equal(t, http.StatusServiceUnavailable, status, problem.Raw)
	},
	"LLM_PROXY_KEYS_PREFIX": func(t *testing.T) {
		a := newAccount(t).withTables()
		const referring = `{"name":"Team","api_key_ref":"stack/keys/openai"}`
		s := a.server(nil)
		status, project := s.manage("projects", referring)
		require.Equal(t, http.StatusCreated, status, project.Raw)
		_, token := s.manage("tokens", `{"project_id":"`+project.Get("project_id").Str+`","duration_minutes":60}`)
		s.token = token.Get("token").Str
		require.Equal(t, http.StatusOK, s.send(http.MethodGet, "/v1/models", "").StatusCode)
		require.Equal(t, []string{"Bearer " + fakeProviderKey}, a.upstream.Requests()[0].Header["Authorization"])
		for _, prefix := range []string{"", "other/keys/"} {
			status, problem := a.server(map[string]string{"LLM_PROXY_KEYS_PREFIX": prefix}).manage("projects", referring)
			require.Equal(t, http.StatusBadRequest, status, problem.Raw)
		}
	},
	"LLM_PROXY_LEDGER_TABLE": testLedgerTable,
	"LLM_PROXY_BUS": func(t *testing.T) {
		a := newAccount(t)
		s := a.server(nil)
		s.token = s.mint()
		_, event := a.published(standin.Bus, eventID(s.send(http.MethodGet, "/v1/models", "")))
		require.Equal(t, "complete", event.Get("outcome").Str)
		require.NoFileExists(t, filepath.Join(s.settings.DataDir, "spool"))
		_, err := parseSettings(map[string]string{"LLM_PROXY_BUS": "kafka"})
		require.ErrorContains(t, err, "neither spool nor eventbridge")
	},
	"LLM_PROXY_EVENT_BUS": func(t *testing.T) {
		a := newAccount(t)
		s := a.server(map[string]string{"LLM_PROXY_EVENT_BUS": "other-bus"})
		s.token = s.mint()
		bus, _ := a.published(standin.Bus, eventID(s.send(http.MethodGet, "/v1/models", "")))
		require.Equal(t, "other-bus", bus)
	},
	"LLM_PROXY_SPILL_QUEUE": func(t *testing.T) {
		a := newAccount(t)
		a.Make(standin.Illness{Bus: true})
		s := a.server(nil)
		s.token = s.mint()
		queue, _ := a.published(standin.Queue, eventID(s.send(http.MethodGet, "/v1/models", "")))
		require.Equal(t, a.env["LLM_PROXY_SPILL_QUEUE"], queue)
	},
	"LLM_PROXY_EVENT_BUCKET": func(t *testing.T) {
		a := newAccount(t)
		s := a.server(map[string]string{"LLM_PROXY_EVENT_BUCKET": "other-bodies"})
		s.token = s.mint()
		res := s.send(http.MethodPost, "/v1/chat/completions", chat, "X-Demo: events=3000")
		_, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		_, event := a.published(standin.Bus, eventID(res))
		key := event.Get("response.body.s3").Str
		require.NotEmpty(t, key, event.Raw)
		require.Contains(t, string(a.Objects()["other-bodies/"+key]), "chat.completion.chunk")
	},
	"LLM_PROXY_DESTINATIONS": testDestinationsOfAStack,
	"MANAGEMENT_TOKEN": func(t *testing.T) {
		s := startPlain(t, map[string]string{"MANAGEMENT_TOKEN": "fake-management-token-of-32-chars-other"})
		require.Equal(t, "fake-management-token-of-32-chars-other", openedParts(t, s).operators.token.Reveal())
		_, err := tryStart(t, map[string]string{"MANAGEMENT_TOKEN": "short"})
		require.ErrorContains(t, err, "MANAGEMENT_TOKEN has 5 characters")
	},
	"LLM_PROXY_MANAGEMENT_TOKEN_FILE": func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(file, []byte("fake-management-token-in-a-file-32\n"), 0o600))
		s := startPlain(t, map[string]string{"LLM_PROXY_MANAGEMENT_TOKEN_FILE": file, "MANAGEMENT_TOKEN": ""})
		require.Equal(t, "fake-management-token-in-a-file-32", openedParts(t, s).operators.token.Reveal())
		_, err := tryStart(t, map[string]string{"LLM_PROXY_MANAGEMENT_TOKEN_FILE": file + "-missing", "MANAGEMENT_TOKEN": ""})
		require.ErrorContains(t, err, "--management-token-file (LLM_PROXY_MANAGEMENT_TOKEN_FILE)")
		_, err = parseSettings(map[string]string{"LLM_PROXY_MANAGEMENT_TOKEN_FILE": file, "MANAGEMENT_TOKEN": "x"})
		require.ErrorContains(t, err, "give one of them")
	},
	"ADMIN_USER": func(t *testing.T) {
		usual := startPlain(t, nil)
		require.Equal(t, http.StatusNoContent, usual.signIn("admin", "fake-password").StatusCode)
		require.Equal(t, http.StatusUnauthorized, usual.signIn("root", "fake-password").StatusCode)
		other := startPlain(t, map[string]string{"ADMIN_USER": "root"})
		require.Equal(t, http.StatusNoContent, other.signIn("root", "fake-password").StatusCode)
		require.Equal(t, http.StatusUnauthorized, other.signIn("admin", "fake-password").StatusCode)
		_, err := parseSettings(map[string]string{"ADMIN_USER": "a:b"})
		require.ErrorContains(t, err, "ADMIN_USER: must not have a colon")
	},
	"ADMIN_PASSWORD": func(t *testing.T) {
		s := startPlain(t, map[string]string{"ADMIN_PASSWORD": "fake-other-password"})
		require.Equal(t, http.StatusNoContent, s.signIn("admin", "fake-other-password").StatusCode)
		require.Equal(t, http.StatusUnauthorized, s.signIn("admin", "fake-password").StatusCode)
		_, err := tryStart(t, map[string]string{"ADMIN_PASSWORD": "short"})
		require.ErrorContains(t, err, "ADMIN_PASSWORD has 5 characters")
	},
}

func TestEachSettingChangesSomething(t *testing.T) {
	known := map[string]bool{}
	for field := range reflect.TypeFor[settings]().Fields() {
		name := field.Tag.Get("env")
		if name == "" {
			continue
		}
		known[name] = true
		t.Run(name, func(t *testing.T) {
			effect := settingEffects[name]
			require.NotNil(t, effect, "%s has no row in settingEffects: what does it change?", name)
			effect(t)
		})
	}
	for name := range settingEffects {
		require.True(t, known[name], "%s is no setting", name)
	}
}

func TestAFlagWinsOverTheEnvironmentAndThatOverTheDefault(t *testing.T) {
	read := func(args ...string) settings {
		cmd := newServerCommand()
		require.NoError(t, cmd.ParseFlags(args))
		s, err := loadSettings(cmd)
		require.NoError(t, err)
		return s
	}
	t.Setenv("LLM_PROXY_ADDR", "")
	require.Equal(t, "127.0.0.1:8080", read().Addr, "what is empty is not set")
	t.Setenv("LLM_PROXY_ADDR", "127.0.0.1:8081")
	require.Equal(t, "127.0.0.1:8081", read().Addr)
	require.Equal(t, "127.0.0.1:8082", read("--addr", "127.0.0.1:8082").Addr)
}

func TestTheDataFolderIsTheUsersUnlessToldOtherwise(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/somewhere")
	s, err := parseSettings(nil)
	require.NoError(t, err)
	require.Equal(t, "/somewhere/llm-proxy", s.DataDir)
	require.Equal(t, "/somewhere/llm-proxy/llm-proxy.db", s.DB)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/someone")
	s, err = parseSettings(nil)
	require.NoError(t, err)
	require.Equal(t, "/home/someone/.local/share/llm-proxy", s.DataDir)
}

func testTLS(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	require.NoError(t, writeCertificate(dir))
	require.NoError(t, writeCertificate(other))
	env := map[string]string{"LLM_PROXY_TLS_CERT": filepath.Join(dir, "cert.pem"), "LLM_PROXY_TLS_KEY": filepath.Join(dir, "key.pem")}
	s := start(t, env)
	require.True(t, strings.HasPrefix(s.url, "https://"), s.url)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(chat))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "llm.example.com", res.TLS.PeerCertificates[0].Subject.CommonName)
	out, code := runProgram(t, s, "server", "health")
	require.Zero(t, code, out)

	env["LLM_PROXY_TLS_KEY"] = filepath.Join(other, "key.pem")
	_, err = tryStart(t, env)
	require.ErrorContains(t, err, "private key does not match public key")
	delete(env, "LLM_PROXY_TLS_KEY")
	_, err = parseSettings(env)
	require.ErrorContains(t, err, "give both or neither")
}

// freeAddr is a loopback address that nobody listened on a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l := httptest.NewServer(http.NotFoundHandler())
	defer l.Close()
	return strings.TrimPrefix(l.URL, "http://")
}

func parsed(t *testing.T, name, value string) *settings {
	t.Helper()
	s, err := parseSettings(map[string]string{name: value})
	require.NoError(t, err)
	return &s
}

// plain are the settings of a server without the demo.
func plain(t *testing.T, more map[string]string) map[string]string {
	t.Helper()
	env := environment(t, map[string]string{"MANAGEMENT_TOKEN": "fake-management-token-of-32-chars", "ADMIN_PASSWORD": "fake-password"})
	for name, value := range more {
		env[name] = value
	}
	return env
}

// startPlain starts a server without the demo. Its token is well-formed and unknown.
func startPlain(t *testing.T, more map[string]string) *testServer {
	t.Helper()
	s := startWith(t, plain(t, more), false)
	s.token = llmproxy.NewTokenSecret(llmproxy.NewTokenID(time.Now())).Reveal()
	return s
}

// tryStart starts a server that is not to come up, and returns its error.
func tryStart(t *testing.T, more map[string]string) (string, error) {
	t.Helper()
	s, err := parseSettings(plain(t, more))
	require.NoError(t, err)
	var printed string
	err = serve(t.Context(), &s, false, func(text string) error { printed = text; return nil }, &lockedBuffer{})
	require.Error(t, err, "the server came up")
	require.Empty(t, printed, "nothing is printed by a server that does not serve")
	return printed, err
}

// openedParts are what a server with these settings consists of, made anew.
func openedParts(t *testing.T, s *testServer) *parts {
	t.Helper()
	require.NoError(t, s.end())
	closers := &closers{}
	p, err := openParts(context.Background(), &s.settings, false, zap.NewNop(), closers)
	require.NoError(t, err)
	require.NoError(t, closers.close())
	return p
}
