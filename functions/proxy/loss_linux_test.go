package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	sdkbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/redrive"
)

// frozen reports whether a process is stopped.
func frozen(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // it has ended
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "T")
}

// settled waits until every invocation that began is over, what follows its answer included.
func (s *stack) settled() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		log := s.log.String()
		return strings.Count(log, "START RequestId") == strings.Count(log, "END RequestId")
	}, time.Minute, 10*time.Millisecond)
}

// keptLog is what CloudWatch has of the function's lines.
type keptLog struct{ lines []string }

func (l keptLog) FilterLogEvents(context.Context, *cloudwatchlogs.FilterLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	out := &cloudwatchlogs.FilterLogEventsOutput{}
	for i := range l.lines {
		out.Events = append(out.Events, logtypes.FilteredLogEvent{Message: &l.lines[i]})
	}
	return out, nil
}

// lastBus takes what is published in the end.
type lastBus struct{ events []llmproxy.Event }

func (b *lastBus) PutEvents(_ context.Context, in *sdkbridge.PutEventsInput, _ ...func(*sdkbridge.Options)) (*sdkbridge.PutEventsOutput, error) {
	out := &sdkbridge.PutEventsOutput{}
	for _, entry := range in.Entries {
		var e llmproxy.Event
		if err := json.Unmarshal([]byte(*entry.Detail), &e); err != nil {
			return nil, err
		}
		b.events = append(b.events, e)
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String("e")})
	}
	return out, nil
}

// Each request that the upstream executed, told apart by its path, reaches the bus, the queue or the log, or is found to be lost, under
// exactly one id: whatever became of the upstream's answer, of the bus and of the process.
func TestWhatTheUpstreamExecutedIsAccountedForUnderOneID(t *testing.T) {
	s := start(t, 8*time.Second)
	_, token := s.mint()
	get := func(path, demo string) {
		for range 100 { // until it is admitted
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
			if err != nil {
				return
			}
			r.Header = bearer(token)
			r.Header.Set("X-Demo", demo)
			got, err := s.client.Do(r)
			if err != nil {
				return // broken off before its head
			}
			_, _ = io.Copy(io.Discard, got.Body) // it may break off
			got.Body.Close()
			if got.StatusCode != http.StatusTooManyRequests && got.StatusCode != http.StatusServiceUnavailable {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}

	upstream := []string{"", "chunk-delay=5ms", "cut-after=3", "reset-after=3", "status=500", "garbage", "close-before-head", "size=300000"}
	for name, ill := range map[string]func(*cloud){
		"well":            func(*cloud) {},
		"refuses some":    func(c *cloud) { c.refused = "/v1/models/refuses.some-1" },
		"down":            func(c *cloud) { c.busDown = true },
		"takes and mute":  func(c *cloud) { c.mute = true },
		"down, and queue": func(c *cloud) { c.allDown = true },
		"slow":            func(c *cloud) { c.slow = "/v1/models/slow-" },
	} {
		s.cloud.set(ill)
		name = strings.NewReplacer(", ", ".", " ", ".").Replace(name)
		var callers sync.WaitGroup
		for i, demo := range upstream {
			callers.Go(func() { get(fmt.Sprintf("/v1/models/%s-%d", name, 10+i), demo) })
			if i%4 == 3 {
				callers.Wait()
			}
		}
		callers.Wait()
		s.settled()
		s.cloud.set(func(c *cloud) { c.busDown, c.allDown, c.mute, c.slow, c.refused = false, false, false, "", "" })
	}

	// Four processes hang, two in the middle of an answer and two in what follows one, until Lambda kills them at their deadline. Of the
	// latter the bus has taken what one sent, though it never heard so.
	held := make(chan struct{})
	s.cloud.set(func(c *cloud) { c.held, c.refused = held, "/v1/models/killed-4" })
	kills := strings.Count(s.log.String(), "Task timed out")
	var callers sync.WaitGroup
	for path, demo := range map[string]string{"killed-1": "hang", "killed-2": "hang-after=3", "killed-3": "", "killed-4": ""} {
		callers.Go(func() { get("/v1/models/"+path, demo) })
	}
	require.Eventually(t, func() bool {
		seen := 0
		for _, path := range s.upstream.Paths() {
			if strings.HasPrefix(path, "/v1/models/killed-") {
				seen++
			}
		}
		s.cloud.mu.Lock()
		defer s.cloud.mu.Unlock()
		return seen >= 4 && s.cloud.holding >= 2
	}, 30*time.Second, time.Millisecond)
	for _, pid := range s.host.Processes() {
		if !frozen(t, pid) {
			_ = syscall.Kill(pid, syscall.SIGSTOP) // it may just have ended
		}
	}
	callers.Wait()
	s.settled()
	require.Equal(t, 4, strings.Count(s.log.String(), "Task timed out")-kills, "processes were killed in the middle")
	close(held)
	require.Eventually(t, func() bool {
		s.cloud.mu.Lock()
		defer s.cloud.mu.Unlock()
		return s.cloud.holding == 0
	}, 30*time.Second, time.Millisecond)

	// What redrive would do, half an hour later.
	last, lines := &lastBus{}, strings.Split(s.log.String(), "\n")
	redriver := redrive.New(redrive.Config{
		Bus: last, BusName: "bus", Logs: keptLog{lines}, Groups: []string{"proxy"}, Lines: io.Discard, Now: func() time.Time { return time.Now().Add(30 * time.Minute) },
	})
	require.NoError(t, redriver.Logged(t.Context(), lines))
	inLog := len(last.events)
	lost, err := redriver.Lost(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, lost)
	require.Positive(t, inLog)

	ids, where := map[string]map[string]bool{}, map[string][]string{}
	note := func(place string, e *llmproxy.Event) {
		if ids[e.Path] == nil {
			ids[e.Path] = map[string]bool{}
		}
		ids[e.Path][e.ID.String()] = true
		where[e.Path] = append(where[e.Path], place+": "+string(e.Outcome))
	}
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	for place, taken := range map[string]map[string][]llmproxy.Event{"bus": s.cloud.onBus, "queue": s.cloud.inQueue} {
		for _, events := range taken {
			for i := range events {
				note(place, &events[i])
			}
		}
	}
	for i := range last.events {
		note("redrive", &last.events[i])
	}
	executed := map[string]int{}
	for _, path := range s.upstream.Paths() {
		executed[path]++
	}
	require.Len(t, executed, 6*len(upstream)+4)
	for path, times := range executed {
		if !strings.HasSuffix(path, "-16") { // a GET is sent again where a kept connection ends without a word: it changes nothing
			require.Equal(t, 1, times, "%s is sent once", path)
		}
		require.Len(t, ids[path], 1, "%s: %v", path, where[path])
	}
	for path := range ids {
		require.Contains(t, executed, path, "nothing is told of what did not happen")
	}
	require.Equal(t, []string{"redrive: lost"}, where["/v1/models/killed-1"])
	require.ElementsMatch(t, []string{"bus: complete", "redrive: lost"}, where["/v1/models/killed-3"], "it was taken, and nobody heard so: the real one wins by its id")
	require.Equal(t, []string{"redrive: lost"}, where["/v1/models/killed-4"])
}
