package suite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a client may take for one line. It is there for a test that would hang.
const patience = time.Minute

// Order is what a client is to do: one line of JSON on its standard input.
type Order struct {
	Do      string `json:"do"`                 // chat, stream_chat, respond, ...: see the cases
	BaseURL string `json:"base_url,omitempty"` // in place of OPENAI_BASE_URL
	Key     string `json:"key,omitempty"`      // in place of OPENAI_API_KEY
	Demo    string `json:"demo,omitempty"`     // the request header X-Demo
	File    string `json:"file,omitempty"`     // to upload
	Retries *int   `json:"retries,omitempty"`  // at most; absent is the SDK's own number
}

// Line is a line of JSON on the client's standard output: a chunk of a stream, or how the order ended.
type Line struct {
	Chunk *string `json:"chunk"` // its text, which may be empty
	Done  *Done   `json:"done"`
	Error *Error  `json:"error"`
}

// Done is what the SDK understood of a good answer.
type Done struct {
	Text   string   `json:"text"`
	Input  int      `json:"input"`
	Output int      `json:"output"`
	Total  int      `json:"total"`
	Count  int      `json:"count"` // of images, models, numbers of an embedding
	IDs    []string `json:"ids"`
	Bytes  int      `json:"bytes"`
}

// Error is an error that the SDK raised.
type Error struct {
	Class   string `json:"class"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Client is a program that is written with an SDK and takes orders.
type Client struct {
	orders io.WriteCloser
	lines  chan Line
	said   *output // what else it says
}

// NewClient takes a client's standard input and output.
func NewClient(orders io.WriteCloser, answers io.Reader) *Client {
	c := &Client{orders: orders, lines: make(chan Line), said: &output{}}
	go func() {
		defer close(c.lines)
		lines := bufio.NewScanner(answers)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var l Line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l == (Line{}) {
				_, _ = c.said.Write(append(lines.Bytes(), '\n')) // to memory
				continue
			}
			c.lines <- l
		}
	}()
	return c
}

// StartProcess starts a client that is a program. It ends when it gets no more orders, at the latest a while after the test.
func StartProcess(t *testing.T, env []string, name string, args ...string) *Client {
	t.Helper()
	cmd := exec.Command(name, args...) //nolint:gosec,noctx // programs of ours; their end is waited for below
	cmd.Env = environment(env...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	errs := &output{}
	cmd.Stderr = errs
	require.NoError(t, cmd.Start())
	c := NewClient(in, out)
	c.said = errs
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it may just have ended
		defer kill.Stop()
		for range c.lines { // what nobody asked for any more
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the client ended with %v:\n%s", err, errs)
		}
	})
	return c
}

// environment is this process's without what clients take for their own settings.
func environment(more ...string) []string {
	var kept []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "OPENAI_") && !strings.HasPrefix(name, "ANTHROPIC_") && !strings.HasPrefix(name, "LLM_PROXY_") && !strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			kept = append(kept, e)
		}
	}
	return append(kept, more...)
}

// give gives an order.
func (c *Client) give(t *testing.T, o Order) {
	t.Helper()
	line, err := json.Marshal(o)
	require.NoError(t, err)
	_, err = c.orders.Write(append(line, '\n'))
	require.NoError(t, err, "the client takes no orders:\n%s", c.said)
}

// next is the client's next line.
func (c *Client) next(t *testing.T) Line {
	t.Helper()
	select {
	case l, ok := <-c.lines:
		require.True(t, ok, "the client has ended:\n%s", c.said)
		return l
	case <-time.After(patience):
		require.FailNow(t, "the client says nothing", "%s", c.said)
		return Line{}
	}
}

// end is how an order ends, with the chunks before.
func (c *Client) end(t *testing.T, o Order) (chunks []string, end Line) {
	t.Helper()
	c.give(t, o)
	for {
		l := c.next(t)
		if l.Chunk == nil {
			return chunks, l
		}
		chunks = append(chunks, *l.Chunk)
	}
}

// done is the good end of an order.
func (c *Client) done(t *testing.T, o Order) Done {
	t.Helper()
	_, l := c.end(t, o)
	require.Nil(t, l.Error, "%s: %+v\n%s", o.Do, l.Error, c.said)
	require.NotNil(t, l.Done)
	return *l.Done
}

// fails is the error that an order ends in.
func (c *Client) fails(t *testing.T, o Order) Error {
	t.Helper()
	_, l := c.end(t, o)
	require.NotNil(t, l.Error, "%s: an error was expected, and this came: %+v", o.Do, l.Done)
	return *l.Error
}

// output keeps what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Installed is the folder in which setup.sh has installed the SDK of a language. The test fails if it has not, or has other versions.
func Installed(t *testing.T, language, pins string) string {
	t.Helper()
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		require.NoError(t, err)
		cache = filepath.Join(home, ".cache")
	}
	dir := filepath.Join(cache, "llm-proxy", "sdk", language)
	wants, err := os.ReadFile(pins)
	require.NoError(t, err)
	stamp, err := os.ReadFile(filepath.Join(dir, ".stamp")) //nolint:gosec // where the caller's own environment has its cache
	if err != nil || !bytes.HasSuffix(bytes.TrimSpace(stamp), bytes.TrimSpace(wants)) {
		require.FailNow(t, "the SDK is not installed: run local/sdktest/setup.sh, or make sdk")
	}
	return dir
}
