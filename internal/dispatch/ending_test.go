package dispatch

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestNothingIsBegunWhenItIsToEnd: calls that are under way are heard of, and the next process makes the others.
func TestNothingIsBegunWhenItIsToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	release := make(chan struct{})
	var calls atomic.Int32
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		if n := calls.Add(1); n <= 10 {
			return takesWebhooks(w, r, body)
		}
		cancel() // to a call that is under way
		<-release
		return takesWebhooks(w, r, body)
	})
	dst, err := Open("webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Parallel: 1}})
	require.NoError(t, err)
	events := requests(30)
	src := newSource(events...)
	l := New(Config{Name: "webhook", Source: src, Destination: dst, DeadLetters: filepath.Join(t.TempDir(), "dead.jsonl"), Grace: time.Minute})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	<-ctx.Done()
	close(release)
	require.NoError(t, <-ended)
	require.EqualValues(t, 11, calls.Load(), "nothing is begun")
	require.Len(t, backend.ids(), 11)

	src = src.restart()
	l = New(Config{Name: "webhook", Source: src, Destination: dst, DeadLetters: filepath.Join(t.TempDir(), "dead.jsonl")})
	next, stop := context.WithCancel(t.Context())
	go func() { ended <- l.Run(next) }()
	require.Eventually(t, func() bool { return src.committed() == len(events) }, time.Minute, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	got := backend.ids()
	slices.Sort(got)
	var want []string
	for _, e := range events {
		want = append(want, e.ID.String())
	}
	require.Equal(t, want, got, "each once")
}
