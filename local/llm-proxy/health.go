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
	Reasons   []string  `json:"reasons,omitempty"` // why it is degraded
}

const (
	healthOK       = "ok"
	healthDegraded = "degraded"
)

// healthChecks answer /health, /health/live and /health/ready.
type healthChecks struct {
	reasons func() []string             // why the server is degraded; none if it is not
	ping    func(context.Context) error // asks the store
	log     *zap.Logger

	mu      sync.Mutex
	asked   time.Time
	pingErr error
}

// readyFor is how long an answer of the store is kept.
const readyFor = 5 * time.Second

// route wraps next: the exact paths of the checks are answered here, every other request goes on with its path untouched.
func (c *healthChecks) route(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer func(http.ResponseWriter, *http.Request)
		switch r.RequestURI {
		case "/health":
			answer = c.health
		case "/health/live":
			answer = func(w http.ResponseWriter, _ *http.Request) {
				answerJSON(w, http.StatusOK, map[string]string{"status": healthOK})
			}
		case "/health/ready":
			answer = c.ready
		default:
			next.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			answerJSON(w, http.StatusMethodNotAllowed, map[string]string{"status": "only GET and HEAD are allowed here"})
			return
		}
		answer(w, r)
	})
}

func (c *healthChecks) health(w http.ResponseWriter, _ *http.Request) {
	h := health{Status: healthOK, Timestamp: time.Now().UTC().Truncate(time.Millisecond), Version: version, Reasons: c.reasons()}
	if len(h.Reasons) > 0 {
		h.Status = healthDegraded
	}
	answerJSON(w, http.StatusOK, h)
}

func (c *healthChecks) ready(w http.ResponseWriter, r *http.Request) {
	if err := c.store(r.Context()); err != nil {
		c.log.Warn("not ready", zap.Error(err))
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	c.asked, c.pingErr = time.Now(), c.ping(ctx)
	return c.pingErr
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}
