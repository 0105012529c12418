package eventbridge_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

var _ proxy.Publisher = (*eventbridge.Publisher)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnEventReachesTheBusAndItsEndIsLogged(t *testing.T) {
	r := start(t, 0)
	ids := r.publish(1, 100)
	require.Empty(t, r.cloud.calls, "nothing is sent while a request is under way")
	r.Flush(t.Context())
	onBus, inQueue, inLog := r.places(t, ids)
	require.Equal(t, [3]int{1, 0, 0}, [3]int{onBus, inQueue, inLog})
	require.Equal(t, eventbridge.Stats{Published: 1}, r.Stats())
	require.Contains(t, r.cloud.details[ids[0]], `"body":{"text":"xxx`)
	require.Equal(t, `{"end":"`+ids[0]+"\"}\n", r.lines.all[1])

	r.Flush(t.Context())
	require.Len(t, r.cloud.calls, 1, "nothing is sent twice, and an empty queue sends nothing")
}

func TestAnEventIsTheCallersAgainWhenPublishReturns(t *testing.T) {
	r := start(t, 0)
	e := event(10)
	e.Response.Body.Tail = []byte("tail")
	e.Response.Headers = []llmproxy.Header{{Name: "x-request-id", Value: "req_1"}}
	e.Usage = &llmproxy.Usage{Input: new(int64), Source: llmproxy.SourceUpstream}
	want := string(e.AppendJSON(nil))
	r.Publish(e)
	copy(e.Request.Body.Head, "overwritten")
	copy(e.Response.Body.Tail, "over")
	e.Response.Headers[0].Value = "another"
	e.Usage.Source = "another"
	id := e.ID.String()
	*e = llmproxy.Event{}
	r.Flush(t.Context())
	require.Equal(t, want, r.cloud.details[id])
}

func TestUsageIsReadBeforeAnEventLeaves(t *testing.T) {
	r := start(t, 0)
	e := event(10)
	e.UsageKind = "openai-chat"
	e.Response.Body = &llmproxy.Body{Head: []byte(`{"model":"gpt-4o","created":7,"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}`)}
	e.Response.Body.Size = int64(len(e.Response.Body.Head))
	for _, queue := range []fault{works, refusesConnection} {
		r.cloud.bus = func(call int) fault { return queue }
		r.cloud.queue = queue
		r.Publish(e)
		r.Flush(t.Context())
	}
	require.Contains(t, r.cloud.details[e.ID.String()], `"usage":{"input":3,"output":4,"total":7`)
	line := r.lines.all[len(r.lines.all)-1]
	require.Contains(t, line, `{"event":{"version":1,`)
	require.Contains(t, line, `"usage":{"input":3,"output":4,"total":7`, "a line in the log is read without the bodies")
	require.NotContains(t, line, `"body"`)
	require.NotContains(t, line, "prompt_tokens")
}

func TestWhereverTheBusFailsNoEventIsLost(t *testing.T) {
	always := func(f fault) func(int) fault { return func(int) fault { return f } }
	first := func(f fault) func(int) fault {
		return func(call int) fault {
			if call == 1 {
				return f
			}
			return works
		}
	}
	const n = 25
	const busy, soon = 2 * time.Second, 400 * time.Millisecond // for a call of what is silent: with another to come, and without
	for name, c := range map[string]struct {
		bus                   func(int) fault
		queue                 fault
		onBus, inQueue, inLog int
		duplicates            bool
		patience              time.Duration // 0 is as much as a busy machine needs
	}{
		"works":                     {bus: always(works), onBus: n},
		"down":                      {bus: always(refusesConnection), inQueue: n},
		"throttled":                 {bus: always(throttles), inQueue: n},
		"broken inside":             {bus: always(failsInside), inQueue: n},
		"silent":                    {bus: always(hangs), inQueue: n, patience: busy},
		"down, and so is the queue": {bus: always(refusesConnection), queue: failsInside, inLog: n},
		"both silent":               {bus: always(hangs), queue: hangs, inLog: n, patience: soon},
		"back at once":              {bus: first(refusesConnection), onBus: n},
		"throttled once":            {bus: first(throttles), onBus: n},
		"every answer lost":         {bus: always(losesItsAnswer), onBus: n, inQueue: n, duplicates: true},
		"one answer lost":           {bus: first(losesItsAnswer), onBus: n, duplicates: true},
		"half refused once":         {bus: first(refusesHalf), onBus: n},
		"the queue's answer lost":   {bus: always(refusesConnection), queue: losesItsAnswer, inQueue: n, inLog: n},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, c.patience)
			r.cloud.bus, r.cloud.queue = c.bus, c.queue
			if c.inQueue+c.inLog == 0 {
				r.Insist(time.Minute)
			}
			ids := r.publish(n, 100)
			r.Flush(t.Context())
			onBus, inQueue, inLog := r.places(t, ids)
			if name == "every answer lost" {
				require.Positive(t, onBus, "what is asked again may be there twice, under one id")
			} else {
				require.Equal(t, c.onBus, onBus)
			}
			require.Equal(t, c.inQueue, inQueue)
			require.Equal(t, c.inLog, inLog)
			if !c.duplicates {
				for id, times := range r.cloud.taken {
					require.Equal(t, 1, times, id)
				}
			}
		})
	}
}

func TestOnlyWhatWasRefusedIsSentAgain(t *testing.T) {
	r := start(t, 0)
	r.Insist(time.Minute)
	r.cloud.bus = func(call int) fault {
		if call <= 2 {
			return refusesHalf
		}
		return works
	}
	ids := r.publish(8, 10)
	r.Flush(t.Context())
	require.Equal(t, [][]string{ids, {ids[1], ids[3], ids[5], ids[7]}, {ids[3], ids[7]}}, r.cloud.calls)
	onBus, _, _ := r.places(t, ids)
	require.Equal(t, 8, onBus)
	require.EqualValues(t, 8, r.Stats().Published)
}

func TestEntriesThatStayRefusedAreSpilled(t *testing.T) {
	r := start(t, 0)
	ids := r.publish(3, 10)
	r.cloud.refused = ids[1]
	r.Flush(t.Context())
	onBus, inQueue, inLog := r.places(t, ids)
	require.Equal(t, []int{2, 1, 0}, []int{onBus, inQueue, inLog})
	require.Equal(t, map[string]int{ids[0]: 1, ids[2]: 1}, r.cloud.taken, "what was taken is not sent again")
	require.Equal(t, map[string]int{ids[1]: 1}, r.cloud.spilled)
}

func TestARefusingBusIsGivenUpSoon(t *testing.T) {
	r := start(t, 0)
	r.cloud.bus = func(int) fault { return throttles }
	began := time.Now()
	ids := r.publish(45, 10)
	r.Flush(t.Context())
	_, inQueue, _ := r.places(t, ids)
	require.Equal(t, 45, inQueue)
	require.GreaterOrEqual(t, len(r.cloud.calls), 2, "it is asked again")
	require.LessOrEqual(t, len(r.cloud.calls), 12, "and not for ever: 300 ms with pauses that double")
	require.Less(t, time.Since(began), 20*time.Second)
}

func TestBatchesAreSplitByCountAndBytes(t *testing.T) {
	r := start(t, 0)
	ids := append(r.publish(23, 10), r.publish(5, 100_000)...)
	r.Flush(t.Context())
	onBus, _, _ := r.places(t, ids)
	require.Equal(t, 28, onBus)
	var order []string
	for i, call := range r.cloud.calls {
		order = append(order, call...)
		require.LessOrEqual(t, len(call), 10)
		require.LessOrEqual(t, r.cloud.bytes[i], 256<<10)
	}
	require.Equal(t, ids, order)
	require.Len(t, r.cloud.calls, 5)
}

func TestALargeEventLeavesItsBodiesInTheBucket(t *testing.T) {
	r := start(t, 0)
	ids := r.publish(1, 250<<10)
	r.Flush(t.Context())
	key := "events/2026/11/22/" + ids[0] + ".json"
	require.Contains(t, r.cloud.details[ids[0]], `"body":{"s3":"`+key+`","size":256000}`)
	require.LessOrEqual(t, r.cloud.bytes[0], 2<<10)
	var whole llmproxy.Event
	require.NoError(t, json.Unmarshal([]byte(r.cloud.objects["/bucket/"+key]), &whole))
	require.Equal(t, ids[0], whole.ID.String())
	require.Len(t, whole.Request.Body.Head, 250<<10)
	require.Equal(t, "{}", string(whole.Response.Body.Head))
}

func TestALargeEventGoesWithoutBodiesWhereTheBucketFails(t *testing.T) {
	for _, bucket := range []fault{refusesConnection, failsInside, hangs} {
		r := start(t, time.Second)
		r.cloud.bucket = bucket
		ids := r.publish(1, 250<<10)
		r.Flush(t.Context())
		onBus, _, _ := r.places(t, ids)
		require.Equal(t, 1, onBus)
		require.NotContains(t, r.cloud.details[ids[0]], `"body"`)
		require.Contains(t, r.cloud.details[ids[0]], `"bytes":256000`)
		require.EqualValues(t, 1, r.Stats().Stripped)
	}
}

func TestAFlushKeepsToItsTimeWhateverIsSilent(t *testing.T) {
	r := start(t, time.Hour)
	r.cloud.bus, r.cloud.queue, r.cloud.bucket = func(int) fault { return hangs }, hangs, hangs
	var ids []string
	wasInTime := false
	for round := 1; round <= 5 && !wasInTime; round++ { // a busy machine may take the time itself, once
		ids = append(ids, r.publish(3, 250<<10)...)
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		r.Flush(ctx)
		wasInTime = ctx.Err() == nil
		cancel()
		_, _, inLog := r.places(t, ids)
		require.Equal(t, 3*round, inLog)
		require.EqualValues(t, 3*round, r.Stats().Logged)
	}
	require.True(t, wasInTime, "there was time to write to the log")
}

func TestAFlushWithoutTimeLeavesEventsInTheLog(t *testing.T) {
	r := start(t, 0)
	ids := r.publish(2, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Flush(ctx)
	_, _, inLog := r.places(t, ids)
	require.Equal(t, 2, inLog)
}

func TestTheQueueIsBounded(t *testing.T) {
	r := start(t, 0)
	const size = 4 << 20
	ids := r.publish(12, size)
	require.Len(t, r.lines.of(t, "event"), 5, "32 MB wait, less the two bytes of each answer")
	r.Flush(t.Context())
	onBus, _, inLog := r.places(t, ids)
	require.Equal(t, 7, onBus)
	require.Equal(t, 5, inLog)
	require.Len(t, r.publish(1, 10), 1)
	r.Flush(t.Context())
	require.EqualValues(t, 8, r.Stats().Published, "what was sent makes room")
}

func TestALogThatTakesNothingIsCounted(t *testing.T) {
	r := start(t, 0)
	r.lines.fail = true
	r.publish(1, 10)
	r.Flush(t.Context())
	require.EqualValues(t, 2, r.Stats().Failed, "the begin and the end")
	require.EqualValues(t, 1, r.Stats().Published)
}

func TestManyRequestsShareAPublisher(t *testing.T) {
	r := start(t, 0)
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				got := r.publish(3, 50)
				r.Flush(t.Context())
				mu.Lock()
				ids = append(ids, got...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	r.Flush(t.Context())
	onBus, _, _ := r.places(t, ids)
	require.Equal(t, 240, onBus)
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	_, err := eventbridge.New(eventbridge.Config{})
	require.EqualError(t, err, "event publisher lacks Bucket, BucketName, Bus, BusName, Lines, Queue, QueueURL")
}
