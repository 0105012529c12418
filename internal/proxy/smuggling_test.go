package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// smuggled is a request by hand that two readers might understand in two ways.
type smuggled struct {
	name string
	line string // of the request; "" is a POST of HTTP/1.1
	head string // header lines, whole or not
	body string
	// accepted says that it has one meaning, and then the upstream gets the body wants; others must not reach it whole.
	accepted bool
	wants    string
}

const hello = "hello"

// smugglingCorpus is generated: every way of writing a part wrong, in each place where the part stands.
func smugglingCorpus() []smuggled {
	all := append(wrongLengths(), wrongEncodings()...)
	all = append(all, wrongCharacters()...)
	all = append(all, wrongChunks()...)
	return append(all, wrongLines()...)
}

func wrongLengths() (all []smuggled) {
	for _, v := range []string{
		"-1", "+5", "5x", "0x5", "5 5", "5, 5", "5,5", "5;5", "1e1", "5.0", "\"5\"", "5\x00", "\u0665", "18446744073709551621", "9223372036854775808", "99999999999999999999999", "five", "--5", "5-", "5_0", "0b101", " - 5", "5\v", "\f5",
	} {
		all = append(all,
			smuggled{name: "Content-Length " + v, head: "Content-Length: " + v + "\r\n", body: hello},
			smuggled{name: "Content-Length 5 and " + v, head: "Content-Length: 5\r\nContent-Length: " + v + "\r\n", body: hello},
			smuggled{name: "Content-Length " + v + " and 5", head: "Content-Length: " + v + "\r\ncontent-length: 5\r\n", body: hello})
	}
	for _, other := range []string{"6", "4", "0", "50", ""} {
		all = append(all,
			smuggled{name: "Content-Length 5 and " + other, head: "Content-Length: 5\r\nContent-Length: " + other + "\r\n", body: hello},
			smuggled{name: "Content-Length " + other + " and 5", head: "CONTENT-LENGTH: " + other + "\r\nContent-Length: 5\r\n", body: hello})
	}
	for _, v := range []string{"5", " 5", "\t5\t ", "005", "5 "} {
		all = append(all, smuggled{name: "Content-Length as " + v, head: "Content-Length:" + v + "\r\n", body: hello, accepted: true, wants: hello})
	}
	return append(all,
		smuggled{name: "one Content-Length twice", head: "Content-Length: 5\r\nContent-Length: 5\r\n", body: hello, accepted: true, wants: hello},
		smuggled{name: "a body that ends early", head: "Content-Length: 500\r\n", body: hello},
		smuggled{name: "a large body that ends early", head: "Content-Length: 100000\r\n", body: strings.Repeat("x", 70_000)})
}

func wrongEncodings() (all []smuggled) {
	body := inChunks(hello, 5)
	for _, v := range []string{
		"chunked, chunked", "chunked,", ",chunked", "xchunked", "chunkedx", "chunked;q=1", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, identity", "identity, chunked", "\"chunked\"", "'chunked'", "cow",
		"chunked cow", "x chunked", "chunked\x00", "\x0bchunked", "chunked\x0b", "chunked\x7f", "c\xc4\xa5unked", "chunked\xa0", "", "trailers", "deflate, chunked", "br", "chunked/1",
	} {
		all = append(all,
			smuggled{name: "Transfer-Encoding " + v, head: "Transfer-Encoding: " + v + "\r\n", body: body},
			smuggled{name: "a length and Transfer-Encoding " + v, head: "Content-Length: 5\r\nTransfer-Encoding: " + v + "\r\n", body: body},
			smuggled{name: "Transfer-Encoding " + v + " and a length", head: "Transfer-Encoding: " + v + "\r\nContent-Length: 15\r\n", body: body},
			smuggled{name: "Transfer-Encoding chunked and " + v, head: "Transfer-Encoding: chunked\r\nTransfer-Encoding: " + v + "\r\n", body: body},
			smuggled{name: "Transfer-Encoding " + v + " and chunked", head: "Transfer-Encoding: " + v + "\r\nTransfer-Encoding: chunked\r\n", body: body})
	}
	for _, v := range []string{"chunked", "Chunked", "CHUNKED", " chunked \t"} {
		all = append(all, smuggled{name: "Transfer-Encoding as " + v, head: "Transfer-Encoding:" + v + "\r\n", body: body, accepted: true, wants: hello})
	}
	return append(all,
		smuggled{name: "HTTP/1.0 with chunks", line: "POST /v1/responses/ID/cancel HTTP/1.0", head: "Transfer-Encoding: chunked\r\n", body: body, accepted: true, wants: ""},
		smuggled{name: "HTTP/1.0 with chunks and a length", line: "POST /v1/responses/ID/cancel HTTP/1.0", head: "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", body: hello, accepted: true, wants: hello},
		smuggled{name: "underscores are another header", head: "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", body: hello, accepted: true, wants: hello})
}

// wrongCharacters puts each byte that does not belong there into the value and the name of a header.
func wrongCharacters() (all []smuggled) {
	for c := range 256 {
		b := string([]byte{byte(c)})
		if c < 0x20 && c != '\t' && c != '\n' || c == 0x7f {
			all = append(all,
				smuggled{name: fmt.Sprintf("value with %#02x", c), head: "X-A: a" + b + "b\r\nContent-Length: 5\r\n", body: hello},
				smuggled{name: fmt.Sprintf("value with %#02x before a length", c), head: "X-A: a" + b + "Content-Length: 50\r\nContent-Length: 5\r\n", body: hello})
		}
		if strings.ContainsAny(b, "\"(),/;<=>?@[\\]{} \x7f") || c >= 0x80 && c%8 == 0 || c < 0x20 && c != '\n' {
			all = append(all,
				smuggled{name: fmt.Sprintf("name with %#02x", c), head: "X" + b + "A: 1\r\nContent-Length: 5\r\n", body: hello},
				smuggled{name: fmt.Sprintf("framing's name with %#02x", c), head: "Transfer-Encoding" + b + ": chunked\r\nContent-Length: 5\r\n", body: hello})
		}
	}
	return all
}

func wrongChunks() (all []smuggled) {
	const head = "Transfer-Encoding: chunked\r\n"
	for _, size := range []string{"", " ", "0x5", "+5", "-5", "g", "5 5", "5,5", "5x", "x5", "\x00", "5\x00", "FFFFFFFFFFFFFFFFF", "10000000000000005", "8000000000000005", "-0", "\"5\"", "5.", "\u0665"} {
		for _, with := range []string{"", "Content-Length: 5\r\n"} {
			all = append(all,
				smuggled{name: "chunk size " + size + with, head: with + head, body: size + "\r\nhello\r\n0\r\n\r\n"},
				smuggled{name: "second chunk size " + size + with, head: with + head, body: "2\r\nhe\r\n" + size + "\r\nllo\r\n0\r\n\r\n"})
		}
	}
	for name, body := range map[string]string{
		"no end of data": "5\r\nhello0\r\n\r\n", "letters for an end": "5\r\nhelloXX0\r\n\r\n", "CR alone": "5\rhello\r0\r\r", "CR for an end": "5\r\nhello\r\r0\r\n\r\n", "shorter": "4\r\nhello\r\n0\r\n\r\n", "longer": "6\r\nhello\r\n0\r\n\r\n",
		"end of input in a size": "5", "end of input in data": "5\r\nhel", "end of input after data": "5\r\nhello\r\n", "end of input after the last size": "5\r\nhello\r\n0\r\n", "end of input in the last size": "5\r\nhello\r\n0",
		"a trailer without colon": "5\r\nhello\r\n0\r\nnonsense\r\n\r\n", "an endless size": strings.Repeat("0", 70_000) + "5\r\nhello\r\n0\r\n\r\n", "an endless extension": "5;" + strings.Repeat("a", 70_000) + "\r\nhello\r\n0\r\n\r\n",
		"no chunk at all": "hello", "a request in place of a chunk": "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		all = append(all,
			smuggled{name: "chunks: " + name, head: head, body: body},
			smuggled{name: "chunks and a length: " + name, head: fmt.Sprintf("Content-Length: %d\r\n", len(body)) + head, body: body})
	}
	for name, body := range map[string]string{"an extension": "5;a=b\r\nhello\r\n0\r\n\r\n", "leading zeros": "0005\r\nhello\r\n000\r\n\r\n", "a trailer": "5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n", "a quoted extension": "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"} {
		all = append(all, smuggled{name: "chunks: " + name, head: head, body: body, accepted: true, wants: hello})
	}
	return all
}

func wrongLines() (all []smuggled) {
	for _, line := range []string{
		": no name", "no colon", "Transfer-Encoding : chunked", "Content-Length : 50", "Transfer-Encoding\t: chunked", "\x00", "X-A: 1\r\n: ", "X-A\r\n: 1", "Transfer-Encoding\r: chunked", "X-A: 1\rTransfer-Encoding: chunked", "=: 1", "GET /v1/models HTTP/1.1",
		" X-A: 1", "\tTransfer-Encoding: chunked",
	} {
		all = append(all, smuggled{name: "line " + line, head: line + "\r\nContent-Length: 5\r\n", body: hello})
	}
	for _, version := range []string{"HTTP/2.0", "HTTP/3", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP /1.1", "HTTP/1.", "HTTP/01.1", "HTTP/1.01", "XHTTP/1.1", "HTTP/1,1", "HTTP/1.1x", "HTTP/-1.1", "ICY", "", "HTTP/1.1\x00", "HTTP/9.9", "HTTP/1.1\tx"} {
		all = append(all, smuggled{name: "version " + version, line: "POST /v1/responses/ID/cancel " + version, head: "Content-Length: 5\r\n", body: hello})
	}
	for _, line := range []string{
		"POST  /v1/responses/ID/cancel HTTP/1.1", "POST /v1/responses/ID/cancel  HTTP/1.1", " POST /v1/responses/ID/cancel HTTP/1.1", "POST\t/v1/responses/ID/cancel\tHTTP/1.1", "POST /v1/responses/ID/cancel", "/v1/responses/ID/cancel HTTP/1.1",
		"PO\x00ST /v1/responses/ID/cancel HTTP/1.1", "POST\x0b/v1/responses/ID/cancel HTTP/1.1", "POST /v1/responses/ID/cancel\x00 HTTP/1.1", "POST /v1/responses/ID/cancel?\x01 HTTP/1.1", "POST /v1/responses/ID/cancel?a b HTTP/1.1", "(POST) /v1/responses/ID/cancel HTTP/1.1", "POST: /v1/responses/ID/cancel HTTP/1.1",
	} {
		all = append(all, smuggled{name: "line " + line, line: line, head: "Content-Length: 5\r\n", body: hello})
	}
	for _, host := range []string{"Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: a\x00\r\n", "host: a/b\r\n", "Host: \"a\"\r\n"} {
		all = append(all, smuggled{name: "host " + host, head: host + "Content-Length: 5\r\n", body: hello})
	}
	return all
}

func TestNoRequestHasTwoMeanings(t *testing.T) {
	corpus := smugglingCorpus()
	require.Greater(t, len(corpus), 500)
	o := serveOrigin(t, answerOK)
	p := newProxy(t, o.URL)
	token := p.mint(t)

	work := make(chan int)
	answered := make([][]int, len(corpus)) // statuses
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range work {
				answered[i] = p.smuggle(t, token, i, corpus[i])
			}
		})
	}
	for i := range corpus {
		work <- i
	}
	close(work)
	wg.Wait()

	reached := map[string][]*received{} // by the id in the path
	for _, r := range o.whole() {
		id := strings.Split(strings.Fields(r.Line)[1], "/")[3]
		reached[id] = append(reached[id], r)
		require.LessOrEqual(t, len(r.values("Content-Length"))+len(r.values("Transfer-Encoding")), 1, "what goes on has one framing: %v", r.Fields)
	}
	o.mu.Lock()
	require.Empty(t, o.bad, "heads that the upstream could not read")
	o.mu.Unlock()
	for i, c := range corpus {
		own, after := reached[fmt.Sprint("own-", i)], reached[fmt.Sprint("after-", i)]
		oks := 0
		for _, status := range answered[i] {
			require.Contains(t, []int{200, 400, 404, 405, 411, 413, 417, 431, 501, 505}, status, c.name)
			if status == 200 {
				oks++
			}
		}
		if !c.accepted {
			require.Empty(t, own, "%s: %v", c.name, answered[i])
			require.Empty(t, after, "%s: what follows a malformed request is no request", c.name)
			require.Zero(t, oks, c.name)
			continue
		}
		require.Len(t, own, 1, "%s: %v", c.name, answered[i])
		require.Equal(t, c.wants, string(own[0].Body), c.name)
		require.Equal(t, oks, len(own)+len(after), c.name)
	}
	require.NotContains(t, p.Log.String(), "panic")
	require.Equal(t, 200, p.chat(t, token).StatusCode, "it serves on")
}

// smuggle sends one request of the corpus, with another one behind it, and returns the statuses of the answers.
func (p *testProxy) smuggle(t *testing.T, token string, i int, c smuggled) (statuses []int) {
	line := c.line
	if line == "" {
		line = "POST /v1/responses/ID/cancel HTTP/1.1"
	}
	host := "Host: api.example\r\n"
	if strings.HasPrefix(c.name, "host") {
		host = ""
	}
	begin := strings.Replace(line, "ID", fmt.Sprint("own-", i), 1) + "\r\n"
	head := c.head + host + "Authorization: Bearer " + token + "\r\n\r\n"
	after := fmt.Sprintf("GET /v1/models/after-%d HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", i, token)
	if strings.Contains(c.name, "end of input") || strings.Contains(c.name, "ends early") {
		after = ""
	}
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, begin+head+c.body+after) // it may be refused before it is whole
	r := bufio.NewReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := r.Peek(1); os.IsTimeout(err) { // it waits for more: there is none
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(patient))
	for {
		res, err := http.ReadResponse(r, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			statuses = append(statuses, res.StatusCode)
		}
		if os.IsTimeout(err) {
			t.Errorf("%s hangs", c.name)
		}
		if err != nil {
			return statuses
		}
	}
}
