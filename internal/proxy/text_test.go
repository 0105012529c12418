package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// hostileTexts would break lines, move a terminal's cursor, turn text around or end a string, where a reader does not expect them.
var hostileTexts = []string{
	"\r\n{\"fake\":\"line\"}\r\n", "\n", "\r", "\x00", "\x1b[2J\x1b]0;title\x07", "\u202e\u2066abc\u2069", "\u2028\u2029", "\xff\xfe\x80", "\xed\xa0\x80", "\"},{\"x\":\"", "\\", "\\u0000", "\x7f\x9b", "\u200b\ufeff", "</script><img src=x>", "=cmd|' /C calc'!A0", "\U000e0041",
}

// oneLine is a text without its line ends, and unescaped what a URL may carry of it.
var (
	oneLine   = strings.NewReplacer("\r", "", "\n", "").Replace
	inURL     = strings.NewReplacer("\r", "%0D", "\n", "%0A", "\x00", "%00", " ", "%20", "\x1b", "%1B", "\x07", "%07", "\x7f", "%7F").Replace
	theirHead = func(s string) string {
		return "HTTP/1.1 200 OK\r\nX-Request-Id: r" + s + "\r\nX-Ratelimit-Limit-A: " + s + "\r\nContent-Type: application/json; x=" + s + "\r\n"
	}
)

// TestNoTextBreaksALine: whatever stands in paths, headers, names and prompts, each line of log and events is one JSON object, and there
// are as many lines as events.
func TestNoTextBreaksALine(t *testing.T) {
	text := ""
	o := serveOrigin(t, func(c *call) {
		body, err := json.Marshal(map[string]any{"model": text, "choices": []any{map[string]any{"message": map[string]string{"content": text}}}, "usage": map[string]int{"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
		require.NoError(t, err)
		c.write(theirHead(oneLine(text)), fmt.Sprintf("Content-Length: %d\r\n\r\n%s%s", len(body)+len(text), body, text))
	})
	p := newProxy(t, o.URL)
	token := p.mint(t)
	write := func(raw string) {
		conn := p.dial(t)
		_, err := io.WriteString(conn, raw)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err)
	}
	for _, text = range hostileTexts {
		write("GET /v1/models/x" + oneLine(text) + "x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		write("GET /v1/models/x" + inURL(text) + "x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		write("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + oneLine(text) + "\r\nUser-Agent: " + oneLine(text) + "\r\n\r\n")
		write("POST /v1/chat/completions?q=" + inURL(text) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + token + "\r\nContent-Type: " + oneLine(text) + "\r\nContent-Encoding: " + oneLine(text) + "\r\n\r\n")
		prompt := "{\"prompt\":\"" + text + "\"}" + text
		write(fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", token, len(prompt), prompt))
	}
	events := p.Events.all()
	require.GreaterOrEqual(t, len(events), len(hostileTexts))
	require.Len(t, events, len(p.Events.begins), "each admitted request has one event")

	lines := strings.Split(strings.TrimSuffix(p.Log.String(), "\n"), "\n")
	require.Greater(t, len(lines), len(hostileTexts))
	for _, line := range lines {
		requireOneObject(t, line)
	}
	for _, e := range events {
		requireOneObject(t, string(e.AppendJSON(nil)))
		requireOneObject(t, string(e.AppendMeta(nil)))
		var back llmproxy.Event
		require.NoError(t, json.Unmarshal(e.AppendJSON(nil), &back))
		require.Equal(t, e.ID, back.ID)
	}
	requireFileLines(t, events)
}

// requireOneObject checks that a line is one JSON object of printable text.
func requireOneObject(t testing.TB, line string) {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &object), "%q", line)
	require.True(t, utf8.ValidString(line), "%q", line)
	for _, r := range line {
		require.False(t, r < ' ' || r == 0x7f, "%q has a control character", line)
	}
}

// requireFileLines checks the lines of the event log: one object for each event.
func requireFileLines(t testing.TB, events []llmproxy.Event) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	file, err := dispatch.NewFile(dispatch.FileConfig{Path: path, Bodies: true})
	require.NoError(t, err)
	require.NoError(t, file.Start(context.Background(), nil))
	all := make([]*llmproxy.Event, len(events))
	models := 0
	for i := range events {
		if usage.Read(&events[i]) == nil && events[i].Model != "" {
			models++
		}
		all[i] = &events[i]
	}
	require.Positive(t, models, "a hostile name of a model was read")
	for _, result := range file.Deliver(context.Background(), all) {
		require.NoError(t, result.Err)
	}
	require.NoError(t, file.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	require.Len(t, lines, len(events))
	for _, line := range lines {
		requireOneObject(t, line)
	}
}
