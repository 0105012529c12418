package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// healthFront answers GET /health beside a handler, as the server does, and passes everything else on untouched.
type healthFront struct {
	next http.Handler
	ping func(context.Context) error // asks the store; it bounds itself

	mu    sync.Mutex
	asked time.Time
	err   error
}

// healthFor is how long an answer of the store is kept: nobody can make a process ask it more often.
const healthFor = 5 * time.Second

// ServeHTTP implements [http.Handler].
func (h *healthFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path != "/health" {
		h.next.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answerHealth(w, http.StatusMethodNotAllowed, "only GET and HEAD are allowed here")
		return
	}
	status := "ok"
	if h.store(r.Context()) != nil {
		status = "degraded" // why is in the log, not for strangers
	}
	answerHealth(w, http.StatusOK, status)
}

// store asks the store, or remembers what it said.
func (h *healthFront) store(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.asked) >= healthFor {
		h.err, h.asked = h.ping(ctx), time.Now()
	}
	return h.err
}

func answerHealth(w http.ResponseWriter, status int, says string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the caller may be gone
		Status    string    `json:"status"`
		Timestamp time.Time `json:"timestamp"`
	}{says, time.Now().UTC().Truncate(time.Millisecond)})
}
