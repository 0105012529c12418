package proxy

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// TestNoStreamIsCutWhoseUpstreamIsFast: net/http's server closes the request body once the answer's head is written, and an upstream that
// is fast can win that race: the stream ended after its first event. Over fresh connections, with bodies of each size class.
func TestNoStreamIsCutWhoseUpstreamIsFast(t *testing.T) {
	const events = 5
	stream := streamHead + inChunks(strings.Repeat("data: {}\n\n", events), 10)
	for name, lazy := range map[string]bool{"after the body": false, "with the body": true} {
		t.Run(name, func(t *testing.T) {
			start := serveOrigin
			if lazy {
				start = serveLazyOrigin // answers before it has read the body, and then reads it
			}
			o := start(t, answerWith(stream))
			p := newProxy(t, o.URL)
			token := p.mint(t)
			var wg sync.WaitGroup
			for worker := range 4 {
				wg.Go(func() {
					transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
					client := &http.Client{Transport: transport}
					for i := range 60 {
						size := []int{2, 4 << 10, 64 << 10, 64<<10 + 1, 200 << 10, -2, -70_000}[(worker+i)%7]
						body := strings.NewReader(strings.Repeat("x", max(size, -size)))
						r := p.request(t, token, "POST", "/v1/chat/completions", body)
						if size < 0 {
							r.ContentLength = -1
						}
						res, err := client.Do(r)
						if lazy && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
							continue // the whole answer went out before its last bytes came in: Go's client then tells of its write alone
						}
						if err != nil {
							t.Errorf("size %d: %v", size, err)
							continue
						}
						got, err := io.ReadAll(res.Body)
						res.Body.Close()
						if lazy && errors.Is(err, net.ErrClosed) {
							err = nil // as before, but that the head had been read: what came of the answer counts
						}
						if err != nil || strings.Count(string(got), "data: {}\n\n") != events {
							t.Errorf("size %d: %q, %v", size, got, err)
						}
					}
				})
			}
			wg.Wait()
			eventually(t, "all events", func() bool { return len(p.Events.all()) == 240 })
			for _, e := range p.Events.all() {
				require.Equal(t, llmproxy.Complete, e.Outcome)
			}
		})
	}
}

// TestABodyOfEverySizeArrivesWhole: whether it comes at once or drips, and whatever the answer is, the event has its head.
func TestABodyOfEverySizeArrivesWhole(t *testing.T) {
	const half = 40 << 10
	o := serveOrigin(t, func(c *call) {
		if strings.HasPrefix(string(c.Body), "stream") {
			c.write(streamHead + inChunks("data: {}\n\n", 10))
			return
		}
		c.write(withLength("200 OK", "", strconv.Itoa(len(c.Body))))
	})
	p := newProxy(t, o.URL)
	for _, size := range []int{smallBody, smallBody + 1, 200 << 10, promptBody, promptBody + 1} {
		for _, kind := range []string{"plain", "stream"} {
			for _, drips := range []bool{false, true} {
				t.Run(fmt.Sprint(size, kind, drips), func(t *testing.T) {
					body := kind + randomText(size)[len(kind):]
					conn := p.dial(t)
					fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", p.mint(t), size, body[:half])
					if drips {
						time.Sleep(3 * promptly)
					}
					_, err := io.WriteString(conn, body[half:])
					require.NoError(t, err)
					res, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					defer res.Body.Close()
					got, err := io.ReadAll(res.Body)
					require.NoError(t, err)
					require.Equal(t, sha256.Sum256([]byte(body)), o.last(t).Sum)
					require.NotEmpty(t, got)
					e := p.event(t, res)
					require.EqualValues(t, size, e.Request.Bytes)
					require.EqualValues(t, size, e.Request.Body.Size)
					require.Equal(t, body[:requestHead], string(e.Request.Body.Head))
				})
			}
		}
	}
}

// TestABodyThatDoesNotComeAtOnceIsSentAsItComes: the upstream hears of it before its caller has sent it all.
func TestABodyThatDoesNotComeAtOnceIsSentAsItComes(t *testing.T) {
	const size, part = 200 << 10, 100 << 10
	began := make(chan struct{})
	o := serveLazyOrigin(t, func(c *call) {
		if _, err := io.CopyN(io.Discard, c.r, part); err != nil {
			return
		}
		close(began)
		if _, err := io.CopyN(io.Discard, c.r, size-part); err == nil {
			c.write(okAnswer)
		}
		c.hangUp()
	})
	p := newProxy(t, o.URL)
	conn := p.dial(t)
	fmt.Fprintf(conn, "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", p.mint(t), size, strings.Repeat("x", part))
	await(t, began)
	_, err := io.WriteString(conn, strings.Repeat("y", size-part))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
}

// TestAConversationInBothDirections: an upstream may answer while the body still comes.
func TestAConversationInBothDirections(t *testing.T) {
	o := serveLazyOrigin(t, func(c *call) {
		c.write(streamHead)
		for i := range 5 {
			if _, err := c.r.ReadString('\n'); err != nil { // the chunk's size
				return
			}
			data := make([]byte, len("part 0\n")+2)
			if _, err := io.ReadFull(c.r, data); err != nil {
				return
			}
			c.chunk(fmt.Sprintf("%d got %s", i, data[:6]))
		}
		c.write("0\r\n\r\n")
		c.readBody()
	})
	p := newProxy(t, o.URL)
	body, parts := io.Pipe()
	r := p.request(t, p.mint(t), "POST", "/v1/audio/transcriptions", body)
	var wg sync.WaitGroup
	turns := make(chan struct{}, 1)
	turns <- struct{}{}
	wg.Go(func() {
		for i := range 5 {
			await(t, turns)
			fmt.Fprintf(parts, "part %d\n", i)
		}
		parts.Close()
	})
	res := p.do(t, r)
	for i := range 5 {
		want := fmt.Sprintf("%d got part %d", i, i)
		got := make([]byte, len(want))
		_, err := io.ReadFull(res.Body, got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		turns <- struct{}{}
	}
	rest, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Empty(t, rest)
	wg.Wait()
}
