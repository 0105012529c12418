//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestEachSettingChangesSomething(t *testing.T) {
	s := start(t, 0)
	_, token := s.mint()
	ask := func(s *stack, demo string) answer {
		header := bearer(token)
		header.Set("X-Demo", demo)
		a := s.ask(s.url, "POST", "/v1/chat/completions", question, header)
		require.Equal(s.t, 200, a.status, a.body)
		return a
	}
	// refuses is the row of a table: where it is not there, nobody is admitted.
	refuses := func(setting string) func(*testing.T) {
		return func(t *testing.T) {
			other := s.with(t, setting)
			a := other.askOnce(other.url, "POST", "/v1/chat/completions", question, bearer(token))
			require.Equal(t, 503, a.status, a.body)
			require.Contains(t, a.body, "store_unavailable")
		}
	}
	ask(s, "")
	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_TOKENS_TABLE":  refuses("LLM_PROXY_TOKENS_TABLE=other-tokens"),
		"LLM_PROXY_CONTROL_TABLE": refuses("LLM_PROXY_CONTROL_TABLE=other-control"),
		"LLM_PROXY_EVENT_BUS": func(t *testing.T) {
			ask(s.with(t, "LLM_PROXY_EVENT_BUS=other-bus"), "")
			s.cloud.hears(t, `"EventBusName":"other-bus"`)
		},
		"LLM_PROXY_SPILL_QUEUE": func(t *testing.T) {
			s.cloud.set(func(c *cloud) { c.busDown = true })
			defer s.cloud.set(func(c *cloud) { c.busDown = false })
			ask(s.with(t, "LLM_PROXY_SPILL_QUEUE="+s.cloud.URL+"/other-queue"), "")
			s.cloud.hears(t, `/other-queue"`)
		},
		"LLM_PROXY_EVENT_BUCKET": func(t *testing.T) {
			ask(s.with(t, "LLM_PROXY_EVENT_BUCKET=other-bucket"), "size=400000")
			s.cloud.hears(t, "/other-bucket/events/")
		},
		"LLM_PROXY_SEALING_SECRET": func(t *testing.T) {
			ask(s.with(t, "LLM_PROXY_SEALING_SECRET=other-sealing"), "")
			s.cloud.hears(t, `"SecretId":"other-sealing"`)
		},
		"LLM_PROXY_KEYS_PREFIX": func(t *testing.T) {
			project, err := s.service.CreateProject(t.Context(), llmproxy.Actor{Name: "local"}, manage.NewProject{Name: "refers", APIKeyRef: "stack/keys/openai"})
			require.NoError(t, err)
			_, token := s.mint(func(n *manage.NewToken) { n.ProjectID = project.ID })
			a := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
			require.Equal(t, 200, a.status, a.body)
			other := s.with(t, "LLM_PROXY_KEYS_PREFIX=other/keys/")
			a = other.askOnce(other.url, "POST", "/v1/chat/completions", question, bearer(token))
			require.Equal(t, 503, a.status, a.body)
			require.Contains(t, a.body, "key_unavailable")
		},
		"LLM_PROXY_PROVIDERS": func(t *testing.T) {
			elsewhere := demo.Serve(t)
			file := filepath.Join(t.TempDir(), "providers.yaml")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "default: openai\nproviders:\n  openai: {preset: openai, base_url: %s}\n", elsewhere.URL), 0o600))
			ask(s.with(t, "LLM_PROXY_PROVIDERS="+file), "")
			require.Len(t, elsewhere.Requests(), 1)
		},
		"LLM_PROXY_CAPTURE": func(t *testing.T) {
			usual := s.cloud.event(t, s.cloud.onBus, ask(s.with(t), "").id)
			require.NotNil(t, usual.Request.Body)
			e := s.cloud.event(t, s.cloud.onBus, ask(s.with(t, "LLM_PROXY_CAPTURE=metadata"), "").id)
			require.Nil(t, e.Request.Body)
			require.Nil(t, e.Response.Body)
			require.NotNil(t, e.Usage)
		},
		"LLM_PROXY_METRICS_NAMESPACE": func(t *testing.T) {
			with, without := s.with(t, "LLM_PROXY_METRICS_NAMESPACE=Other/Space"), s.with(t, "LLM_PROXY_METRICS_NAMESPACE=")
			ask(with, "")
			with.log.await(t, `"Namespace":"Other/Space"`)
			ask(without, "")
			without.log.await(t, "REPORT RequestId")
			require.NotContains(t, without.log.String(), "Namespace")
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			for level, told := range map[string]bool{"info": true, "error": false} {
				other := s.with(t, "LLM_PROXY_LOG_LEVEL="+level)
				require.Equal(t, 401, other.ask(other.url, "POST", "/v1/chat/completions", question, bearer(unknownToken())).status)
				other.log.await(t, "REPORT RequestId")
				require.Equal(t, told, strings.Contains(other.log.String(), "refused a stranger"), level)
			}
		},
	})
}
