package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
)

const fakePassword = "fake-password-1234"

// silent stores no refusals.
type silent struct{}

func (silent) Add(context.Context, llmproxy.Actor, string, string) {}

// signedIn signs in and returns the cookie.
func signedIn(t *testing.T, store *dynamo.Store) string {
	t.Helper()
	defer func() { require.NoError(t, store.Close()) }()
	door, err := admin.New(admin.Config{Store: store, Refusals: silent{}, User: "admin", Password: llmproxy.NewSecret(fakePassword)})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/admin/api/session", nil)
	r.SetBasicAuth("admin", fakePassword)
	w := httptest.NewRecorder()
	door.ServeHTTP(w, r)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return cookie
}

func TestEachSettingChangesSomething(t *testing.T) {
	engine, err := dynamolocal.Start(t.Context())
	if err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	secret := seal.NewSecret()
	public, err := seal.PublicKey(secret)
	require.NoError(t, err)
	for _, name := range []string{"usual", "other"} {
		store := dynamo.New(engine.Config(), dynamo.Config{Tokens: name + "-tokens", Control: name + "-control", ChangeBudget: time.Minute})
		require.NoError(t, store.CreateTables(t.Context()))
		require.NoError(t, store.Close())
	}
	aws := effects.Listen(t)
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engine.URL)
	// ask sends a request to the function with settings that differ from the usual.
	ask := func(t *testing.T, method, path, body string, change ...string) *httptest.ResponseRecorder {
		t.Helper()
		h, _, err := join(append([]string{
			"LLM_PROXY_TOKENS_TABLE=usual-tokens", "LLM_PROXY_CONTROL_TABLE=usual-control", "LLM_PROXY_SEALING_PUBLIC_KEY=" + public, "LLM_PROXY_KEYS_PREFIX=usual/",
			"LLM_PROXY_EVENT_BUS=usual-bus", "MANAGEMENT_TOKEN=" + fakeToken,
		}, change...))
		require.NoError(t, err)
		defer h.Close()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+fakeToken)
		r.Header.Set("Content-Type", "application/json")
		h.ServeHTTP(w, r)
		return w
	}
	project := func(t *testing.T, change ...string) string {
		t.Helper()
		w := ask(t, "POST", "/manage/projects", `{"name":"effects","api_key":"sk-fake-effects-effects-effects"}`, change...)
		require.Equal(t, http.StatusCreated, w.Code, w.Body)
		return gjson.Get(w.Body.String(), "project_id").Str
	}
	mint := func(t *testing.T, project string, change ...string) *httptest.ResponseRecorder {
		return ask(t, "POST", "/manage/tokens", fmt.Sprintf(`{"project_id":%q,"duration_minutes":5}`, project), change...)
	}
	id := project(t)
	cookie := signedIn(t, dynamo.New(engine.Config(), dynamo.Config{Control: "usual-control", ChangeBudget: time.Minute}))
	// browse asks for projects as a page does, of that origin, and returns the status.
	browse := func(t *testing.T, method, body, origin string, change ...string) int {
		t.Helper()
		h, _, err := join(append([]string{
			"LLM_PROXY_TOKENS_TABLE=usual-tokens", "LLM_PROXY_CONTROL_TABLE=usual-control", "LLM_PROXY_SEALING_PUBLIC_KEY=" + public, "LLM_PROXY_KEYS_PREFIX=usual/",
			"LLM_PROXY_EVENT_BUS=usual-bus", "MANAGEMENT_TOKEN=" + fakeToken,
		}, change...))
		require.NoError(t, err)
		defer h.Close()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/manage/projects", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Cookie", cookie)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		h.ServeHTTP(w, r)
		return w.Code
	}
	file := filepath.Join(t.TempDir(), "providers.yaml")
	require.NoError(t, os.WriteFile(file, []byte("default: somebody\nproviders:\n  somebody: {preset: openai}\n"), 0o600))

	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_TOKENS_TABLE": func(t *testing.T) {
			minted := mint(t, id)
			require.Equal(t, http.StatusCreated, minted.Code, minted.Body)
			path := "/manage/tokens/" + gjson.Get(minted.Body.String(), "id").Str
			require.Equal(t, http.StatusOK, ask(t, "GET", path, "").Code)
			require.Equal(t, http.StatusNotFound, ask(t, "GET", path, "", "LLM_PROXY_TOKENS_TABLE=other-tokens").Code)
		},
		"LLM_PROXY_CONTROL_TABLE": func(t *testing.T) {
			require.Equal(t, http.StatusOK, ask(t, "GET", "/manage/projects/"+id, "").Code)
			require.Equal(t, http.StatusNotFound, ask(t, "GET", "/manage/projects/"+id, "", "LLM_PROXY_CONTROL_TABLE=other-control").Code)
		},
		"LLM_PROXY_LEDGER_TABLE": func(t *testing.T) {
			require.Equal(t, http.StatusNotFound, ask(t, "GET", "/manage/usage", "").Code, "there is none")
			now := time.Now()
			e := &llmproxy.Event{ID: llmproxy.NewEventID(now), Time: now, Method: "GET", Path: "/v1/models", Status: 200, Outcome: llmproxy.Complete}
			for table, want := range map[string]int64{"usual-ledger": 1, "other-ledger": 0} {
				ledger := dynamo.NewLedger(engine.Config(), dynamo.LedgerConfig{Table: table})
				require.NoError(t, ledger.CreateTable(t.Context()))
				if want > 0 {
					require.NoError(t, ledger.Record(t.Context(), []*llmproxy.Event{e}))
				}
				require.NoError(t, ledger.Close())
				usage := ask(t, "GET", "/manage/usage?group_by=model", "", "LLM_PROXY_LEDGER_TABLE="+table)
				require.Equal(t, http.StatusOK, usage.Code, usage.Body)
				require.Equal(t, want, gjson.Get(usage.Body.String(), "total.requests").Int(), usage.Body)
				listed := ask(t, "GET", "/manage/requests", "", "LLM_PROXY_LEDGER_TABLE="+table)
				require.Equal(t, want, gjson.Get(listed.Body.String(), "#").Int(), listed.Body)
			}
		},
		"LLM_PROXY_SEALING_PUBLIC_KEY": func(t *testing.T) {
			other, err := seal.PublicKey(seal.NewSecret())
			require.NoError(t, err)
			for key, opens := range map[string]bool{public: true, other: false} {
				store := dynamo.New(engine.Config(), dynamo.Config{Tokens: "usual-tokens", Control: "usual-control", ChangeBudget: time.Minute})
				stored, err := llmproxy.ParseUUID(project(t, "LLM_PROXY_SEALING_PUBLIC_KEY="+key))
				require.NoError(t, err)
				p, err := store.Project(t.Context(), llmproxy.ProjectID{UUID: stored})
				require.NoError(t, err)
				_, err = seal.NewOpener(seal.Static(secret)).Open(t.Context(), &p)
				require.Equal(t, opens, err == nil, "%v", err)
				require.NoError(t, store.Close())
			}
		},
		"LLM_PROXY_KEYS_PREFIX": func(t *testing.T) {
			refers := `{"name":"refers","api_key_ref":"other/openai"}`
			require.Equal(t, http.StatusBadRequest, ask(t, "POST", "/manage/projects", refers).Code)
			require.Equal(t, http.StatusCreated, ask(t, "POST", "/manage/projects", refers, "LLM_PROXY_KEYS_PREFIX=other/").Code)
		},
		"LLM_PROXY_OPERATORS_SECRET": func(t *testing.T) {
			aws.Answers["GetSecretValue"] = fmt.Sprintf(`{"SecretString":%q}`, `{"management_token":"`+fakeToken+`"}`)
			aws.Heard()
			require.Equal(t, http.StatusOK, ask(t, "GET", "/manage/projects", "", "MANAGEMENT_TOKEN=", "LLM_PROXY_OPERATORS_SECRET=other-operators").Code)
			require.Contains(t, aws.Heard(), `"other-operators"`)
		},
		"MANAGEMENT_TOKEN": func(t *testing.T) {
			require.Equal(t, http.StatusOK, ask(t, "GET", "/manage/projects", "").Code)
			require.Equal(t, http.StatusUnauthorized, ask(t, "GET", "/manage/projects", "", "MANAGEMENT_TOKEN="+strings.Repeat("x", 40)).Code)
		},
		"LLM_PROXY_PROVIDERS": func(t *testing.T) {
			require.NotContains(t, ask(t, "GET", "/manage/info", "").Body.String(), "somebody")
			require.Contains(t, ask(t, "GET", "/manage/info", "", "LLM_PROXY_PROVIDERS="+file).Body.String(), "somebody")
		},
		"LLM_PROXY_DESTINATIONS": func(t *testing.T) {
			aws.Answers["SendMessage"] = `{"MessageId":"1"}`
			aws.Answers["GetQueueAttributes"] = `{"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:000000000000:q","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:dead\"}","ApproximateNumberOfMessages":"0","ApproximateNumberOfMessagesNotVisible":"0","ApproximateNumberOfMessagesDelayed":"0"}}`
			aws.Answers["GetQueueUrl"] = `{"QueueUrl":"` + aws.URL + `/1/dead"}`
			aws.Answers["ListMessageMoveTasks"] = `{"Results":[]}`
			require.Equal(t, "[]", strings.TrimSpace(ask(t, "GET", "/manage/destinations", "").Body.String()))
			told := ask(t, "GET", "/manage/destinations", "", "LLM_PROXY_DESTINATIONS=s3="+aws.URL+"/1/q,webhook="+aws.URL+"/1/r").Body.String()
			require.Equal(t, `["s3","webhook"]`, gjson.Get(told, "#.name").Raw, told)
			require.Contains(t, aws.Heard(), "/1/r")
		},
		"LLM_PROXY_DELIVERY_NAMESPACE": func(t *testing.T) {
			aws.Heard()
			ask(t, "GET", "/manage/destinations", "", "LLM_PROXY_DESTINATIONS=s3="+aws.URL+"/1/q")
			heard := aws.Heard()
			require.Contains(t, heard, "AWS/SQS", "ages are SQS's own")
			require.NotContains(t, heard, "delivered")
			ask(t, "GET", "/manage/destinations", "", "LLM_PROXY_DESTINATIONS=s3="+aws.URL+"/1/q", "LLM_PROXY_DELIVERY_NAMESPACE=Other/Space")
			require.Contains(t, aws.Heard(), "Other/Space")
		},
		"LLM_PROXY_EVENT_BUS": func(t *testing.T) {
			relayed := func(change ...string) string {
				h, relay, err := join(append([]string{
					"LLM_PROXY_TOKENS_TABLE=usual-tokens", "LLM_PROXY_CONTROL_TABLE=usual-control", "LLM_PROXY_SEALING_PUBLIC_KEY=" + public, "LLM_PROXY_KEYS_PREFIX=usual/",
					"LLM_PROXY_EVENT_BUS=usual-bus", "MANAGEMENT_TOKEN=" + fakeToken,
				}, change...))
				require.NoError(t, err)
				defer h.Close()
				project(t)
				aws.Heard()
				_ = relay.Now(t.Context()) // whether the stand-in takes what it is told is another matter
				return aws.Heard()
			}
			require.Contains(t, relayed(), `"EventBusName":"usual-bus"`)
			require.Contains(t, relayed("LLM_PROXY_EVENT_BUS=other-bus"), `"EventBusName":"other-bus"`)
		},
		"LLM_PROXY_DEFAULT_MAX_REQUESTS": func(t *testing.T) {
			require.Zero(t, gjson.Get(mint(t, id).Body.String(), "max_requests").Int())
			require.EqualValues(t, 7, gjson.Get(mint(t, id, "LLM_PROXY_DEFAULT_MAX_REQUESTS=7").Body.String(), "max_requests").Int())
		},
		"LLM_PROXY_PUBLIC_URL": func(t *testing.T) {
			require.Empty(t, gjson.Get(ask(t, "GET", "/manage/info", "").Body.String(), "base_url").Str)
			require.Equal(t, "https://llm.example.com/v1", gjson.Get(ask(t, "GET", "/manage/info", "", "LLM_PROXY_PUBLIC_URL=https://llm.example.com/").Body.String(), "base_url").Str)
		},
		"LLM_PROXY_REQUEST_DAYS": func(t *testing.T) {
			require.EqualValues(t, 3, gjson.Get(ask(t, "GET", "/manage/info", "", "LLM_PROXY_REQUEST_DAYS=3").Body.String(), "retention.event_days").Int())
		},
		"LLM_PROXY_LOG_DAYS": func(t *testing.T) {
			require.EqualValues(t, 4, gjson.Get(ask(t, "GET", "/manage/info", "", "LLM_PROXY_LOG_DAYS=4").Body.String(), "retention.log_days").Int())
		},
		"LLM_PROXY_ADMIN_SECRET": func(t *testing.T) {
			aws.Heard()
			browse(t, "GET", "", "")
			require.NotContains(t, aws.Heard(), "GetSecretValue")
			browse(t, "GET", "", "", "LLM_PROXY_ADMIN_SECRET=other-admin")
			require.Contains(t, aws.Heard(), `"other-admin"`)
		},
		"ADMIN_USER": func(t *testing.T) {
			require.Equal(t, http.StatusOK, browse(t, "GET", "", "", "ADMIN_PASSWORD="+fakePassword))
			require.Equal(t, http.StatusUnauthorized, browse(t, "GET", "", "", "ADMIN_PASSWORD="+fakePassword, "ADMIN_USER=other"))
		},
		"ADMIN_PASSWORD": func(t *testing.T) {
			require.Equal(t, http.StatusUnauthorized, browse(t, "GET", "", ""))
			require.Equal(t, http.StatusOK, browse(t, "GET", "", "", "ADMIN_PASSWORD="+fakePassword))
			require.Equal(t, http.StatusUnauthorized, browse(t, "GET", "", "", "ADMIN_PASSWORD="+fakePassword+"x"))
		},
		"LLM_PROXY_SITE_URL": func(t *testing.T) {
			const body, origin = `{"name":"from the site","api_key":"sk-fake-effects-effects-effects"}`, "https://site.example.net"
			require.Equal(t, http.StatusForbidden, browse(t, "POST", body, origin, "ADMIN_PASSWORD="+fakePassword))
			require.Equal(t, http.StatusCreated, browse(t, "POST", body, origin, "ADMIN_PASSWORD="+fakePassword, "LLM_PROXY_SITE_URL="+origin))
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			gone := "AWS_ENDPOINT_URL_DYNAMODB" // tables that do not answer are told of
			t.Setenv(gone, "http://127.0.0.1:1")
			require.NotEmpty(t, effects.Logged(t, func() { ask(t, "GET", "/manage/projects", "") }))
			require.Empty(t, effects.Logged(t, func() { ask(t, "GET", "/manage/projects", "", "LLM_PROXY_LOG_LEVEL=fatal") }))
		},
	})
}
