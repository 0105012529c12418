package dispatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
	"github.com/stretchr/testify/require"
)

func TestTheUpstreamsNumbersComeBeforeEstimates(t *testing.T) {
	meter := Meter(price.Embedded())
	told, estimated := asked(askHi, "application/json", saysHello), asked(askHi, "text/event-stream", streamsHello)
	estimated.UsageKind = "" // as on its way from a bus
	for _, e := range []*llmproxy.Event{told, estimated} {
		require.NoError(t, meter(e))
		require.EqualValues(t, 8, *e.Usage.Input)
		require.EqualValues(t, 2, *e.Usage.Output)
		require.InDelta(t, 0.00004, *e.Usage.CostUSD, 1e-12)
	}
	require.Equal(t, llmproxy.SourceUpstream, told.Usage.Source)
	require.Equal(t, llmproxy.SourceEstimate, estimated.Usage.Source)

	damaged := asked(askHi, "application/json", saysHello)
	damaged.Response.Encoding = "gzip"
	require.Error(t, meter(damaged))
	require.EqualValues(t, 8, *damaged.Usage.Input, "the request can be read")
	require.Nil(t, damaged.Usage.CostUSD, "and is not all that was paid for")
	cut := asked(askHi, "application/json", "\x1f\x8b")
	cut.Response.Encoding = "gzip"
	require.ErrorIs(t, meter(cut), usage.ErrCut)
}

func TestPathsTellHowACallReportsUsage(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/chat/completions": "openai-chat", "/groq/v1/chat/completions": "openai-chat", "/v1/completions": "openai-completions", "/v1/responses": "openai-responses",
		"/v1/embeddings": "openai-embeddings", "/anthropic/v1/messages": "anthropic-messages", "/v1/models": "", "/v1/responses/resp_1": "", "": "",
	} {
		require.Equal(t, want, kindOfPath(path), path)
	}
}

func TestABatchWaitsForMoreEventsUntilItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(request(0)), &scripted{}
		r := run(t, Config{Source: src, Destination: dst, BatchSize: 250, Linger: time.Minute})
		pass(30 * time.Second)
		require.Zero(t, dst.count())
		require.Equal(t, 1, r.Stats().Pending)
		require.Equal(t, born, r.Stats().Oldest)
		src.add(request(1), request(1))
		pass(31 * time.Second)
		require.Equal(t, [][]llmproxy.EventID{idsOf(requests(2))}, dst.calls, "the time is over")
		require.Equal(t, 3, src.committed())
		require.EqualValues(t, 1, r.Stats().Duplicates)

		src.add(requests(600)[2:]...)
		synctest.Wait()
		require.Len(t, dst.ids(), 2+250+250, "full ones go at once")
		require.NoError(t, r.stop())
		require.Equal(t, 502+1, src.committed(), "what waits when it is stopped is read again")
	})
}

func TestBodiesInABatchAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, dst := newSource(requests(340)...), &scripted{bodies: true}
		r := run(t, Config{Source: src, Destination: dst, BatchSize: 10_000, BatchBytes: 150 * bodyBytes(request(0)), Linger: time.Minute})
		synctest.Wait()
		require.Len(t, dst.ids(), 200, "bodies for 150 events, and those that were read with them")
		pass(2 * time.Minute)
		require.Equal(t, 340, src.committed())
		require.NoError(t, r.stop())
	})
}

func TestALoopMetersAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{}
		r := run(t, Config{Source: newSource(request(0)), Destination: dst, Meter: func(e *llmproxy.Event) error {
			require.NotNil(t, e.Response.Body, "while bodies are there")
			e.Model = "metered"
			return errors.New("not all of it")
		}})
		synctest.Wait()
		require.Equal(t, "metered", dst.took[0].Model)
		require.EqualValues(t, 1, r.Stats().Unmetered)
		require.NoError(t, r.stop())
	})
}

// showingSource shows its events, with bodies that are gone afterwards.
type showingSource struct {
	*memorySource
	see func(*llmproxy.Event)
}

func (s *showingSource) Preview(see func(*llmproxy.Event)) { s.see = see }

func (s *showingSource) Read(ctx context.Context, n int) ([]*llmproxy.Event, error) {
	events, err := s.memorySource.Read(ctx, n)
	for _, e := range events {
		s.see(e)
		if e.Response.Body != nil {
			e.Response.Body = &llmproxy.Body{Head: []byte("a copy")}
		}
	}
	return events, err
}

// TestALoopMetersWhatItIsShown: once, and what nobody wants is not copied.
func TestALoopMetersWhatItIsShown(t *testing.T) {
	for _, wants := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dst := &scripted{bodies: wants}
			metered := 0
			audit := (&llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: numbered(9, 0)}, Time: time.Now()}).Event()
			src := &showingSource{memorySource: newSource(request(0), request(1), audit)}
			r := run(t, Config{Source: src, Destination: dst, Meter: func(e *llmproxy.Event) error {
				require.NotEqual(t, "a copy", string(e.Response.Body.Head))
				metered++
				return errors.New("not all of it")
			}})
			synctest.Wait()
			require.Len(t, dst.took, 2)
			require.Equal(t, 2, metered)
			require.EqualValues(t, 2, r.Stats().Unmetered)
			for _, e := range dst.took {
				require.Equal(t, wants, e.Response.Body != nil)
			}
			src.add(request(1)) // it was done before
			synctest.Wait()
			require.Len(t, dst.took, 2)
			require.Equal(t, 2, metered)
			require.EqualValues(t, 1, r.Stats().Duplicates)
			require.NoError(t, r.stop())
		})
	}
}

func TestADestinationsOwnBatchIsUsedUnlessToldOtherwise(t *testing.T) {
	s3, err := Open("s3", Settings{S3: S3Config{Bucket: "b"}})
	require.NoError(t, err)
	l := New(Config{Destination: s3})
	require.Equal(t, []any{10_000, time.Minute}, []any{l.cfg.BatchSize, l.cfg.Linger})
	l = New(Config{Destination: s3, BatchSize: 3, Linger: time.Second})
	require.Equal(t, []any{3, time.Second}, []any{l.cfg.BatchSize, l.cfg.Linger})
	file, err := Open("file", Settings{File: FileConfig{Path: filepath.Join(os.TempDir(), "x")}})
	require.NoError(t, err)
	l = New(Config{Destination: file})
	require.Equal(t, []any{1000, time.Duration(0)}, []any{l.cfg.BatchSize, l.cfg.Linger})
}
