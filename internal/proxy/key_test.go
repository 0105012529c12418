package proxy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestAnAnswerAboutTheKeyIsReplaced: a 401 of the upstream is about our key, and any error may quote it.
func TestAnAnswerAboutTheKeyIsReplaced(t *testing.T) {
	masked := "Incorrect API key provided: sk-fake-**********wxyz. You can find your key at https://example.com."
	for name, c := range map[string]struct {
		answer string
		shown  string // what of it may reach the caller; "" is nothing
	}{
		"401":                    {withLength("401 Unauthorized", "", `{"error":{"code":"invalid_api_key"}}`), ""},
		"401 that breaks":        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\nConnection: close\r\n\r\nabc", ""},
		"401 without a body":     {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ""},
		"403 that quotes it":     {withLength("403 Forbidden", "", "key "+fakeKey+" may not"), ""},
		"400 that masks it":      {withLength("400 Bad", "", masked), ""},
		"500 in gzip":            {withLength("500 Oops", "Content-Encoding: gzip\r\n", compressed(t, "gzip", masked)), ""},
		"500 in br":              {withLength("500 Oops", "Content-Encoding: br\r\n", compressed(t, "br", masked)), ""},
		"500 in zstd":            {withLength("500 Oops", "Content-Encoding: zstd\r\n", compressed(t, "zstd", masked)), ""},
		"in a header":            {withLength("429 Slow", "X-Debug: Bearer "+fakeKey+"\r\n", "{}"), ""},
		"in chunks":              {"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n" + inChunks("the key "+fakeKey, 3), ""},
		"after 60 KB":            {withLength("400 Bad", "", strings.Repeat(" ", 60<<10)+fakeKey), ""},
		"quoted, then it breaks": {"HTTP/1.1 500 Oops\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + fakeKey, ""},
		"403 about a model":      {withLength("403 Forbidden", "", "no access to gpt-4o"), "no access to gpt-4o"},
		"404":                    {withLength("404 Not Found", "", "The model `sk-fake` does not exist"), "The model `sk-fake` does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			o := serveOrigin(t, func(up *call) {
				up.write(c.answer)
				if strings.Contains(c.answer, "Connection: close") {
					up.hangUp()
				}
			})
			p := newProxy(t, o.URL)
			res := p.chat(t, p.mint(t))
			e := p.lastEvent(t, 1)
			require.Len(t, o.requests(), 1, "not sent again")
			if c.shown != "" {
				require.Equal(t, c.shown, res.Body)
				require.Equal(t, llmproxy.Complete, e.Outcome)
				require.Zero(t, p.Keys.forgotten)
				return
			}
			requireError(t, res, 502, "server_error", "upstream_auth")
			require.Equal(t, []string{"false"}, res.Header["X-Should-Retry"])
			require.Empty(t, res.Header["X-Debug"])
			require.Equal(t, 1, p.Keys.forgotten, "the next request reads the key anew")
			require.Equal(t, llmproxy.UpstreamError, e.Outcome)
			require.Equal(t, "upstream_auth", e.Code)
			require.Nil(t, e.Response.Body, "the event does not quote it either")
			all := string(e.AppendJSON(nil)) + p.Log.String()
			for i := len("sk-fake-"); i+8 <= len(fakeKey); i++ {
				require.NotContains(t, all, fakeKey[i:i+8])
			}
		})
	}
}

func TestAKeyThatCannotBeOpenedIs503(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	p.Keys.failWith = llmproxy.ErrKeyUnavailable
	res := p.chat(t, p.mint(t))
	requireError(t, res, 503, "server_error", "key_unavailable")
	require.Equal(t, []string{"5"}, res.Header["Retry-After"])
	require.Empty(t, res.Header["X-Should-Retry"])
	require.Empty(t, o.requests())
	require.Equal(t, llmproxy.Refused, p.lastEvent(t, 1).Outcome)
}

// TestAKeyThatFitsIntoNoHeaderHarmsNobodyElse: a key with a line end in it is that project's fault, not the provider's.
func TestAKeyThatFitsIntoNoHeaderHarmsNobodyElse(t *testing.T) {
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	for _, key := range []string{"sk-fake-key\n", "sk-fake-key\r\nX-Injected: 1", "sk\x00fake"} {
		p.Keys.key = key
		for range 10 {
			res := p.chat(t, p.mint(t))
			requireError(t, res, 503, "server_error", "key_unavailable")
		}
	}
	require.Empty(t, o.requests())
	require.NotContains(t, p.Log.String(), "fake-key")
	p.Keys.key = fakeKey
	require.Equal(t, 200, p.chat(t, p.mint(t)).StatusCode, "the circuit is closed as ever")
}
