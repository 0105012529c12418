package suite

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// SDK is an SDK under test.
type SDK struct {
	// Start starts the client that is written with it. It takes base URL and key from the environment, as everybody's program does.
	Start func(t *testing.T, baseURL, key string) *Client

	// Classes are the SDK's own errors by status.
	Classes map[int]string
}

// question is what the clients ask; the answer repeats it.
const question = "Which way to the harbour?"

// Run puts an SDK through all cases, one after another, with the server as the proxy.
func Run(t *testing.T, sdk SDK) { run(t, newWorld(t), &sdk) }

// RunOnLambda puts an SDK through all cases with the built function behind a function URL as the proxy.
func RunOnLambda(t *testing.T, sdk SDK) {
	w := newLambdaWorld(t)
	run(t, w, &sdk)
	c := sdk.Start(t, w.url+"/v1", w.token)
	t.Run("what has more than 6 MB is refused by the platform", func(t *testing.T) { tooLarge(t, w, c) })
	t.Run("a WebSocket is refused with 426", func(t *testing.T) { webSocket(t, w) })
}

func run(t *testing.T, w *world, sdk *SDK) {
	c := sdk.Start(t, w.url+"/v1", w.token)
	for _, one := range []struct {
		name string
		run  func(*testing.T, *world, *Client, *SDK)
	}{
		{"chat", chat},
		{"a streamed chat arrives chunk by chunk", streamedChat},
		{"compressed answers", compressed},
		{"responses", respond},
		{"a streamed response arrives event by event", streamedResponse},
		{"embeddings", embed},
		{"models", models},
		{"images", images},
		{"a file of megabytes", upload},
		{"the transcription of megabytes", transcribe},
		{"errors are of the SDK's own types", typedErrors},
		{"an upstream that cannot be reached", unreachable},
		{"a key that the upstream refuses", refusedKey},
		{"Retry-After is honoured", retryAfter},
		{"an exhausted token costs one store call", exhausted},
		{"a stream that is cut looks broken", cutStream},
	} {
		t.Run(one.name, func(t *testing.T) { one.run(t, w, c, sdk) })
	}
}

// since are the requests that the provider got after the first n.
func since(up *demo.Server, n int) []demo.Request { return up.Requests()[n:] }

func chat(t *testing.T, w *world, c *Client, _ *SDK) {
	before := len(w.up.Requests())
	done := c.done(t, Order{Do: "chat"})
	assert.Contains(t, done.Text, question)
	assert.Positive(t, done.Input)
	assert.Positive(t, done.Output)
	assert.Equal(t, done.Input+done.Output, done.Total)

	got := since(w.up, before)
	require.Len(t, got, 1)
	assert.Equal(t, "/v1/chat/completions", got[0].Path)
	assert.Equal(t, []string{"Bearer " + providerKey}, got[0].Header["Authorization"], "the provider gets its own key")
	assert.NotEmpty(t, got[0].Header.Get("X-Stainless-Lang"), "what the SDK says of itself goes along")
	assert.NotContains(t, string(got[0].Body), w.token)
}

func streamedChat(t *testing.T, w *world, c *Client, _ *SDK) {
	chunks := oneByOne(t, w, c, "stream_chat")
	assert.Len(t, chunks, 1+4+1+1, "role, four pieces, end, usage")
	assert.NotEmpty(t, strings.Join(chunks, ""))
}

// compressed: the SDKs ask for gzip by themselves, and unpack what comes through as it is.
func compressed(t *testing.T, w *world, c *Client, _ *SDK) {
	before := len(w.up.Requests())
	done := c.done(t, Order{Do: "chat", Demo: "gzip"})
	assert.Contains(t, done.Text, question)
	chunks, end := c.end(t, Order{Do: "stream_chat", Demo: "gzip, events=3"})
	require.Nil(t, end.Error, "%+v", end.Error)
	assert.Len(t, chunks, 1+3+1+1)
	for _, r := range since(w.up, before) {
		assert.Contains(t, r.Header.Get("Accept-Encoding"), "gzip", "the SDK's own wish reaches the provider")
	}
}

func streamedResponse(t *testing.T, w *world, c *Client, _ *SDK) {
	chunks := oneByOne(t, w, c, "stream_respond")
	assert.Equal(t, []string{
		"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
		"response.output_text.delta", "response.output_text.delta", "response.output_text.delta", "response.output_text.delta",
		"response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
	}, chunks)
}

// oneByOne lets the provider send a chunk only when the client has reported the one before.
func oneByOne(t *testing.T, w *world, c *Client, do string) (chunks []string) {
	t.Helper()
	c.give(t, Order{Do: do, BaseURL: w.url + "/held/v1", Key: w.heldTo})
	l := c.next(t)
	for {
		require.Nil(t, l.Error, "%+v", l.Error)
		if l.Done != nil {
			return chunks
		}
		chunks = append(chunks, *l.Chunk)
		select {
		case w.next <- struct{}{}:
			l = c.next(t)
		case l = <-c.lines: // the provider has nothing more to send
			require.Nil(t, l.Chunk, "chunk %d came before it was let out", len(chunks)+1)
		case <-time.After(patience):
			require.FailNow(t, "neither provider nor client goes on", "after %d chunks\n%s", len(chunks), c.said)
		}
	}
}

func respond(t *testing.T, _ *world, c *Client, _ *SDK) {
	done := c.done(t, Order{Do: "respond"})
	assert.Contains(t, done.Text, question)
	assert.Positive(t, done.Input)
	assert.Positive(t, done.Output)
	assert.Equal(t, done.Input+done.Output, done.Total)
}

func embed(t *testing.T, _ *world, c *Client, _ *SDK) {
	done := c.done(t, Order{Do: "embed"})
	assert.Equal(t, 256, done.Count, "numbers of the first embedding")
	assert.Positive(t, done.Input)
	assert.Equal(t, done.Input, done.Total)
}

func models(t *testing.T, _ *world, c *Client, _ *SDK) {
	done := c.done(t, Order{Do: "models"})
	assert.Greater(t, done.Count, 3)
	assert.Equal(t, "ft:gpt-4o:acme::17", done.Text, "the model that was asked for by name")
}

func images(t *testing.T, _ *world, c *Client, _ *SDK) {
	done := c.done(t, Order{Do: "images"})
	assert.Equal(t, 2, done.Count)
	assert.Equal(t, "iVBORw0KGgo", done.Text, "PNG in base64 begins like this")
}

// randomFile makes a file that no compression or repetition could hide a fault in.
func randomFile(t *testing.T, size int, name string) (path, sum string) {
	t.Helper()
	content := make([]byte, size)
	_, err := rand.Read(content)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	digest := sha256.Sum256(content)
	return path, hex.EncodeToString(digest[:])
}

// arrived checks that the provider got exactly one request, with this file.
func arrived(t *testing.T, w *world, got []demo.Request, sum string) {
	t.Helper()
	require.Len(t, got, 1)
	require.Len(t, got[0].Files, 1)
	assert.EqualValues(t, w.fileBytes, got[0].Files[0].Size)
	assert.Equal(t, sum, got[0].Files[0].SHA256, "the file's bytes are the same upstream")
}

func upload(t *testing.T, w *world, c *Client, _ *SDK) {
	path, sum := randomFile(t, w.fileBytes, "lines.jsonl")
	before := len(w.up.Requests())
	done := c.done(t, Order{Do: "upload", File: path})
	assert.Equal(t, w.fileBytes, done.Bytes)
	arrived(t, w, since(w.up, before), sum)

	require.Len(t, done.IDs, 1)
	back := sha256.Sum256([]byte(w.ask(t, http.MethodGet, w.url+"/v1/files/"+done.IDs[0]+"/content", w.token)))
	assert.Equal(t, sum, hex.EncodeToString(back[:]), "and the same again on their way back")
}

func transcribe(t *testing.T, w *world, c *Client, _ *SDK) {
	path, sum := randomFile(t, w.fileBytes, "speech.wav")
	before := len(w.up.Requests())
	done := c.done(t, Order{Do: "transcribe", File: path})
	assert.Contains(t, done.Text, sum[:12], "the stand-in says which recording it heard")
	arrived(t, w, since(w.up, before), sum)
}

// typedErrors: none of these reaches the provider, and each is tried once.
func typedErrors(t *testing.T, w *world, c *Client, sdk *SDK) {
	before := len(w.up.Requests())
	for _, one := range []struct {
		order  Order
		status int
		code   string
	}{
		{Order{Do: "chat", Key: "sk-fake-not-a-token"}, 401, "token_invalid"},
		{Order{Do: "list_files", Key: w.narrow}, 403, "endpoint_not_enabled"},
		{Order{Do: "unknown"}, 404, "endpoint_not_allowed"},
	} {
		e := c.fails(t, one.order)
		assert.Equal(t, sdk.Classes[one.status], e.Class, "%+v", e)
		assert.Equal(t, one.status, e.Status, "%+v", e)
		assert.Equal(t, one.code, e.Code, "%+v", e)
		assert.Equal(t, 1, w.settled(t, `code="`+one.code+`"`, counts{ended: 1}).ended, "%s is tried once", one.code)
	}
	assert.Empty(t, since(w.up, before))
}

// unreachable: an SDK tries a 502 again, since waiting may cure it; then the circuit is open.
func unreachable(t *testing.T, w *world, c *Client, sdk *SDK) {
	order := Order{Do: "chat", BaseURL: w.url + "/dead/v1", Key: w.deadTo}
	e := c.fails(t, order)
	assert.Equal(t, sdk.Classes[502], e.Class, "%+v", e)
	assert.Equal(t, 502, e.Status, "%+v", e)
	assert.Equal(t, "upstream_unreachable", e.Code, "%+v", e)
	assert.Equal(t, 3, w.settled(t, `code="upstream_unreachable"`, counts{ended: 3}).ended, "one try and the SDK's two more")

	if w.lambda {
		return // each process has its own circuit, and the next request may meet another one
	}
	order.Retries = new(int)
	e = c.fails(t, order)
	assert.Equal(t, sdk.Classes[503], e.Class, "%+v", e)
	assert.Equal(t, 503, e.Status, "%+v", e)
	assert.Equal(t, "circuit_open", e.Code, "%+v", e)
}

func refusedKey(t *testing.T, w *world, c *Client, sdk *SDK) {
	before := len(w.up.Requests())
	e := c.fails(t, Order{Do: "chat", Demo: "quote-key"})
	assert.Equal(t, sdk.Classes[502], e.Class, "%+v", e)
	assert.Equal(t, 502, e.Status, "%+v", e)
	assert.Equal(t, "upstream_auth", e.Code, "%+v", e)
	assert.NotContains(t, e.Message, providerKey)
	assert.Len(t, since(w.up, before), 1, "a wrong key is not tried again")
}

// retryAfter: the provider says to wait a second, and the SDK does.
func retryAfter(t *testing.T, w *world, c *Client, _ *SDK) {
	before := len(w.up.Requests())
	done := c.done(t, Order{Do: "chat", Demo: "status=429, retry-after=1, first=1"})
	assert.Contains(t, done.Text, question)
	got := since(w.up, before)
	require.Len(t, got, 2)
	const early = 5 * time.Millisecond // timers may count in whole milliseconds and from before
	assert.GreaterOrEqual(t, got[1].Time.Sub(got[0].Time), time.Second-early)
}

// exhausted: the token's provider is nobody else's, so that its numbers in the metrics are this case's.
func exhausted(t *testing.T, w *world, c *Client, sdk *SDK) {
	order := Order{Do: "chat", BaseURL: w.url + "/capped/v1", Key: w.capped}
	c.done(t, order)
	upstream := len(w.up.Requests())

	e := c.fails(t, order)
	assert.Equal(t, sdk.Classes[429], e.Class, "%+v", e)
	assert.Equal(t, 429, e.Status, "%+v", e)
	assert.Equal(t, "token_exhausted", e.Code, "%+v", e)

	w.settled(t, `code="token_exhausted"`, counts{ended: 1})
	least := counts{ended: 2, spends: 2}
	if w.lambda {
		least.spends = 0 // a function has no metrics to read them from
	}
	got := w.settled(t, `provider="capped"`, least)
	assert.Equal(t, least, got, "requests that reached the proxy, the good one and one more, and store calls")
	assert.Len(t, w.up.Requests(), upstream, "none reached the provider")
}

// cutStream: a stream that ends without its end is an error, in whichever way it is cut.
func cutStream(t *testing.T, _ *world, c *Client, _ *SDK) {
	for _, do := range []string{"stream_chat", "stream_respond"} {
		chunks, end := c.end(t, Order{Do: do, Demo: "events=10, cut-after=5"})
		require.NotNil(t, end.Error, "%s: a cut stream looked complete", do)
		assert.Len(t, chunks, 5, do)
		_, end = c.end(t, Order{Do: do, Demo: "events=10, reset-after=5, chunk-delay=1ms"})
		require.NotNil(t, end.Error, "%s: a stream that was reset looked complete", do)
		assert.Zero(t, end.Error.Status, "%s: it is no answer of ours: %+v", do, end.Error)
	}
}
