package dispatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// alone is a destination that notices when it is used by two at once, or while it is not open.
type alone struct {
	scripted
	t      *testing.T
	use    sync.Mutex
	isOpen bool
}

func (d *alone) enter() func() {
	require.True(d.t, d.use.TryLock(), "one at a time")
	return d.use.Unlock
}

func (d *alone) Start(ctx context.Context, note []byte) error {
	defer d.enter()()
	err := d.scripted.Start(ctx, note)
	d.isOpen = err == nil
	return err
}

func (d *alone) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	defer d.enter()()
	require.True(d.t, d.isOpen)
	time.Sleep(time.Second)
	return d.scripted.Deliver(ctx, events)
}

func (d *alone) Note() []byte { defer d.enter()(); return nil }

func (d *alone) Close() error {
	defer d.enter()()
	d.isOpen = false
	return d.scripted.Close()
}

func TestATestEventGoesBetweenDeliveriesTheWayOfAllOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newSource(requests(500)...)
		dst := &alone{t: t, scripted: scripted{failStart: 1}}
		l := New(Config{Name: "webhook", Source: source, Destination: dst, DeadLetters: filepath.Join(t.TempDir(), "dead.jsonl")})
		early := l.Test(t.Context())
		require.Equal(t, llmproxy.TestFailed, early.Result)
		require.Contains(t, early.Error, "has not started")

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		pass(1500 * time.Millisecond) // in the middle of a delivery
		test := l.Test(t.Context())
		require.Equal(t, llmproxy.TestDelivered, test.Result)
		require.Empty(t, test.Error)
		require.Positive(t, test.Took)
		pass(time.Minute)
		require.Equal(t, uint64(500), l.Stats().Delivered, "it counts nowhere")
		require.Len(t, dst.ids(), 501)
		marked := 0
		for _, e := range dst.took {
			if e.Test {
				marked++
				require.Equal(t, test.ID, e.ID)
				require.Nil(t, e.Request.Body, "bodies as the destination gets them from others")
			}
		}
		require.Equal(t, 1, marked)
		dst.answers = []answer{answers500, refuses(), panics}
		require.Equal(t, llmproxy.TestFailed, l.Test(t.Context()).Result)
		require.Equal(t, llmproxy.TestDelivered, l.Test(t.Context()).Result)
		refused := l.Test(t.Context())
		require.Equal(t, llmproxy.TestRefused, refused.Result)
		require.Contains(t, refused.Error, "panic")
		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, llmproxy.TestFailed, l.Test(t.Context()).Result, "it has ended")
	})
}

func TestATestDoesNotWaitLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dst := &scripted{answers: []answer{hangs}}
		l := New(Config{Name: "webhook", Source: newSource(requests(1)...), Destination: dst, DeadLetters: filepath.Join(t.TempDir(), "dead.jsonl")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		within, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		test := l.Test(within)
		require.Equal(t, llmproxy.TestFailed, test.Result)
		require.Contains(t, test.Error, "busy with other events")
		require.Equal(t, 5*time.Second, test.Took)
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestALoopSendsItsDeadLettersAgainWhileItDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dead.jsonl")
		events := requests(400)
		source := newSource(events...)
		dst := &alone{t: t, scripted: scripted{answers: []answer{refuses(events[3].ID, events[7].ID)}}}
		l := New(Config{Name: "webhook", Kind: "webhook", Source: source, Destination: dst, DeadLetters: path, BatchSize: 10})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		pass(5 * time.Second)
		require.Equal(t, uint64(2), l.Stats().Dead)

		var once sync.WaitGroup
		once.Go(func() {
			pass(0)
			_, _, err := l.Redrive(t.Context())
			require.ErrorIs(t, err, llmproxy.ErrElsewhere, "one at a time")
			require.True(t, l.Redriving())
		})
		taken, dead, err := l.Redrive(t.Context())
		once.Wait()
		require.NoError(t, err)
		require.EqualValues(t, 2, taken)
		require.Zero(t, dead)
		require.False(t, l.Redriving())
		files, err := DeadLetterFiles(path)
		require.NoError(t, err)
		require.Empty(t, files)

		pass(5 * time.Minute)
		require.ElementsMatch(t, idsOf(events), dst.ids(), "each once, and the loop has gone on with its destination open")
		cancel()
		require.NoError(t, <-ended)
		report, known, err := ReadReport(source.Note())
		require.NoError(t, err)
		require.True(t, known)
		require.Equal(t, Report{Kind: "webhook", Since: report.Since, Delivered: 398, Dead: 2, LastDelivery: report.LastDelivery}, report)
	})
}

func TestAnEndedLoopLosesNoDeadLetterThatIsToBeSent(t *testing.T) {
	backend := newStub(t, func(http.ResponseWriter, *http.Request, []byte) []string { return nil })
	path := DeadLettersPath(t.TempDir(), "webhook")
	bury(t, path, request(1))
	cfg := redriveConfig(t, backend)
	cfg.Source, cfg.DeadLetters = newSource(), path
	l := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.Run(ctx))
	within, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	_, dead, err := l.Redrive(within)
	require.NoError(t, err) // five tries at a destination that is closed
	require.EqualValues(t, 1, dead)
	require.Empty(t, backend.ids())
	files, err := DeadLetterFiles(path)
	require.NoError(t, err)
	require.Len(t, files, 1, "it is a dead letter still")
}

func TestANoteWithoutAReportIsNotKnown(t *testing.T) {
	for _, note := range [][]byte{nil, []byte(`{}`), []byte(`{"destination":{"path":"x"}}`)} {
		_, known, err := ReadReport(note)
		require.NoError(t, err)
		require.False(t, known)
	}
	_, _, err := ReadReport([]byte(`"no object"`))
	require.Error(t, err)
}

// TestAReasonTellsNothingOfAnAddress: many addresses of webhooks are credentials themselves, and a page for "not found" quotes them.
func TestAReasonTellsNothingOfAnAddress(t *testing.T) {
	const path, key, auth = "/services/T0000FAKE/fake-hook-credential", "fake-query-credential", "fake-authorization"
	for _, quote := range []string{
		"cannot POST " + path, "cannot POST " + path + "?key=" + key, "no hook fake-hook-credential", "the key " + key + " is none", "Bearer " + auth + " is none", auth + " is none",
	} {
		backend := newStub(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) []string { return badRequest(w, quote) })
		dst, err := Open("webhook", Settings{Webhook: WebhookConfig{
			URL: llmproxy.NewSecret(backend.URL + path + "?key=" + key), Authorization: llmproxy.NewSecret("Bearer " + auth),
		}})
		require.NoError(t, err)
		test, err := Test(t.Context(), Config{Name: "webhook", Destination: dst})
		require.NoError(t, err)
		require.Equal(t, llmproxy.TestRefused, test.Result)
		require.Contains(t, test.Error, "status 400: ")
		for _, secret := range []string{path, "T0000FAKE/", "fake-"} {
			require.NotContains(t, test.Error, secret, quote)
		}
	}
}

// TestEveryDestinationTakesATestEventThatIsMarked: through the destination's own send, to a backend that takes what the real one takes.
func TestEveryDestinationTakesATestEventThatIsMarked(t *testing.T) {
	for _, c := range destinationCases {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var sent []byte
			take := c.take()
			backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
				mu.Lock()
				defer mu.Unlock()
				sent = append(sent, body...)
				if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
					plain, err := io.ReadAll(z)
					require.NoError(t, err)
					sent = append(sent, plain...)
				}
				return take(w, r, body)
			})
			dst, err := Open(c.name, c.open(backend.URL))
			require.NoError(t, err)
			test, err := Test(t.Context(), Config{Name: c.name, Destination: dst})
			require.NoError(t, err)
			require.Equal(t, llmproxy.TestDelivered, test.Result, test.Error)
			require.Equal(t, []string{test.ID.String()}, backend.ids())
			mark := map[string]string{"helicone": `"Helicone-Property-Test":"true"`, "lunary": `"tags":["test"]`, "cloudwatch": `\"test\":true`, "eventbridge": `\"test\":true`}[c.name]
			if mark == "" {
				mark = `"test":true`
			}
			require.Contains(t, string(sent), mark)
			require.Contains(t, string(sent), llmproxy.TestModel)
			require.NotContains(t, string(sent), "_aws", "it is in no metric")
		})
	}
}

// TestTheLastErrorIsOfAnEventThatWasTried: events that were left for the next round tell nothing of why.
func TestTheLastErrorIsOfAnEventThatWasTried(t *testing.T) {
	dst := &scripted{answers: []answer{func(_ context.Context, events []*llmproxy.Event) []Result {
		results := all(len(events), Retry(errLeft, 0))
		results[len(events)-1] = Retry(errors.New("status 503"), 0)
		return results
	}}}
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Name: "webhook", Source: newSource(requests(3)...), Destination: dst, DeadLetters: filepath.Join(t.TempDir(), "dead.jsonl")})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, "status 503", l.Stats().LastError)
		cancel()
		require.NoError(t, <-ended)
	})
}
