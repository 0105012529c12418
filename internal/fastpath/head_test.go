package fastpath

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"
)

const plainHead = "POST /v1/chat/completions?a=b%20c HTTP/1.1\r\nHost: proxy.example:8080\r\nauthorization: Bearer x\r\nContent-Length: 12\r\nConnection: keep-alive\r\nX-A: 1\r\nx-a:  2 \t\r\nX-Empty:\r\n\r\n"

func TestAPlainHeadReadsAsNetHTTPReadsIt(t *testing.T) {
	same(t, []byte(plainHead), true)
}

// same parses a head, and where it is plain compares what it means with what net/http makes of it.
func same(t *testing.T, head []byte, plain bool) {
	t.Helper()
	ours, ok := parse(head)
	if plain {
		require.True(t, ok, "%q", head)
	}
	if !ok {
		return
	}
	theirs, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(head), 1<<20))
	require.NoError(t, err, "%q is plain here and none there", head)
	require.Equal(t, theirs.Method, ours.Method, "%q", head)
	require.Equal(t, theirs.RequestURI, ours.RequestURI, "%q", head)
	require.Equal(t, theirs.URL, ours.URL, "%q", head)
	require.Equal(t, theirs.Proto, ours.Proto, "%q", head)
	require.Equal(t, theirs.ContentLength, ours.ContentLength, "%q", head)
	require.Empty(t, theirs.TransferEncoding, "%q", head)
	require.Equal(t, theirs.Host, ours.Host, "%q", head)
	require.True(t, httpguts.ValidHostHeader(ours.Host), "%q", head)
	require.Equal(t, theirs.Header, ours.Header, "%q", head)
	require.False(t, theirs.Close, "%q", head)
	for _, values := range ours.Header {
		for _, v := range values {
			require.True(t, httpguts.ValidHeaderFieldValue(v), "%q", head)
		}
	}
}

// notPlain are heads that net/http is to judge: malformed ones, and such as ask for more than a plain request does.
var notPlain = []string{
	"GET /v1/models HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET /v1/models HTTP/1.1\r\n\r\n",
	"GET /v1/models HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET /v1/models HTTP/1.1\r\nHost: x y\r\n\r\n",
	"GET /v1/models HTTP/1.1\r\nHost:\r\n\r\n",
	"GET  /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /v1/models  HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /v1 /models HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /v1/models#a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://x/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
	"G\x01T / HTTP/1.1\r\nHost: x\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\n",
	"GET / HTTP/1.1\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\xffc\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-A\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nTrailer: X-A\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
}

func TestWhatIsNotPlainIsNetHTTPs(t *testing.T) {
	for _, head := range notPlain {
		_, ok := parse([]byte(head))
		require.False(t, ok, "%q", head)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(plainHead))
	for _, head := range notPlain {
		f.Add([]byte(head))
	}
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 100) + "\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if end := headEnd(b); end > 0 {
			same(t, b[:end], false)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	head := []byte(plainHead)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := parse(head); !ok {
			b.Fatal("not plain")
		}
	}
}
