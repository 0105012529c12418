package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
)

func TestEachSettingChangesSomething(t *testing.T) {
	const hourly = `{"source":"aws.scheduler"}`
	spilled := `{"Records":[{"messageId":"1","body":"{\"detail\":{\"id\":\"01a20320-a200-75fb-8b4b-2b325e692863\",\"version\":1,\"time\":\"2026-11-22T12:00:00.000Z\"}}"}]}`
	aws := effects.Listen(t)
	run := func(t *testing.T, event string, change ...string) string {
		environ := append([]string{"LLM_PROXY_EVENT_BUS=usual-bus", "LLM_PROXY_LOG_GROUPS=usual-one,usual-two"}, change...)
		redriver, err := join(environ)
		require.NoError(t, err)
		_, _ = handle(t.Context(), redriver, []byte(event)) // what AWS refuses is no matter here
		return aws.Heard()
	}
	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_EVENT_BUS": func(t *testing.T) {
			require.Contains(t, run(t, spilled), "usual-bus")
			require.Contains(t, run(t, spilled, "LLM_PROXY_EVENT_BUS=other-bus"), "other-bus")
		},
		"LLM_PROXY_LOG_GROUPS": func(t *testing.T) {
			require.Contains(t, run(t, hourly), "usual-one")
			require.Contains(t, run(t, hourly, "LLM_PROXY_LOG_GROUPS=other"), `"other"`)
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			require.Contains(t, effects.Logged(t, func() { run(t, spilled) }), "the bus did not take events")
			require.Empty(t, effects.Logged(t, func() { run(t, spilled, "LLM_PROXY_LOG_LEVEL=error") }))
		},
	})
}
