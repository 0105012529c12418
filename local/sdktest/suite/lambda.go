package suite

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/lambdahost"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

// engine is DynamoDB Local, for all worlds of a package. It ends with this process.
var engine = sync.OnceValues(func() (*dynamolocal.Server, error) { return dynamolocal.Start(context.Background()) })

// worlds counts those that have tables in the engine.
var worlds int

// newLambdaWorld builds the function and starts everything that it needs, with DynamoDB Local as its store; the end of the test ends it.
func newLambdaWorld(t *testing.T) *world {
	t.Helper()
	db, err := engine()
	if err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", err)
	}
	w := startProviders(t)
	w.lambda, w.fileBytes = true, 4_400_000 // as base64 with what is around it, just under 6 MB

	dir := t.TempDir()
	bootstrap := filepath.Join(dir, "bootstrap")
	//nolint:gosec // a path in the test's own folder
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", bootstrap, "github.com/sofatutor/llm-proxy/functions/proxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "build the function: %s", out)
	upstreams := filepath.Join(dir, "providers.yaml")
	require.NoError(t, os.WriteFile(upstreams, fmt.Appendf(nil, providers, w.up.URL, w.held.URL), 0o600))

	sealing := seal.NewSecret()
	account := &cloud.Cloud{Secrets: map[string]string{"sealing": sealing.Reveal()}}
	aws := httptest.NewServer(account)
	t.Cleanup(aws.Close)
	worlds++
	tables := dynamo.Config{Tokens: fmt.Sprint("tokens-", worlds), Control: fmt.Sprint("control-", worlds)}
	store := dynamo.New(db.Config(), tables)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	require.NoError(t, store.CreateTables(t.Context()))
	w.mintAll(t, store, sealing)

	log := &output{}
	host, err := lambdahost.New(lambdahost.Config{
		Bootstrap: bootstrap, Init: patience, Log: log,
		Env: map[string]string{
			"AWS_ENDPOINT_URL": aws.URL, "AWS_ENDPOINT_URL_DYNAMODB": db.URL, "GOMAXPROCS": "1", "LLM_PROXY_PROVIDERS": upstreams,
			"LLM_PROXY_TOKENS_TABLE": tables.Tokens, "LLM_PROXY_CONTROL_TABLE": tables.Control, "LLM_PROXY_SEALING_SECRET": "sealing", "LLM_PROXY_KEYS_PREFIX": "keys/",
			"LLM_PROXY_EVENT_BUS": "bus", "LLM_PROXY_SPILL_QUEUE": aws.URL + "/spill", "LLM_PROXY_EVENT_BUCKET": "bodies",
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, host.Close())
		if t.Failed() {
			t.Logf("the function's log:\n%s", log)
		}
	})
	door := httptest.NewServer(host.FunctionURL())
	t.Cleanup(door.Close)
	w.url = door.URL
	w.count = func(_ *testing.T, label string) counts { return countInEvents(account, log, label) }
	return w
}

// mintAll makes the projects and tokens that the other world makes with setup.
func (w *world) mintAll(t *testing.T, store *dynamo.Store, sealing llmproxy.Secret) {
	t.Helper()
	public, err := seal.PublicKey(sealing)
	require.NoError(t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(t, err)
	service := manage.New(manage.Config{Store: store, Sealer: sealer, Providers: []string{"demo", "capped", "held", "anthropic", "dead"}, Default: "demo"})
	actor := llmproxy.Actor{Name: "test"}
	mint := func(name, provider string, most int64, groups ...llmproxy.EndpointGroup) string {
		project, err := service.CreateProject(t.Context(), actor, manage.NewProject{Name: name, Provider: provider, APIKey: llmproxy.NewSecret(providerKey), Endpoints: groups})
		require.NoError(t, err)
		in := manage.NewToken{ProjectID: project.ID, DurationMinutes: 60}
		if most > 0 {
			in.MaxRequests = &manage.Limit{N: most}
		}
		_, secret, err := service.MintToken(t.Context(), actor, in)
		require.NoError(t, err)
		return secret.Reveal()
	}
	w.token = mint("All", "", 0, llmproxy.GroupInference, llmproxy.GroupStored)
	w.narrow = mint("Narrow", "", 0)
	w.capped = mint("Capped", "capped", 1)
	w.heldTo = mint("Held", "held", 0)
	w.deadTo = mint("Dead", "dead", 0)
	w.claude = mint("Claude", "anthropic", 0)
}

// countInEvents counts the requests whose event or, for strangers, line in the log bears a label such as code="token_exhausted".
func countInEvents(account *cloud.Cloud, log *output, label string) (c counts) {
	name, value, _ := strings.Cut(label, "=")
	value = strings.Trim(value, `"`)
	for _, r := range account.Records(cloud.Bus) {
		if gjson.GetBytes(r.JSON, name).Str == value {
			c.ended++
		}
	}
	for line := range strings.SplitSeq(log.String(), "\n") {
		if l := gjson.Parse(line); l.Get("msg").Str == "refused a stranger" && l.Get(name).Str == value {
			c.ended++
		}
	}
	return c
}

// tooLarge: a body over 6 MB never reaches the function; the SDK reports the platform's status and tries once.
func tooLarge(t *testing.T, w *world, c *Client) {
	before := len(w.up.Requests())
	path, _ := randomFile(t, 5<<20, "lines.jsonl")
	e := c.fails(t, Order{Do: "upload", File: path})
	assert.Equal(t, http.StatusRequestEntityTooLarge, e.Status, "%+v", e)
	assert.Empty(t, since(w.up, before))
}

// webSocket: a function URL has none, and says so in the provider's own shape of errors.
func webSocket(t *testing.T, w *world) {
	to, err := url.Parse(w.url)
	require.NoError(t, err)
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", to.Host)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "GET /v1/models HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", to.Host, w.token)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, http.StatusUpgradeRequired, res.StatusCode)
}
