package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/seal"
)

func TestInfoTellsOfTheStack(t *testing.T) {
	public, err := seal.PublicKey(seal.NewSecret())
	require.NoError(t, err)
	t.Setenv("AWS_REGION", "eu-central-1")
	h, _, err := join([]string{
		"LLM_PROXY_TOKENS_TABLE=tokens", "LLM_PROXY_CONTROL_TABLE=control", "LLM_PROXY_EVENT_BUS=events", "LLM_PROXY_SEALING_PUBLIC_KEY=" + public, "LLM_PROXY_KEYS_PREFIX=stack/keys/",
		"MANAGEMENT_TOKEN=" + fakeToken, "LLM_PROXY_PUBLIC_URL=https://llm.example.com/", "LLM_PROXY_REQUEST_DAYS=365", "LLM_PROXY_LOG_DAYS=90", "LLM_PROXY_DEFAULT_MAX_REQUESTS=500",
	})
	require.NoError(t, err)
	t.Cleanup(h.Close)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request("Bearer "+fakeToken))
	require.Equal(t, http.StatusOK, answer.Code)
	for path, want := range map[string]string{
		"store": `"dynamodb"`, "bus": `"eventbridge"`, "region": `"eu-central-1"`, "demo": "false", "base_url": `"https://llm.example.com/v1"`,
		"limits.request_bytes": "6291456", "limits.answer_ms": "900000", "limits.default_max_requests": "500", "retention.event_days": "365", "retention.log_days": "90",
	} {
		require.Equal(t, want, gjson.Get(answer.Body.String(), path).Raw, path)
	}
}

func TestTheTimeOfAnAnswerIsTheProxysInTheTemplate(t *testing.T) {
	template, err := os.ReadFile("../../template.yaml")
	require.NoError(t, err)
	_, proxy, found := strings.Cut(string(template), "\n  Proxy:\n")
	require.True(t, found)
	_, timeout, found := strings.Cut(proxy, "\n      Timeout: ")
	require.True(t, found)
	require.True(t, strings.HasPrefix(timeout, fmt.Sprintf("%d\n", int(proxyTimeout.Seconds()))), timeout[:10])
}
