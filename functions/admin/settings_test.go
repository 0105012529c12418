//go:build unix

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

func TestEachSettingChangesSomething(t *testing.T) {
	engine, err := startEngine()
	if err != nil {
		t.Skipf("SKIPPED, the function needs a store: %v", err)
	}
	for _, name := range []string{"usual", "other"} {
		store := dynamo.New(engine.Config(), dynamo.Config{Tokens: name + "-tokens", Control: name + "-control", ChangeBudget: time.Minute})
		require.NoError(t, store.CreateTables(t.Context()))
		require.NoError(t, store.Close())
	}
	aws := effects.Listen(t)
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engine.URL)
	// ask sends a request about the session to the function with settings that differ from the usual.
	ask := func(t *testing.T, method, body, cookie, origin string, change ...string) *httptest.ResponseRecorder {
		t.Helper()
		h, refusals, err := join(append([]string{"LLM_PROXY_CONTROL_TABLE=usual-control", "ADMIN_PASSWORD=" + password}, change...))
		require.NoError(t, err)
		defer refusals.Close()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/admin/api/session", strings.NewReader(body))
		for name, value := range map[string]string{"Content-Type": "application/json", "Cookie": cookie, "Origin": origin} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		h.ServeHTTP(w, r)
		return w
	}
	signIn := func(t *testing.T, user, origin string, change ...string) *httptest.ResponseRecorder {
		t.Helper()
		return ask(t, http.MethodPost, credentials(user, password), "", origin, change...)
	}
	in := signIn(t, "admin", "")
	require.Equal(t, http.StatusNoContent, in.Code, in.Body)
	cookie, _, _ := strings.Cut(in.Header().Get("Set-Cookie"), ";")

	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_CONTROL_TABLE": func(t *testing.T) {
			require.Equal(t, http.StatusOK, ask(t, http.MethodGet, "", cookie, "").Code)
			require.Equal(t, http.StatusUnauthorized, ask(t, http.MethodGet, "", cookie, "", "LLM_PROXY_CONTROL_TABLE=other-control").Code)
		},
		"LLM_PROXY_ADMIN_SECRET": func(t *testing.T) {
			aws.Answers["GetSecretValue"] = fmt.Sprintf(`{"SecretString":%q}`, `{"user":"kept","password":"`+password+`"}`)
			aws.Heard()
			require.Equal(t, http.StatusNoContent, signIn(t, "kept", "", "ADMIN_PASSWORD=", "LLM_PROXY_ADMIN_SECRET=other-admin").Code)
			require.Contains(t, aws.Heard(), `"other-admin"`)
			delete(aws.Answers, "GetSecretValue")
		},
		"ADMIN_USER": func(t *testing.T) {
			require.Equal(t, http.StatusUnauthorized, signIn(t, "other", "").Code)
			require.Equal(t, http.StatusNoContent, signIn(t, "other", "", "ADMIN_USER=other").Code)
		},
		"ADMIN_PASSWORD": func(t *testing.T) {
			require.Equal(t, http.StatusUnauthorized, ask(t, http.MethodGet, "", cookie, "", "ADMIN_PASSWORD="+password+"x").Code)
		},
		"LLM_PROXY_SITE_URL": func(t *testing.T) {
			const origin = "https://site.example.net"
			require.Equal(t, http.StatusForbidden, signIn(t, "admin", origin).Code)
			require.Equal(t, http.StatusNoContent, signIn(t, "admin", origin, "LLM_PROXY_SITE_URL="+origin).Code)
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			unread := []string{"ADMIN_PASSWORD=", "LLM_PROXY_ADMIN_SECRET=not-there"} // a secret that cannot be read is told of
			require.Contains(t, effects.Logged(t, func() { signIn(t, "admin", "", unread...) }), "cannot be read")
			require.Empty(t, effects.Logged(t, func() { signIn(t, "admin", "", append(unread, "LLM_PROXY_LOG_LEVEL=fatal")...) }))
		},
	})
}
