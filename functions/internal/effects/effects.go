// Package effects helps the functions' tests to show that each of their settings changes something.
package effects

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each runs the row of every setting in the fields of S, which shows what it changes. A setting without a row fails, and so does a row
// without a setting.
func Each[S any](t *testing.T, rows map[string]func(*testing.T)) {
	t.Helper()
	known := map[string]bool{}
	for field := range reflect.TypeFor[S]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name == "" {
			continue
		}
		known[name] = true
		t.Run(name, func(t *testing.T) {
			require.NotNil(t, rows[name], "%s has no row: what does it change?", name)
			rows[name](t)
		})
	}
	for name := range rows {
		require.True(t, known[name], "%s is no setting", name)
	}
}

// AWS stands where AWS would, and elsewhere, and keeps what it hears. It refuses operations that are not in Answers.
type AWS struct {
	URL string
	// Answers are bodies of answers by the operation's name, the last part of X-Amz-Target.
	Answers map[string]string

	mu    sync.Mutex
	heard strings.Builder
}

// Listen starts it and leads the environment there.
func Listen(t *testing.T) *AWS {
	t.Helper()
	a := &AWS{Answers: map[string]string{}}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.URL = server.URL
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEFAKEFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	return a
}

// ServeHTTP implements [http.Handler].
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // as far as it came
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		if plain, err := io.ReadAll(z); err == nil {
			body = plain
		}
	}
	a.mu.Lock()
	fmt.Fprintf(&a.heard, "%s %s\n", r.Method, r.URL)
	for name, values := range r.Header {
		fmt.Fprintf(&a.heard, "%s: %s\n", name, strings.Join(values, ", "))
	}
	fmt.Fprintf(&a.heard, "%s\n", body)
	a.mu.Unlock()
	target := r.Header.Get("X-Amz-Target")
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if target == "" {
		_, _ = io.WriteString(w, "{}")
		return
	}
	if answer, ok := a.Answers[target[strings.LastIndexByte(target, '.')+1:]]; ok {
		_, _ = io.WriteString(w, answer)
		return
	}
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"__type":"ValidationException"}`)
}

// Heard is what came since it was asked last: targets, headers and bodies.
func (a *AWS) Heard() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.heard.Reset()
	return a.heard.String()
}

// Logged returns what a piece of work writes to standard error.
func Logged(t *testing.T, work func()) string { return caught(t, &os.Stderr, work) }

// Printed returns what it writes to standard output.
func Printed(t *testing.T, work func()) string { return caught(t, &os.Stdout, work) }

func caught(t *testing.T, stream **os.File, work func()) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "caught"))
	require.NoError(t, err)
	defer file.Close()
	usual := *stream
	*stream = file
	defer func() { *stream = usual }()
	work()
	all, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(all)
}
