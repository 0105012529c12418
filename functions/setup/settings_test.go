package main

import (
	"testing"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

func TestEachSettingChangesSomething(t *testing.T) {
	aws := effects.Listen(t)
	aws.Answers["GetSecretValue"] = `{"Name":"sealing","SecretString":"` + seal.NewSecret().Reveal() + `"}`
	aws.Answers["PutSecretValue"] = `{}`
	aws.Answers["Query"] = `{"Count":0,"Items":[]}`
	run := func(t *testing.T, change ...string) string {
		environ := append([]string{"LLM_PROXY_CONTROL_TABLE=usual-control", "LLM_PROXY_SEALING_SECRET=usual-sealing"}, change...)
		_, _, _ = resource(environ, nil)(t.Context(), cfn.Event{ // there are no tables here
			RequestType: cfn.RequestUpdate, StackID: "stack", ResourceProperties: version("2"), OldResourceProperties: version("1"),
		})
		return aws.Heard()
	}
	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_CONTROL_TABLE": func(t *testing.T) {
			require.Contains(t, run(t), `"usual-control"`)
			require.Contains(t, run(t, "LLM_PROXY_CONTROL_TABLE=other-control"), `"other-control"`)
		},
		"LLM_PROXY_SEALING_SECRET": func(t *testing.T) {
			require.Contains(t, run(t), `"usual-sealing"`)
			require.Contains(t, run(t, "LLM_PROXY_SEALING_SECRET=other-sealing"), `"other-sealing"`)
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			require.Contains(t, effects.Logged(t, func() { run(t) }), "sealed to the current key")
			require.Empty(t, effects.Logged(t, func() { run(t, "LLM_PROXY_LOG_LEVEL=error") }))
		},
	})
}
