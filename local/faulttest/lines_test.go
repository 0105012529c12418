package faulttest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/demo"
)

// hostile is text that breaks lines, colours and turns them, and is no text at all.
const hostile = "a\r\nb\x1b[31mred\u202eturned\u2028\x00\xff\"}{"

// TestHostileTextBreaksNoLine: whatever callers put into paths, headers and prompts, the log and the event log have lines of JSON that are
// safe to show, and as many events as there were requests.
func TestHostileTextBreaksNoLine(t *testing.T) {
	logFile := filepath.Join(t.TempDir(), "llm-proxy.log")
	h := newHouse(t, map[string]string{"LLM_PROXY_LOG_LEVEL": "debug", "LLM_PROXY_LOG_FILE": logFile})
	h.upstream.mux.Handle("/", demo.New())
	_, token := h.mint(0, 0)
	eventLog := filepath.Join(h.data, "events.jsonl")
	s := h.start("--file-event-log", eventLog)

	// In bodies anything goes, and is answered.
	prompt, err := json.Marshal(hostile)
	require.NoError(t, err)
	admitted := 0
	for _, body := range []string{
		`{"model":` + string(prompt) + `,"messages":[{"role":"user","content":` + string(prompt) + `}]}`,
		`{"model":` + string(prompt) + `,"stream":true,"messages":[{"role":"user","content":` + string(prompt) + `}]}`,
		hostile,
	} {
		a := h.send(http.MethodPost, s.url+"/v1/chat/completions", token, body, "Content-Type: application/json", "X-Demo: header=X-Request-Id:\u202eturned")
		require.NotZero(t, a.status, a.err)
		admitted++
	}
	// Bytes that no client library sends: the line of the request and its headers as they are.
	for _, raw := range []string{
		"GET /v1/models/a\x1b[31m HTTP/1.1\r\nHost: x\r\n", "GET /v1/\u202eturned HTTP/1.1\r\nHost: x\r\n", "GET /v1/\xff HTTP/1.1\r\nHost: x\r\n",
		"GET /v1/models/%0d%0a%1b%5b31m HTTP/1.1\r\nHost: x\r\n", "GET /v1/models HTTP/1.1\r\nHost: \u202ex\r\n", "GET /v1/models HTTP/1.1\r\nHost: x\r\nUser-Agent: \u202e\xff\x1b\r\n",
		"G\u202eT /v1/models HTTP/1.1\r\nHost: x\r\n",
	} {
		status := sendRaw(t, s, raw+"Authorization: Bearer "+token+"\r\nConnection: close\r\n\r\n")
		require.GreaterOrEqual(t, status, 200, "%q", raw)
		if status == http.StatusOK {
			admitted++
		}
	}
	s.stop()
	require.Len(t, events(t, eventLog), admitted)
	for _, path := range []string{logFile, eventLog} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotEmpty(t, data)
		for line := range strings.Lines(string(data)) {
			require.True(t, json.Valid([]byte(line)), "%s: %q", path, line)
			for _, bad := range []string{"\x1b", "\r", "\x00", "\xff", "\u202e", "\u2028"} {
				require.NotContains(t, line, bad, path)
			}
		}
	}
}

// sendRaw sends bytes and returns the status of the answer.
func sendRaw(t *testing.T, s *server, raw string) int {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprint(conn, raw)
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "%q", raw)
	defer res.Body.Close()
	return res.StatusCode
}
