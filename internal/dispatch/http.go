package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

const (
	maxAnswer   = 4 << 20          // of a backend's answer as much is read
	shownAnswer = 300              // of it as much is told in a reason
	callTimeout = 15 * time.Second // of one call
)

// backend is a service that takes events by POST.
type backend struct {
	client  *http.Client
	secrets []llmproxy.Secret // what must not be told, should the service quote it
}

func newBackend(secrets ...llmproxy.Secret) *backend {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true,
	}
	return &backend{
		client: &http.Client{
			Transport: transport, Timeout: callTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // credentials go where they were meant to
		},
		secrets: secrets,
	}
}

func (b *backend) close() { b.client.CloseIdleConnections() }

// reply is a backend's answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post sends a body and reads the answer. An error means that it is not known whether the body arrived.
func (b *backend) post(ctx context.Context, address string, header http.Header, body []byte) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return reply{}, errors.New("the address of the destination cannot be used") // the reason would quote it
	}
	req.Header = header.Clone()
	req.Header.Set("User-Agent", "llm-proxy")
	resp, err := b.client.Do(req)
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		err = withAddress.Err // an address may hold a secret
	}
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return reply{}, fmt.Errorf("the answer with status %d broke off: %w", resp.StatusCode, err)
	}
	return reply{resp.StatusCode, resp.Header, answer}, nil
}

// refused is what an answer that is no success means. Only what is about the events themselves is poison; a key that is not taken or
// an address that is not there is for the operator to mend, and costs no event.
func (b *backend) refused(r reply) Result {
	err := b.told(r)
	switch r.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return Poison(err)
	}
	return Retry(err, retryAfter(r.header, time.Now()))
}

// told is an answer as an error, without our secrets.
func (b *backend) told(r reply) error {
	text := strings.Join(strings.Fields(string(r.body[:min(len(r.body), 4*shownAnswer)])), " ")
	for _, s := range b.secrets {
		if !s.IsZero() {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	if len(text) > shownAnswer {
		text = text[:shownAnswer] + "..."
	}
	if text == "" {
		return fmt.Errorf("status %d", r.status)
	}
	return fmt.Errorf("status %d: %s", r.status, text)
}

// retryAfter is how long a backend asks to be left alone, in seconds or until a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// failuresInARow after which a backend is taken to be down, and the rest of a batch is left for the next round.
const failuresInARow = 3

// each does n things, so many at once, and returns what became of each. When the backend asks to be left alone, or nothing but
// failures came several times in a row, what was not begun is for the next round. Rounds begin at different places, so that a few that
// always fail do not stand before the others.
func each(ctx context.Context, n, parallel int, do func(ctx context.Context, i int) Result) []Result {
	results := all(n, Result{})
	var (
		mu   sync.Mutex
		next int
		row  int
		stop *Result
		wg   sync.WaitGroup
	)
	first := rand.IntN(max(n, 1)) //nolint:gosec // where a round begins is no secret
	take := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		for next < n {
			i := (first + next) % n
			next++
			if err := mayBegin(ctx); err != nil && stop == nil {
				stop = &Result{Err: err}
			}
			if stop == nil {
				return i, true
			}
			results[i] = *stop
		}
		return 0, false
	}
	for range min(parallel, n) {
		wg.Go(func() {
			for i, ok := take(); ok; i, ok = take() {
				r := do(ctx, i)
				mu.Lock()
				results[i] = r
				switch {
				case r.Err == nil || r.Poison:
					row = 0
				case r.After > 0 || row+1 >= failuresInARow:
					stop = &Result{Err: r.Err, After: r.After}
				default:
					row++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return results
}

// halves sends events together and, when the backend will not take them, in halves, until the ones that it will not take are alone.
func halves(ctx context.Context, events []*llmproxy.Event, send func(context.Context, []*llmproxy.Event) []Result) []Result {
	if err := mayBegin(ctx); err != nil {
		return all(len(events), Retry(err, 0))
	}
	results := send(ctx, events)
	if len(events) == 1 {
		return results
	}
	for _, r := range results {
		if !r.Poison {
			return results
		}
	}
	middle := len(events) / 2
	return append(halves(ctx, events[:middle], send), halves(ctx, events[middle:], send)...)
}

// errLeft is why an event was not tried: others before it failed.
var errLeft = errors.New("not tried, since the backend did not take others")

// worst is the result that says most about how the backend is: one that is to be retried before poison before delivered.
func worst(results []Result) Result {
	var w Result
	for _, r := range results {
		if r.Err != nil && (w.Err == nil || w.Poison && !r.Poison || r.After > w.After) {
			w = r
		}
	}
	return w
}

// chunks cuts events into pieces of at most size.
func chunks(events []*llmproxy.Event, size int) [][]*llmproxy.Event {
	return slices.Collect(slices.Chunk(events, size))
}
