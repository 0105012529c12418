package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOnlyListedOriginsReadAnswers in a browser, and only where a provider lists some.
func TestOnlyListedOriginsReadAnswers(t *testing.T) {
	o := serveOrigin(t, answerWith(withLength("200 OK", "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nVary: Accept\r\n", "{}")))
	p := newProxy(t, o.URL, stanza("cors: {allowed_origins: ['https://app.example', 'http://localhost:3000']}"))
	token := p.mint(t)
	for origin, listed := range map[string]bool{
		"https://app.example": true, "http://localhost:3000": true,
		"": false, "null": false, "https://evil.example": false, "http://app.example": false, "https://app.example:444": false, "https://app.example.evil.example": false, "https://sub.app.example": false, "HTTPS://APP.EXAMPLE": false, "https://app.example/": false,
	} {
		var headers []string
		if origin != "" {
			headers = []string{"Origin", origin}
		}
		for _, asked := range []answer{p.chat(t, token, headers...), p.chat(t, "nobody", headers...)} { // our own errors can be read too
			require.Empty(t, asked.Header["Access-Control-Allow-Credentials"])
			require.Contains(t, asked.Header["Vary"], "Origin")
			if listed {
				require.Equal(t, []string{origin}, asked.Header["Access-Control-Allow-Origin"])
				require.Equal(t, []string{"*"}, asked.Header["Access-Control-Expose-Headers"])
			} else {
				require.Empty(t, asked.Header["Access-Control-Allow-Origin"], origin)
			}
		}
		reached, spent := len(o.requests()), p.Store.calls()
		preflight := p.ask(t, "", "OPTIONS", "/v1/chat/completions", "", append(headers, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization, content-type")...)
		if listed {
			require.Equal(t, 204, preflight.StatusCode)
			require.Equal(t, []string{origin}, preflight.Header["Access-Control-Allow-Origin"])
			require.Equal(t, []string{"authorization, content-type"}, preflight.Header["Access-Control-Allow-Headers"])
			require.Equal(t, []string{"POST"}, preflight.Header["Access-Control-Allow-Methods"])
		} else {
			require.Equal(t, 405, preflight.StatusCode, origin)
			require.Empty(t, preflight.Header["Access-Control-Allow-Origin"])
		}
		require.Len(t, o.requests(), reached, "a preflight goes no further")
		require.Equal(t, spent, p.Store.calls())
	}
	require.Equal(t, 404, p.ask(t, "", "OPTIONS", "/v1/nothing", "", "Origin", "https://app.example", "Access-Control-Request-Method", "POST").StatusCode)
	require.Equal(t, 405, p.ask(t, "", "OPTIONS", "/v1/models", "", "Origin", "https://app.example", "Access-Control-Request-Method", "DELETE").StatusCode)
	require.Len(t, p.Events.all(), len(p.Events.begins), "a preflight is no request of anybody")
}

// TestWithoutAListTheUpstreamsOwnHeadersPass.
func TestWithoutAListTheUpstreamsOwnHeadersPass(t *testing.T) {
	o := serveOrigin(t, answerWith(withLength("200 OK", "Access-Control-Allow-Origin: *\r\n", "{}")))
	p := newProxy(t, o.URL)
	res := p.chat(t, p.mint(t), "Origin", "https://app.example")
	require.Equal(t, []string{"*"}, res.Header["Access-Control-Allow-Origin"])
	require.Empty(t, res.Header["Vary"])
	require.Equal(t, 405, p.ask(t, "", "OPTIONS", "/v1/models", "", "Origin", "https://app.example", "Access-Control-Request-Method", "GET").StatusCode)
}
