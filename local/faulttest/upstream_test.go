package faulttest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// upstream is a provider that keeps a list of what it was asked. GET /v1/models/{n} is request number n; more tests may add paths.
type upstream struct {
	*httptest.Server
	mux   *http.ServeMux
	delay func(n int) time.Duration // before it answers request n; nil is none

	mu   sync.Mutex
	keys map[int][]string // with which keys each number was asked for
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{mux: http.NewServeMux(), keys: map[int][]string{}}
	u.mux.HandleFunc("GET /v1/models/{n}", u.model)
	u.Server = httptest.NewServer(u.mux)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) model(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		http.Error(w, "not a number", http.StatusNotFound)
		return
	}
	u.mu.Lock()
	u.keys[n] = append(u.keys[n], strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	u.mu.Unlock()
	if u.delay != nil {
		time.Sleep(u.delay(n))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"id":"%d","object":"model"}`, n)
}

// executed is what it was asked: by number, the keys that came with it.
func (u *upstream) executed() map[int][]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.keys)
}
