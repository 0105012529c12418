package spool_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var (
	_ proxy.Publisher = (*spool.Spool)(nil)
	_ dispatch.Source = (*spool.Follower)(nil)
)

// patience is how long a test waits for what must come, on a slow and busy machine too.
const patience = time.Minute

func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_TEST_CHILD"); dir != "" {
		childMain(dir)
	}
	goleak.VerifyTestMain(m)
}

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func begin(id llmproxy.EventID) *llmproxy.Begin {
	return &llmproxy.Begin{
		ID: id, Time: start, TokenID: llmproxy.TokenID{UUID: llmproxy.UUID{1}}, ProjectID: llmproxy.ProjectID{UUID: llmproxy.UUID{2}},
		Method: "POST", Path: "/v1/chat/completions",
	}
}

// event is one that JSON gives back as it was.
func event(id llmproxy.EventID, request, response string) *llmproxy.Event {
	return &llmproxy.Event{
		ID: id, Time: start, TokenID: llmproxy.TokenID{UUID: llmproxy.UUID{1}}, ProjectID: llmproxy.ProjectID{UUID: llmproxy.UUID{2}},
		Provider: "openai", Method: "POST", Path: "/v1/chat/completions", Status: 200, Outcome: llmproxy.Complete,
		Timing:    llmproxy.Timing{Total: 812 * time.Millisecond, Auth: time.Millisecond, FirstByte: 300 * time.Millisecond},
		Request:   llmproxy.Message{Bytes: int64(len(request)), ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(request), Size: int64(len(request))}},
		Response:  llmproxy.Message{Bytes: int64(len(response)), ContentType: "application/json", Body: &llmproxy.Body{Head: []byte(response), Size: int64(len(response))}},
		UsageKind: "openai.chat",
	}
}

func newID() llmproxy.EventID { return llmproxy.NewEventID(start) }

func open(t testing.TB, cfg spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func follow(t testing.TB, dir, name string) *spool.Follower {
	t.Helper()
	f, err := spool.Follow(dir, name, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// request publishes a request from begin to end and returns its id.
func request(s *spool.Spool) llmproxy.EventID {
	id := newID()
	s.Begin(begin(id))
	s.Publish(event(id, "question", "answer"))
	return id
}

// read returns the next events, which must be there soon.
func read(t testing.TB, f *spool.Follower, n int) []*llmproxy.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*llmproxy.Event
	for len(all) < n {
		events, err := f.Read(ctx, n-len(all))
		require.NoError(t, err, "after %d events of %d", len(all), n)
		all = append(all, events...)
	}
	return all
}

// rest returns what is there until nothing comes for longer than a poll takes.
func rest(t testing.TB, f *spool.Follower) []*llmproxy.Event {
	t.Helper()
	var all []*llmproxy.Event
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		events, err := f.Read(ctx, 1000)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return all
		}
		all = append(all, events...)
	}
}

func ids(events []*llmproxy.Event) []llmproxy.EventID {
	var all []llmproxy.EventID
	for _, e := range events {
		all = append(all, e.ID)
	}
	return all
}

// files returns the names in the folder that end like this.
func files(t testing.TB, dir, ext string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ext) {
			names = append(names, filepath.Join(dir, entry.Name()))
		}
	}
	return names
}

func oneFile(t testing.TB, dir, ext string) string {
	t.Helper()
	names := files(t, dir, ext)
	require.Len(t, names, 1, "files %s in %v", ext, files(t, dir, ""))
	return names[0]
}

func body(n int, seed string) string {
	return string(bytes.Repeat([]byte(seed), n/len(seed)+1)[:n])
}
