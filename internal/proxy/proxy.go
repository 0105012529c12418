package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// RequestIDHeader carries the id of the request's event. It is the one header that answers get from us.
const RequestIDHeader = "X-Llm-Proxy-Request-Id"

// Config joins the parts of a [Handler].
type Config struct {
	Providers *provider.Set // which upstreams and endpoints there are; required
	Store     Store         // required
	Keys      Keys          // required
	Events    Publisher     // required

	// Observe is called once for each request that ends, refused ones of strangers too, for metrics. It runs on the request's
	// goroutine and must not keep the event. Nil observes nothing.
	Observe func(*llmproxy.Event)
	// Capture is for projects that leave it open. The zero value is CaptureFull.
	Capture llmproxy.Capture
	// MaxConcurrentPerToken caps a token's requests under way in this process. 0 is no cap.
	MaxConcurrentPerToken int
	// MaxUnknownPerMinute is how many well-formed but unknown tokens one source may try before ids never admitted here are
	// refused without asking the store. 0 is no limit.
	MaxUnknownPerMinute int
	// Now is the clock that tokens are compared with. Nil is time.Now; durations are measured on the monotonic clock regardless.
	Now func() time.Time
	// Log takes refusals of strangers, upstream faults and panics. Nil logs nothing.
	Log *zap.Logger
}

// Handler carries requests to their upstream. It is safe for concurrent use.
type Handler struct {
	cfg        Config
	upstreams  map[*provider.Provider]*upstream
	admission  *admission
	callerIdle time.Duration // shorter in tests
}

// New returns the handler for a configuration; an error names what is missing.
func New(cfg Config) (*Handler, error) {
	var missing []error
	if cfg.Providers == nil {
		missing = append(missing, errors.New("Providers"))
	}
	if cfg.Store == nil {
		missing = append(missing, errors.New("Store"))
	}
	if cfg.Keys == nil {
		missing = append(missing, errors.New("Keys"))
	}
	if cfg.Events == nil {
		missing = append(missing, errors.New("Events"))
	}
	if missing != nil {
		return nil, fmt.Errorf("proxy configuration lacks: %w", errors.Join(missing...))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Capture == llmproxy.CaptureDefault {
		cfg.Capture = llmproxy.CaptureFull
	}
	h := &Handler{
		cfg:        cfg,
		upstreams:  make(map[*provider.Provider]*upstream, len(cfg.Providers.Providers)),
		admission:  newAdmission(cfg.MaxConcurrentPerToken, cfg.MaxUnknownPerMinute),
		callerIdle: callerIdle,
	}
	for _, p := range cfg.Providers.Providers {
		h.upstreams[p] = newUpstream(p)
	}
	return h, nil
}

// Close gives idle upstream connections back. Requests under way go on.
func (h *Handler) Close() {
	for _, u := range h.upstreams {
		u.client.CloseIdle()
	}
}

// ServeHTTP carries one request. Where the upstream's answer breaks off it panics with [http.ErrAbortHandler], so that whoever
// serves the handler breaks the caller's answer too.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.newExchange(w, r)
	defer x.end()
	if refused := x.serve(); refused != nil { //nolint:contextcheck // the exchange has it with its request
		x.refuse(refused)
	}
}

// serve takes the steps of a request, from free to dear, until one refuses.
func (x *exchange) serve() *refusal {
	if no := x.allow(); no != nil {
		return no
	}
	if x.preflight() {
		return nil
	}
	if no := x.circuit(); no != nil {
		return no
	}
	if no := x.authorize(); no != nil {
		return no
	}
	x.begin()
	if no := x.projectAllows(); no != nil {
		return no
	}
	if no := x.openKey(); no != nil {
		return no
	}
	if no := x.forward(); no != nil {
		return no
	}
	return x.respond()
}
