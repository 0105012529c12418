package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
)

// health is what /health answers.
type health struct {
	Status    string    `json:"status"` // healthOK or healthDegraded
	Timestamp time.Time `json:"timestamp"`
	Version   string    `json:"version"`
	Reasons   []string  `json:"reasons,omitempty"` // why it is degraded; on the loopback listener only, since they name files
}

const (
	healthOK       = "ok"
	healthDegraded = "degraded"
)

// healthChecks answer how the server is.
type healthChecks struct {
	events func() []string             // why promises about events are not kept; none if they are
	ping   func(context.Context) error // asks the store
	log    *zap.Logger

	mu      sync.Mutex
	asked   time.Time
	pingErr error
}

const (
	readyFor    = 5 * time.Second // how long an answer of the store is kept
	pingTimeout = time.Second
)

// health says whether the server keeps its promises. It is 200 either way: a degraded server serves.
func (c *healthChecks) health(w http.ResponseWriter, r *http.Request) {
	h := c.now(r.Context())
	h.Reasons = nil
	answerJSON(w, http.StatusOK, h)
}

// inside is health with the reasons.
func (c *healthChecks) inside(w http.ResponseWriter, r *http.Request) {
	answerJSON(w, http.StatusOK, c.now(r.Context()))
}

func (c *healthChecks) now(ctx context.Context) health {
	h := health{Status: healthOK, Timestamp: time.Now().UTC().Truncate(time.Millisecond), Version: version, Reasons: c.events()}
	if err := c.store(ctx); err != nil {
		h.Reasons = append(h.Reasons, "store: "+err.Error())
	}
	if len(h.Reasons) > 0 {
		h.Status = healthDegraded
	}
	return h
}

// live says that the process answers. It does no I/O.
func (c *healthChecks) live(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, map[string]string{"status": healthOK})
}

// ready says whether the store answers, or did a moment ago.
func (c *healthChecks) ready(w http.ResponseWriter, r *http.Request) {
	if err := c.store(r.Context()); err != nil {
		answerJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "the store does not answer"})
		return
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": healthOK})
}

// store asks the store, or remembers what it said.
func (c *healthChecks) store(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) < readyFor {
		return c.pingErr
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout) // the answer is for others too
	defer cancel()
	before := c.pingErr
	c.pingErr = c.ping(ctx)
	c.asked = time.Now()
	switch {
	case c.pingErr != nil && before == nil:
		c.log.Error("the store does not answer", zap.Error(c.pingErr))
	case c.pingErr == nil && before != nil:
		c.log.Info("the store answers again")
	}
	return c.pingErr
}

// onlyGet answers GET and HEAD.
func onlyGet(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answerJSON(w, http.StatusMethodNotAllowed, map[string]string{"status": "only GET and HEAD are allowed here"})
			return
		}
		answer(w, r)
	})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
