package faulttest

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

// sliceLen is the length of a piece of a secret that must not be found anywhere.
const sliceLen = 8

// gate knows every piece of every secret, and by whose name it goes.
type gate struct{ pieces map[string]string }

// guard adds a secret. The prefix that all tokens have is no secret.
func (g *gate) guard(name, secret string) {
	if g.pieces == nil {
		g.pieces = map[string]string{}
	}
	for i := range len(secret) - sliceLen + 1 {
		if piece := secret[i : i+sliceLen]; piece != llmproxy.SecretPrefix {
			g.pieces[piece] = name
		}
	}
}

// guardToken adds a token: as it is written, and the bytes of its random part, which no table may hold either.
func (g *gate) guardToken(name, secret string) {
	g.guard(name, secret)
	bytes, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, llmproxy.SecretPrefix))
	if err != nil || len(bytes) != 36 {
		panic("no token: " + name)
	}
	g.guard(name+", as bytes", string(bytes[16:32])) // before them is its public id, after them the checksum
}

// found names the secrets of which a piece stands in content.
func (g *gate) found(content string) map[string]string {
	names := map[string]string{}
	for i := range len(content) - sliceLen + 1 {
		if name, ok := g.pieces[content[i:i+sliceLen]]; ok && names[name] == "" {
			names[name] = content[max(0, i-60):min(len(content), i+sliceLen+60)]
		}
	}
	return names
}

func TestTheGateFindsAPieceOfASecret(t *testing.T) {
	var g gate
	g.guard("token", "sk-llmp-ABCDEFGHIJ")
	for content, want := range map[string]int{"": 0, "sk-llmp-": 0, "... sk-llmp-ABCDEFGHIJ": 1, "xBCDEFGHx": 0, "xBCDEFGHIx": 1, "k-llmp-A": 1} {
		require.Len(t, g.found(content), want, content)
	}
}

// random is a secret that occurs nowhere else.
func random() string {
	b := make([]byte, 30)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// TestNoSecretIsFoundAnywhere sends whatever can go well and wrong through a server that logs all it can, with a secret of its own in
// every slot, and then looks for each 8 characters of each secret in everything that was written or answered. They may stand in the
// file of mode 0600 and in the one answer that shows a new token.
func TestNoSecretIsFoundAnywhere(t *testing.T) {
	var g gate
	secrets := map[string]string{}
	secret := func(name string) string {
		if secrets[name] == "" {
			secrets[name] = random()
			g.guard(name, secrets[name])
		}
		return secrets[name]
	}
	logFile := filepath.Join(t.TempDir(), "llm-proxy.log")
	h := newHouse(t, map[string]string{
		"LLM_PROXY_LOG_LEVEL": "debug", "LLM_PROXY_LOG_FILE": logFile,
		"MANAGEMENT_TOKEN": secret("management token"), "ADMIN_PASSWORD": secret("admin password"),
	})
	h.upstream.mux.Handle("/", demo.New())
	guardKeyFile(t, h, &g)
	g.guard("provider key", h.providerKey)
	g.guardToken("first token", h.secret)
	eventLog := filepath.Join(h.data, "events.jsonl")
	s := h.start("--file-event-log", eventLog)

	var answers strings.Builder
	send := func(method, path, token, body string, headers ...string) answer {
		a := h.send(method, s.url+path, token, body, headers...)
		fmt.Fprintf(&answers, "%d %v %s %v\n", a.status, a.header, a.body, a.err)
		return a
	}
	mint := func(name string, project llmproxy.ProjectID) (llmproxy.TokenID, string) {
		token, made, err := h.service.MintToken(t.Context(), operator, manage.NewToken{ProjectID: project, Name: name, DurationMinutes: 60})
		require.NoError(t, err)
		g.guardToken(name, made.Reveal())
		return token.ID, made.Reveal()
	}
	makeProject := func(name, provider string, capture llmproxy.Capture) llmproxy.ProjectID {
		p, err := h.service.CreateProject(t.Context(), operator, manage.NewProject{
			Name: name, Provider: provider, APIKey: llmproxy.NewSecret(secret("key of " + name)), Capture: capture,
			Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored},
		})
		require.NoError(t, err)
		return p.ID
	}

	// What goes well, with credentials where they do not belong.
	strange := []string{
		"Cookie: session=" + secret("cookie"), "Proxy-Authorization: Basic " + secret("proxy authorization"), "Api-Key: " + secret("api-key"),
		"X-Api-Key: " + secret("x-api-key"), "X-Goog-Api-Key: " + secret("x-goog-api-key"), "X-Forwarded-For: " + secret("forwarded"),
	}
	chatBody := func(more string) string {
		return `{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]` + more + `}`
	}
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/v1/chat/completions", h.secret, chatBody(""), strange...).status)
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/v1/chat/completions", h.secret, chatBody(`,"stream":true`), strange...).status)
	require.Equal(t, http.StatusOK, send(http.MethodGet, "/v1/models", h.secret, "", strange...).status)

	// The provider quotes the key, fails, or does not speak HTTP.
	for _, behaviour := range []string{
		"quote-key", "quote-key=masked", "quote-key,status=400", "quote-key,status=500", "quote-key,status=403,gzip", "garbage", "close-before-head",
		"status=500", "status=429,retry-after=1", "redirect=https://elsewhere.example.com/", "lie-content-length", "big-head", "cut-after=1",
	} {
		for _, body := range []string{chatBody(""), chatBody(`,"stream":true`)} {
			send(http.MethodPost, "/v1/chat/completions", h.secret, body, "X-Demo: "+behaviour)
		}
	}

	// Requests that are refused, with the secret in each place where somebody might put it.
	unknown := llmproxy.NewTokenSecret(llmproxy.NewTokenID(time.Now())).Reveal()
	g.guardToken("unknown token", unknown)
	spare, spareSecret := mint("misplaced token", h.project)
	send(http.MethodGet, "/v1/models", unknown, "")
	send(http.MethodGet, "/v1/models", secret("no token"), "")
	send(http.MethodGet, "/v1/models", "", "", "Authorization: Basic "+secret("basic"))
	send(http.MethodGet, "/v1/models", "", "", "Authorization: Bearer "+spareSecret, "Authorization: Bearer "+secret("second"))
	for _, name := range []string{"api_key", "key", "token", "access_token"} {
		send(http.MethodGet, "/v1/models?"+name+"="+url.QueryEscape(spareSecret), h.secret, "")
		send(http.MethodGet, "/v1/models?"+name+"="+secret("query "+name), "", "")
	}
	for _, path := range []string{"/v1/models/" + spareSecret, "/" + spareSecret + "/v1/models", "/v1/" + spareSecret, "/v1/%73" + spareSecret[1:], "/v1/models/x?q=" + spareSecret} {
		a := send(http.MethodGet, path, h.secret, "")
		require.Equal(t, http.StatusBadRequest, a.status, a.body)
	}
	send(http.MethodGet, "/v1/models", h.secret, "", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Protocol: openai-insecure-api-key."+spareSecret)

	// A provider that is not there, a project that keeps no bodies, tokens and keys that change.
	_, goneToken := mint("token of the provider that is gone", makeProject("Gone", "gone", ""))
	require.Equal(t, http.StatusBadGateway, send(http.MethodPost, "/gone/v1/chat/completions", goneToken, chatBody("")).status)
	_, quietToken := mint("token of the quiet project", makeProject("Quiet", "openai", llmproxy.CaptureMetadata))
	prompt := secret("prompt of the quiet project")
	require.Equal(t, http.StatusOK, h.send(http.MethodPost, s.url+"/v1/chat/completions", quietToken, strings.Replace(chatBody(""), "Hello", prompt, 1)).status) // its caller sees its echo
	h.send(http.MethodPost, s.url+"/v1/chat/completions", quietToken, strings.Replace(chatBody(`,"stream":true`), "Hello", prompt, 1), "X-Demo: cut-after=2")
	_, rotated, err := h.service.RotateToken(t.Context(), operator, spare, time.Hour)
	require.NoError(t, err)
	g.guardToken("rotated token", rotated.Reveal())
	send(http.MethodGet, "/v1/models", rotated.Reveal(), "")
	send(http.MethodGet, "/v1/models", spareSecret, "")
	newKey := llmproxy.NewSecret(secret("new provider key"))
	_, err = h.service.UpdateProject(t.Context(), operator, h.project, manage.ProjectPatch{APIKey: &newKey})
	require.NoError(t, err)
	send(http.MethodPost, "/v1/chat/completions", h.secret, chatBody(""), "X-Demo: quote-key")
	require.NoError(t, h.service.RevokeTokens(t.Context(), operator, spare))
	send(http.MethodGet, "/v1/models", rotated.Reveal(), "")

	// The door that is not the provider's.
	for _, path := range []string{"/health", "/health/live", "/health/ready", "/manage/tokens", "/admin/", "/metrics"} {
		send(http.MethodGet, path, secrets["management token"], "", strange...)
	}
	for _, path := range []string{"/metrics", "/health"} {
		answers.WriteString(h.send(http.MethodGet, s.metrics+path, secrets["management token"], "").body)
	}
	health := h.command("server", "health")
	said, err := health.CombinedOutput()
	require.NoError(t, err, "%s", said)
	answers.Write(said)
	pid, err := os.ReadFile(filepath.Join(h.data, "llm-proxy.pid"))
	require.NoError(t, err)
	answers.Write(pid)
	s.stop()

	// Now look.
	sinks := map[string]string{"answers": answers.String(), "standard output": s.stdout, "standard error": s.stderr.String(), "tables": tables(t, h.db)}
	require.NoError(t, filepath.WalkDir(h.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Base(path) == "keys.json" {
			return err
		}
		data, err := os.ReadFile(path)
		sinks[path] = string(data)
		return err
	}))
	logged, err := os.ReadFile(logFile)
	require.NoError(t, err)
	sinks["log"] = string(logged)
	requireSinksAreReal(t, sinks, eventLog)
	for name, content := range sinks {
		for secret, place := range g.found(content) {
			t.Errorf("%s holds a piece of the %s: %q", name, secret, place)
		}
	}
}

// requireSinksAreReal checks that there was something to look through, and that what belongs there is found by looking.
func requireSinksAreReal(t *testing.T, sinks map[string]string, eventLog string) {
	t.Helper()
	require.Greater(t, strings.Count(sinks[eventLog], "\n"), 30)
	require.Greater(t, strings.Count(sinks["log"], "\n"), 10)
	require.Contains(t, sinks["log"], "refused a stranger")
	require.Contains(t, sinks["tables"], "project.create")
	require.Contains(t, sinks["answers"], "upstream_auth")
	var spooled bool
	for name := range sinks {
		spooled = spooled || strings.Contains(name, "/spool/") && strings.Contains(sinks[name], "gpt-4o")
	}
	require.True(t, spooled, "the spool was looked through")
}

// guardKeyFile guards the installation's own secrets.
func guardKeyFile(t *testing.T, h *house, g *gate) {
	t.Helper()
	path := filepath.Join(h.data, "keys.json")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var keys map[string]string
	require.NoError(t, json.Unmarshal(data, &keys))
	for name, value := range keys {
		g.guard(name+" in the key file", value)
	}
	require.GreaterOrEqual(t, len(keys), 3)
}

// tables is the text of every row of every table.
func tables(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer db.Close()
	names, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table'")
	require.NoError(t, err)
	var all []string
	for names.Next() {
		var name string
		require.NoError(t, names.Scan(&name))
		all = append(all, name)
	}
	require.NoError(t, names.Err())
	require.NoError(t, names.Close())
	var text strings.Builder
	for _, name := range all {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+name)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				to[i] = &row[i]
			}
			require.NoError(t, rows.Scan(to...))
			for i, value := range row {
				if blob, ok := value.([]byte); ok {
					value = string(blob)
				}
				fmt.Fprintf(&text, "%s.%s = %v\n", name, columns[i], value)
			}
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
	}
	return text.String()
}
