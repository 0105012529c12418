package faulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

// What the level after the soak may be above the one before. Connections that are kept for the next request come and go, so goroutines and
// descriptors are not exact. Memory is 5 % and what the collector and SQLite's cache have not given back yet.
const (
	moreGoroutines  = 5
	moreDescriptors = 5
	moreMemory      = 12 << 20
)

// soaking is how long the soak lasts and how hard it is.
type soaking struct {
	lasts   time.Duration
	rate    int // requests a second beside the streams
	streams int // read at once, all the time
}

// howLong is a minute at a rate that leaves the machine to others, or what SOAK asks for at full rate.
func howLong(t *testing.T) soaking {
	t.Helper()
	asked := os.Getenv("SOAK")
	if asked == "" {
		return soaking{lasts: time.Minute, rate: 100, streams: 20}
	}
	lasts, err := time.ParseDuration(asked)
	require.NoError(t, err, "SOAK is a duration, such as 10m")
	return soaking{lasts: lasts, rate: 500, streams: 100}
}

// TestASoakLeavesTheServerAsItWas: plain answers, streams, answers that break off, callers who leave, tokens that are revoked and tokens that
// are none, all at once and for long. Then goroutines, file descriptors, memory and the spool's files are where they were after the first
// part of it, and each request of a token stands in the event log once, as its caller saw it end. SOAK=2h makes it last.
func TestASoakLeavesTheServerAsItWas(t *testing.T) {
	how := howLong(t)
	k := newSoak(t, how.rate, how.streams)
	k.load(how.lasts / 4) // until its caches are warm and its pools as large as they get
	before := k.rest()
	k.load(how.lasts - how.lasts/4)
	k.settle(before)
	k.requireEachEventOnce()
	k.s.stop()
	t.Logf("%s", k.summary())
}

// soak is a server under a mixed load, and what its callers expect of the event log.
type soak struct {
	t       *testing.T
	h       *house
	s       *server
	log     string // of events
	token   string
	revoked string
	rate    int
	streams int
	began   time.Time

	ending atomic.Bool
	next   atomic.Int64                // number of the last request that waits for its caller to leave
	held   sync.Map                    // number to a channel that is closed once the provider has the request
	mu     sync.Mutex                  // guards what follows
	wants  map[string]llmproxy.Outcome // by request id; by path where the caller never saw an answer
	either map[string]bool             // ids of requests of which an event may tell
	counts map[string]int              // requests, by kind
	series []string
}

func newSoak(t *testing.T, rate, streams int) *soak {
	h := newHouse(t, nil)
	k := &soak{
		t: t, h: h, log: filepath.Join(h.data, "events.jsonl"), rate: rate, streams: streams, began: time.Now(),
		wants: map[string]llmproxy.Outcome{}, either: map[string]bool{}, counts: map[string]int{},
	}
	h.upstream.mux.Handle("/", demo.New())
	h.upstream.mux.HandleFunc("GET /v1/batches/{n}", k.hold)
	_, err := h.service.UpdateProject(t.Context(), operator, h.project, manage.ProjectPatch{Endpoints: &[]llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored}})
	require.NoError(t, err)
	_, k.token = h.mint(0, 0)
	id, revoked := h.mint(0, 0)
	k.revoked = revoked
	require.NoError(t, h.service.RevokeTokens(t.Context(), operator, id))
	k.s = h.start("--file-event-log", k.log)
	require.NotEmpty(t, k.s.metrics, "the server tells its numbers")
	return k
}

// hold answers when the proxy has gone, so that only a caller who leaves ends the request.
func (k *soak) hold(_ http.ResponseWriter, r *http.Request) {
	if arrived, ok := k.held.LoadAndDelete(r.PathValue("n")); ok {
		close(arrived.(chan struct{}))
	}
	<-r.Context().Done()
}

// askers is how many send requests beside those who read streams.
const askers = 16

// load is the whole mix for a while. It returns when the last answer has ended.
func (k *soak) load(lasts time.Duration) {
	k.t.Helper()
	k.ending.Store(false)
	timer := time.AfterFunc(lasts, func() { k.ending.Store(true) })
	defer timer.Stop()
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		k.sample(max(lasts/20, time.Second))
	}()
	inParallel(askers+k.streams+2, func(i int) {
		switch {
		case i == 0:
			k.repeat(time.Second, k.revocation)
		case i == 1: // so few a minute that the server goes on asking the store for tokens that it does not know
			k.repeat(3*time.Second, k.unknownToken)
		case i < 2+k.streams:
			k.repeat(0, k.stream)
		default:
			k.repeat(time.Second*askers/time.Duration(k.rate), k.any)
		}
	})
	<-sampled
}

// repeat does a thing once in a while until the load ends. What takes longer than that comes at once after it.
func (k *soak) repeat(every time.Duration, do func()) {
	for next := time.Now(); !k.ending.Load(); {
		do()
		if next = next.Add(every); time.Until(next) < 0 {
			next = time.Now()
		}
		for !k.ending.Load() && time.Until(next) > 0 {
			time.Sleep(min(time.Until(next), 100*time.Millisecond))
		}
	}
}

// any sends one request of the usual mix.
func (k *soak) any() {
	switch n := rand.IntN(100); {
	case n < 55:
		k.plain("plain", http.StatusOK, "events=10")
	case n < 60:
		k.plain("large", http.StatusOK, "size=300000, gzip")
	case n < 65:
		k.plain("failing", http.StatusInternalServerError, "status=500")
	case n < 70:
		k.broken("cut", "events=50, cut-after=20")
	case n < 75:
		k.broken("reset", "events=50, reset-after=20")
	case n < 82:
		k.leaveMidway()
	case n < 87:
		k.leaveBeforeTheHead()
	case n < 92:
		k.refused("revoked", k.revoked, "token_revoked", true)
	case n < 96:
		k.refused("malformed", k.token[:len(k.token)-1]+"-", "token_invalid", false)
	default:
		k.refused("missing", "", "token_missing", false)
	}
}

const question = `{"model":"gpt-4o","messages":[{"role":"user","content":"What does a soak show?"}]`

// ask sends a question and returns its answer, whose body is still to be read, or nil where the store was too busy to say whether the token
// may, which the caller takes as it is.
func (k *soak) ask(kind, token, demo string, stream bool) *http.Response {
	body := question + "}"
	if stream {
		body = question + `,"stream":true}`
	}
	req, err := http.NewRequestWithContext(k.t.Context(), http.MethodPost, k.s.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		k.t.Error(err)
		return nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Demo", demo)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := k.h.client.Do(req)
	if err != nil {
		k.t.Errorf("%s: %v", kind, err)
		return nil
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		k.mu.Lock()
		k.either[requestID(res)] = true
		k.counts["store busy"]++
		k.mu.Unlock()
		_, err := io.Copy(io.Discard, res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			k.t.Errorf("%s: %v", kind, err)
		}
		return nil
	}
	return res
}

func requestID(res *http.Response) string { return res.Header.Get("X-Llm-Proxy-Request-Id") }

// expect notes how the event log shall tell of a request.
func (k *soak) expect(kind, id string, outcome llmproxy.Outcome) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts[kind]++
	if id == "" || k.wants[id] != "" {
		k.t.Errorf("%s: the answer's request id is %q, which is none or another's", kind, id)
	}
	k.wants[id] = outcome
}

func (k *soak) plain(kind string, status int, demo string) {
	res := k.ask(kind, k.token, demo, false)
	if res == nil {
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != status {
		k.t.Errorf("%s: %s %v", kind, res.Status, err)
	}
	k.expect(kind, requestID(res), llmproxy.Complete)
}

// stream is read to its end, and takes a while.
func (k *soak) stream() {
	res := k.ask("stream", k.token, "events=20, chunk-delay=100ms", true)
	if res == nil {
		return
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(data)), "data: [DONE]") {
		k.t.Errorf("stream: %s %v: %d bytes", res.Status, err, len(data))
	}
	k.expect("stream", requestID(res), llmproxy.Complete)
}

// broken is an answer that the provider does not finish.
func (k *soak) broken(kind, demo string) {
	res := k.ask(kind, k.token, demo, true)
	if res == nil {
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		k.t.Errorf("%s: %s: it looks whole", kind, res.Status)
	}
	k.expect(kind, requestID(res), llmproxy.Cut)
}

// leaveMidway reads one chunk and goes.
func (k *soak) leaveMidway() {
	res := k.ask("left midway", k.token, "events=50, hang-after=2", true)
	if res == nil {
		return
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		k.t.Errorf("left midway: %s %v", res.Status, err)
	}
	_ = res.Body.Close() // what was not read is why the connection ends
	k.expect("left midway", requestID(res), llmproxy.ClientGone)
}

// leaveBeforeTheHead goes once the provider has the request.
func (k *soak) leaveBeforeTheHead() {
	n := strconv.FormatInt(k.next.Add(1), 10)
	arrived := make(chan struct{})
	k.held.Store(n, arrived)
	ctx, leave := context.WithCancel(k.t.Context())
	defer leave()
	go func() {
		select {
		case <-arrived:
			leave()
		case <-ctx.Done():
		}
	}()
	path := "/v1/batches/" + n
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.s.url+path, nil)
	if err != nil {
		k.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+k.token)
	res, err := k.h.client.Do(req)
	if err == nil { // the store was busy
		defer res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable {
			k.t.Errorf("left before the head: %s", res.Status)
		}
		k.held.Delete(n)
		k.mu.Lock()
		k.either[path] = true
		k.mu.Unlock()
		return
	}
	k.expect("left before the head", path, llmproxy.ClientGone)
}

// refused is a request that no token lets through. One whose token is known has its event.
func (k *soak) refused(kind, token, code string, event bool) {
	res := k.ask(kind, token, "", false)
	if res == nil {
		return
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if a := (answer{body: string(data)}); err != nil || res.StatusCode != http.StatusUnauthorized || a.code() != code {
		k.t.Errorf("%s: %s %s %v", kind, res.Status, data, err)
	}
	if event {
		k.expect(kind, requestID(res), llmproxy.Refused)
		return
	}
	k.mu.Lock()
	k.counts[kind]++
	k.mu.Unlock()
}

func (k *soak) unknownToken() {
	k.refused("unknown", llmproxy.NewTokenSecret(llmproxy.NewTokenID(time.Now())).Reveal(), "token_invalid", false)
}

// revocation mints a token, uses it, revokes it, and is refused from then on.
func (k *soak) revocation() {
	id, secret := k.h.mint(0, 0)
	use := func(kind string, status int, outcome llmproxy.Outcome) {
		res := k.ask(kind, secret, "", false)
		if res == nil {
			return
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != status {
			k.t.Errorf("%s: %s %v", kind, res.Status, err)
		}
		k.expect(kind, requestID(res), outcome)
	}
	use("before the revocation", http.StatusOK, llmproxy.Complete)
	if err := k.h.service.RevokeTokens(k.t.Context(), operator, id); err != nil {
		k.t.Error(err)
		return
	}
	use("after the revocation", http.StatusUnauthorized, llmproxy.Refused)
}

// level is what a server takes.
type level struct {
	goroutines, descriptors, segments int
	memory                            int64 // resident, in bytes
}

func (l level) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MB, %d spool files", l.goroutines, l.descriptors, float64(l.memory)/(1<<20), l.segments)
}

// level asks the server for its numbers and looks into the spool's folder.
func (k *soak) level() (l level, err error) {
	a := k.h.send(http.MethodGet, k.s.metrics+"/metrics", "", "")
	if a.err != nil {
		return level{}, a.err
	}
	numbers := map[string]float64{}
	for line := range strings.Lines(a.body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			numbers[name] = n
		}
	}
	l.goroutines = int(numbers["go_goroutines"])
	l.descriptors = int(numbers["process_open_fds"])
	l.memory = int64(numbers["process_resident_memory_bytes"])
	if l.goroutines == 0 || l.descriptors == 0 || l.memory == 0 {
		return level{}, fmt.Errorf("the server does not tell its numbers: %d %s", a.status, a.body)
	}
	files, err := os.ReadDir(filepath.Join(k.h.data, "spool"))
	for _, file := range files {
		if ext := filepath.Ext(file.Name()); ext == ".seg" || ext == ".open" {
			l.segments++
		}
	}
	return l, err
}

// sample writes down the level while the load runs.
func (k *soak) sample(every time.Duration) {
	k.repeat(every, func() {
		l, err := k.level()
		if err != nil {
			k.t.Error(err)
			return
		}
		k.series = append(k.series, fmt.Sprintf("%6.0fs %s", time.Since(k.began).Seconds(), l))
	})
}

// rest closes the connections that are kept for more, waits until the events are written, and returns the level that stays.
func (k *soak) rest() level {
	k.t.Helper()
	k.h.client.CloseIdleConnections()
	k.h.upstream.CloseClientConnections()
	k.awaitEvents()
	var last level
	same := 0
	require.Eventually(k.t, func() bool {
		now, err := k.level()
		require.NoError(k.t, err)
		if now.goroutines != last.goroutines || now.descriptors != last.descriptors || now.segments != last.segments {
			same = 0
		}
		last = now
		same++
		return same >= 5
	}, patience, 200*time.Millisecond, "the server does not come to rest")
	k.series = append(k.series, "at rest "+last.String())
	return last
}

// settle waits until the level is what it was.
func (k *soak) settle(before level) {
	k.t.Helper()
	now := k.rest()
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(time.Second) { // what a provider closed is noticed when it has been idle for long
		var err error
		if now, err = k.level(); err != nil {
			k.t.Fatal(err)
		}
		if now.goroutines <= before.goroutines+moreGoroutines && now.descriptors <= before.descriptors+moreDescriptors &&
			now.memory <= before.memory+before.memory/20+moreMemory && now.segments <= before.segments {
			k.series = append(k.series, "settled "+now.String())
			return
		}
	}
	k.t.Fatalf("it was %s\nand it is %s\n%s", before, now, k.summary())
}

// awaitEvents waits until the event log tells of each request.
func (k *soak) awaitEvents() {
	k.t.Helper()
	require.Eventually(k.t, func() bool {
		told := k.told()
		k.mu.Lock()
		defer k.mu.Unlock()
		for key := range k.wants {
			if _, ok := told[key]; !ok {
				return false
			}
		}
		return true
	}, patience, 200*time.Millisecond, "the event log tells of every request")
}

// told reads the event log: how each request ended, by id, or by path where no caller has the id.
func (k *soak) told() map[string]llmproxy.Outcome {
	k.t.Helper()
	file, err := os.Open(k.log)
	require.NoError(k.t, err)
	defer file.Close()
	told := map[string]llmproxy.Outcome{}
	for lines := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return told // a line without its end is being written
		}
		require.NoError(k.t, err)
		var e event
		require.NoError(k.t, json.Unmarshal(line, &e), "%s", line)
		key := e.ID
		if strings.HasPrefix(e.Endpoint, "/v1/batches/") {
			key = e.Endpoint
		}
		require.NotContains(k.t, told, key, "it stands twice: %s", line)
		told[key] = llmproxy.Outcome(e.Outcome)
	}
}

// requireEachEventOnce holds the event log against what the callers saw.
func (k *soak) requireEachEventOnce() {
	k.t.Helper()
	wrong := 0
	for key, outcome := range k.told() {
		want := k.wants[key]
		if outcome == want || want == "" && k.either[key] {
			continue
		}
		if wrong++; wrong <= 10 {
			k.t.Errorf("%s: the event log says %q, its caller saw %q", key, outcome, want)
		}
	}
	require.Zero(k.t, wrong, "requests whose event is wrong")
	for _, kind := range []string{
		"plain", "large", "failing", "stream", "cut", "reset", "left midway", "left before the head", "revoked", "malformed", "missing", "unknown",
		"before the revocation", "after the revocation",
	} {
		require.Positive(k.t, k.counts[kind], "%s: the soak had none\n%s", kind, k.summary())
	}
}

// summary is the series, and what was sent.
func (k *soak) summary() string {
	var b strings.Builder
	for _, line := range k.series {
		fmt.Fprintln(&b, line)
	}
	for _, kind := range slices.Sorted(maps.Keys(k.counts)) {
		fmt.Fprintf(&b, "%8d %s\n", k.counts[kind], kind)
	}
	return b.String()
}
