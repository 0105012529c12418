package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRedirectsAreNotFollowed: the caller gets the upstream's redirect, the place that it names gets nothing, and where it leads away
// the caller does not learn of it: it would take its token there.
func TestRedirectsAreNotFollowed(t *testing.T) {
	second := serveOrigin(t, answerOK)
	host := strings.TrimPrefix(second.URL, "http://")
	var status int
	var header string
	o := serveOrigin(t, func(c *call) { c.write(withLength(fmt.Sprint(status, " Go"), header+"\r\n", "")) })
	p := newProxy(t, o.URL)
	asked := 0
	for _, status = range []int{301, 302, 303, 307, 308, 201} {
		for _, header = range []string{
			"Location: " + second.URL + "/v1/models", "Location: //" + host + "/", "Location: ///" + host + "/", "Location: /////" + host, `Location: /\` + host, `Location: \\` + host,
			"Location: http:" + host, "Location: http:/" + host, "Location: http:///" + host, "Location: /\t/" + host, "Location: http://[::1", "Location: /ok\r\nLocation: " + second.URL,
			"Refresh: 0; url=" + second.URL, "Refresh: 0;url='" + second.URL + "'", "Refresh: 0; " + second.URL, "Refresh: 0 , " + second.URL, "Refresh: 0; URL = //" + host, "Refresh: 0;url=///" + host,
			"Refresh: 5\r\nRefresh: 0; url=" + second.URL,
		} {
			res := p.ask(t, p.mint(t), "POST", "/v1/completions", "{}")
			require.Equal(t, status, res.StatusCode)
			require.Empty(t, res.Header["Location"], header)
			require.Empty(t, res.Header["Refresh"], header)
			asked++
			require.Len(t, o.requests(), asked)
		}
	}
	require.Zero(t, second.conns.Load())
}

func TestRedirectsThatStayArePassed(t *testing.T) {
	for _, header := range []string{"Location: /v1/files/f", "Location: SELF/v1/files/f?x=//y", "Location: files/f", "Refresh: 5", "Refresh: 5; url=/v1/x"} {
		var o *origin
		o = serveOrigin(t, func(c *call) {
			c.write(withLength("307 Go", strings.Replace(header, "SELF", o.URL, 1)+"\r\n", ""))
		})
		p := newProxy(t, o.URL)
		res := p.ask(t, p.mint(t), "POST", "/v1/completions", "{}")
		name, value, _ := strings.Cut(strings.Replace(header, "SELF", o.URL, 1), ": ")
		require.Equal(t, []string{value}, res.Header[name])
	}
}
