package python_test

import (
	"path/filepath"
	"testing"

	"github.com/sofatutor/llm-proxy/local/sdktest/suite"
)

func TestThePythonSDKWorksThroughTheProxy(t *testing.T) { suite.Run(t, openai(t)) }

func TestThePythonSDKWorksThroughTheFunctionURL(t *testing.T) { suite.RunOnLambda(t, openai(t)) }

func openai(t *testing.T) suite.SDK {
	t.Helper()
	python := filepath.Join(suite.Installed(t, "python", "../requirements.txt"), "bin", "python")
	return suite.SDK{
		Start: func(t *testing.T, baseURL, key string) *suite.Client {
			return suite.StartProcess(t, []string{"OPENAI_BASE_URL=" + baseURL, "OPENAI_API_KEY=" + key}, python, "client.py")
		},
		Classes: map[int]string{
			401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 429: "RateLimitError",
			502: "InternalServerError", 503: "InternalServerError",
		},
	}
}

func TestAnthropicsPythonSDKWorksThroughTheProxy(t *testing.T) { suite.RunAnthropic(t, anthropic(t)) }

func TestAnthropicsPythonSDKWorksThroughTheFunctionURL(t *testing.T) {
	suite.RunAnthropicOnLambda(t, anthropic(t))
}

func anthropic(t *testing.T) suite.SDK {
	t.Helper()
	python := filepath.Join(suite.Installed(t, "python", "../requirements.txt"), "bin", "python")
	return suite.SDK{
		Start: func(t *testing.T, baseURL, key string) *suite.Client {
			return suite.StartProcess(t, []string{"ANTHROPIC_BASE_URL=" + baseURL, "ANTHROPIC_API_KEY=" + key}, python, "anthropic_client.py")
		},
		Classes: map[int]string{401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 502: "InternalServerError"},
	}
}
