package dispatch

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// sequence is events, and then an error if there is one.
func sequence(err error, events ...*llmproxy.Event) iter.Seq2[*llmproxy.Event, error] {
	return func(yield func(*llmproxy.Event, error) bool) {
		for _, e := range events {
			c := *e
			if !yield(&c, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func TestAReplayDeliversEachEventOnce(t *testing.T) {
	backend := newStub(t, takesWebhooks)
	events := requests(250)
	events[7].Path = poisonPath
	lost := *events[3]
	lost.Outcome, lost.Status = llmproxy.Lost, 0
	cfg := redriveConfig(t, backend)
	cfg.DeadLetters = DeadLettersPath(t.TempDir(), "webhook")
	stats, err := Replay(t.Context(), cfg, sequence(nil, slices.Concat([]*llmproxy.Event{&lost}, events, events, []*llmproxy.Event{&lost})...))
	require.NoError(t, err)
	require.EqualValues(t, 250, stats.Delivered, "the lost one, and the real one that says more")
	require.EqualValues(t, 1, stats.Dead)
	require.Len(t, letters(t, cfg.DeadLetters), 1)

	stats, err = Replay(t.Context(), redriveConfig(t, backend), sequence(nil))
	require.NoError(t, err)
	require.Zero(t, stats.Delivered)
}

func TestAReplayThatCannotReadOnSaysSo(t *testing.T) {
	backend := newStub(t, takesWebhooks)
	broken := errors.New("the disk is broken")
	stats, err := Replay(t.Context(), redriveConfig(t, backend), sequence(broken, requests(3)...))
	require.ErrorIs(t, err, broken)
	require.EqualValues(t, 3, stats.Delivered)
	_, err = Replay(t.Context(), redriveConfig(t, backend), sequence(broken))
	require.ErrorIs(t, err, broken)
}

func TestAReplayThatIsStoppedSaysSo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string {
		stop()
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	})
	_, err := Replay(ctx, redriveConfig(t, backend), sequence(nil, requests(3)...))
	require.ErrorIs(t, err, context.Canceled)
}

func TestTheEventLogTellsItsEvents(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "events.jsonl")
	events := requests(4)
	for i, e := range events {
		e.Time = time.Date(2026, 11, 22, 12, i, 0, 7e6, time.UTC)
		e.TokenID, e.ProjectID = llmproxy.NewTokenID(e.Time), llmproxy.NewProjectID(e.Time)
		units := int64(i)
		e.Usage = &llmproxy.Usage{Input: &units, Source: llmproxy.SourceUpstream}
	}
	events[1].Usage, events[1].Model, events[1].Status, events[1].TokenID = nil, "", 0, llmproxy.TokenID{}
	for _, bodies := range []bool{true, false} {
		var lines []string
		for _, e := range events {
			lines = append(lines, string(appendLine(nil, e, bodies))+"\n")
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "events-20261122T120130.000Z.jsonl"), []byte(lines[0]+lines[1]), 0o600))
		require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines[2:], "")+lines[0][:20]), 0o600))
		read := func(from, to time.Time) (got []*llmproxy.Event) {
			for e, err := range EventLog(path, from, to) {
				require.NoError(t, err)
				got = append(got, e)
			}
			return got
		}
		got := read(events[0].Time, events[3].Time.Add(time.Second))
		require.Len(t, got, 4)
		for i, e := range got {
			want := *events[i]
			if !bodies {
				want.Request.Body, want.Response.Body = nil, nil
			}
			require.Equal(t, string(want.AppendJSON(nil)), string(e.AppendJSON(nil)), "as the event itself")
		}
		require.Equal(t, idsOf(events[1:3]), idsOf(read(events[1].Time, events[3].Time)))
	}
	for range EventLog(path, time.Time{}, time.Now()) {
		break // enough
	}
	for range EventLog(filepath.Join(dir, "none.jsonl"), time.Time{}, time.Now()) {
		require.Fail(t, "there is nothing")
	}
	for _, line := range []string{"junk\n", "{}\n", `{"timestamp":"yesterday"}` + "\n"} {
		require.NoError(t, os.WriteFile(path, []byte(line), 0o600))
		var last error
		for _, last = range EventLog(path, events[2].Time, time.Now().Add(time.Hour)) {
		}
		require.ErrorContains(t, last, "event log "+path, line)
	}
	for _, err := range EventLog(dir, time.Time{}, time.Now()) {
		require.Error(t, err)
	}
}
