package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// TB is what [Serve] asks of a test; *testing.T and *testing.B fit.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is a stand-in provider that serves a test and keeps what it was asked.
type Server struct {
	URL string // without a slash at its end

	handler http.Handler
	server  *http.Server
	running sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each change
	requests []*record
}

// Request is a request as it reached the provider.
type Request struct {
	Time          time.Time // of its head
	Method        string
	Path          string // as it was sent, not decoded
	Query         string // as it was sent
	Host          string
	Header        http.Header
	ContentLength int64  // -1 if it was not announced
	Body          []byte // the first megabyte
	Size          int64  // of the whole body, as far as it came
	SHA256        string // of the same, in hex
	Files         []File // of a multipart body
	Ended         bool   // the answer is sent, or was broken off
	Gone          bool   // the caller left while its answer was under way
}

// File is a file of a multipart body.
type File struct {
	Field, Name string
	Size        int64
	SHA256      string // in hex
}

// keptBody is how much of a body a [Request] holds.
const keptBody = 1 << 20

// Serve starts a provider on a loopback port; the end of the test ends it and whatever waits there.
func Serve(t TB, opts ...Option) *Server {
	t.Helper()
	p := newProvider(opts)
	if p.err != nil {
		t.Fatalf("demo.Serve: %v", p.err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("demo.Serve: %v", err)
	}
	s := &Server{URL: "http://" + listener.Addr().String(), handler: p, changed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, MaxHeaderBytes: 4 << 20, BaseContext: func(net.Listener) context.Context { return ctx }}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.server.Serve(listener) // it ends when it is closed
	}()
	t.Cleanup(func() {
		cancel()
		s.server.Close()
		<-served
		s.running.Wait()
	})
	return s
}

// Requests are all requests so far, in the order of their heads.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = r.request()
	}
	return all
}

// Paths are the paths of all requests so far.
func (s *Server) Paths() []string {
	var paths []string
	for _, r := range s.Requests() {
		paths = append(paths, r.Path)
	}
	return paths
}

// WaitFor returns the requests once there are n of them for which is holds (nil is any), and fails the test if that takes too long.
func (s *Server) WaitFor(t TB, n int, is func(Request) bool) []Request {
	t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		all := s.Requests()
		if is != nil {
			all = slices.DeleteFunc(all, func(r Request) bool { return !is(r) })
		}
		if len(all) >= n {
			return all
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("the demo provider waited 30 s for %d requests and saw %d", n, len(all))
			return nil
		}
	}
}

// ServeHTTP keeps the request and lets the provider answer it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Done()
	path, query, _ := strings.Cut(r.RequestURI, "?")
	k := &record{hash: sha256.New(), body: r.Body, changed: s.change}
	k.Request = Request{
		Time: time.Now(), Method: r.Method, Path: path, Query: query, Host: r.Host, Header: r.Header.Clone(), ContentLength: r.ContentLength,
	}
	s.mu.Lock()
	s.requests = append(s.requests, k)
	s.signal()
	s.mu.Unlock()

	defer s.change(func() { k.Ended = true })
	r.Body = k
	r = r.WithContext(context.WithValue(r.Context(), recordKey{}, k))
	s.handler.ServeHTTP(w, r)
}

// change lets do alter what is kept, and tells those who wait.
func (s *Server) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.signal()
}

func (s *Server) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// record is a request that is still being read.
type record struct {
	Request
	hash    hash.Hash
	body    io.ReadCloser
	changed func(func())
}

type recordKey struct{}

// Read keeps what passes.
func (k *record) Read(b []byte) (int, error) {
	n, err := k.body.Read(b)
	if n > 0 {
		k.changed(func() {
			k.hash.Write(b[:n])
			k.Size += int64(n)
			k.Body = append(k.Body, b[:min(n, keptBody-len(k.Body))]...)
		})
	}
	return n, err
}

func (k *record) Close() error { return k.body.Close() }

// request is a copy that stays as it is. Server.mu is held.
func (k *record) request() Request {
	r := k.Request
	r.Header, r.Body, r.Files = k.Header.Clone(), slices.Clone(k.Body), slices.Clone(k.Files)
	r.SHA256 = hex.EncodeToString(k.hash.Sum(nil))
	return r
}

// keepGone notes that the caller left before the end of its answer.
func keepGone(ctx context.Context) {
	if k, ok := ctx.Value(recordKey{}).(*record); ok {
		k.changed(func() { k.Gone = true })
	}
}

// keepFiles adds the files of a multipart body to what a [Server] keeps of its request.
func keepFiles(ctx context.Context, files []uploaded) {
	k, ok := ctx.Value(recordKey{}).(*record)
	if !ok {
		return
	}
	k.changed(func() {
		for _, f := range files {
			k.Files = append(k.Files, File{f.Field, f.Name, f.Size, f.SHA256})
		}
	})
}
