package faulttest

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGoodRequestsAreServedBesideIdleSockets: two thousand connections that say nothing, or begin a head and go no further.
func TestGoodRequestsAreServedBesideIdleSockets(t *testing.T) {
	h := newHouse(t, nil)
	_, token := h.mint(0, 0)
	s := h.start()
	const idle = 2000
	for i := range idle {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		if i%2 == 0 {
			_, err = fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			require.NoError(t, err)
		}
	}
	inParallel(8, func(i int) {
		for j := range 25 {
			if a := h.get(s.url+"/v1/models/"+strconv.Itoa(i*25+j), token); a.status != http.StatusOK {
				t.Errorf("%d %s %v", a.status, a.body, a.err)
			}
		}
	})
	require.Len(t, h.upstream.executed(), 200)
	s.stop() // they do not hold it up
}
