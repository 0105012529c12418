package dispatch

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestAWebhookIsSignedAsStandardWebhooksHasIt(t *testing.T) {
	// from the example of the specification's libraries
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))

	backend := newStub(t, takesWebhooks)
	e := request(0)
	before := time.Now().Unix()
	s := Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Secret: llmproxy.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Authorization: llmproxy.NewSecret("Bearer x")}}
	require.Equal(t, []Result{{}}, handOver(t, "webhook", s, e))
	body := backend.body(t, 0)
	require.JSONEq(t, string(e.AppendMeta(nil)), string(body))
	require.Equal(t, e.ID.String(), backend.last.Get("Webhook-Id"))
	require.Equal(t, "Bearer x", backend.last.Get("Authorization"))
	at := backend.last.Get("Webhook-Timestamp")
	require.GreaterOrEqual(t, at, fmt.Sprint(before))
	require.Equal(t, signature(key, e.ID.String(), at, body), backend.last.Get("Webhook-Signature"))

	s.Webhook = WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Batch: 3, Bodies: true}
	require.Equal(t, make([]Result, 4), handOver(t, "webhook", s, requests(4)...))
	require.Empty(t, backend.last.Get("Webhook-Signature"), "without a secret there is none")
	list := map[int64]bool{}
	for i := 1; i <= 2; i++ {
		posted := gjson.ParseBytes(backend.body(t, i))
		list[posted.Get("#").Int()] = true
		require.True(t, posted.Get("0.request.body").Exists())
	}
	require.Equal(t, map[int64]bool{3: true, 1: true}, list)
}

func TestAnswersOfWebhooksMeanWhatTheyShould(t *testing.T) {
	for status, poison := range map[int]bool{201: false, 204: false, 301: false, 400: true, 401: false, 403: false, 404: false, 413: true, 422: true, 429: false, 500: false, 503: false} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			return nil
		})
		r := handOver(t, "webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL)}}, request(0))[0]
		require.Equal(t, poison, r.Poison, status)
		require.Equal(t, status >= 300, r.Err != nil, status)
		if r.Err != nil && !poison {
			require.Equal(t, 7*time.Second, r.After, status)
		}
	}
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"": 0, "30": 30 * time.Second, "-1": 0, "x": 0, "Sun, 22 Nov 2026 08:01:00 GMT": time.Minute, "Sun, 22 Nov 2026 07:00:00 GMT": 0, "1e99": maxRetryAfter} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}
