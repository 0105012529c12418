package javascript_test

import (
	"path/filepath"
	"testing"

	"github.com/sofatutor/llm-proxy/local/sdktest/suite"
)

func TestTheJavaScriptSDKWorksThroughTheProxy(t *testing.T) { suite.Run(t, sdk(t)) }

func TestTheJavaScriptSDKWorksThroughTheFunctionURL(t *testing.T) { suite.RunOnLambda(t, sdk(t)) }

func sdk(t *testing.T) suite.SDK {
	t.Helper()
	modules := filepath.Join(suite.Installed(t, "javascript", "../package-lock.json"), "node_modules")
	return suite.SDK{
		Start: func(t *testing.T, baseURL, key string) *suite.Client {
			return suite.StartProcess(t, []string{"OPENAI_BASE_URL=" + baseURL, "OPENAI_API_KEY=" + key, "NODE_PATH=" + modules}, "node", "client.cjs")
		},
		Classes: map[int]string{
			401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 429: "RateLimitError",
			502: "InternalServerError", 503: "InternalServerError",
		},
	}
}
