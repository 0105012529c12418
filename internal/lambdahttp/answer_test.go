package lambdahttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahttp"
)

// Each handler answers at three doors: net/http's server, a function URL and an API.
func TestAHandlerGivesTheSameAnswerAtEveryDoor(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"nothing":            func(http.ResponseWriter, *http.Request) {},
		"a body":             func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<p>hello</p>`) },
		"a binary body":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0, 1, 2}) },
		"a status":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no ä", http.StatusTeapot) },
		"no content":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a flush":            func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); fmt.Fprint(w, "x") },
		"a second head":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.Header().Set("X-Late", "1") },
		"a status after 103": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) },
		"a string":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "plain") },
		"lines and cookies": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["X-Many"] = []string{"a", "b"}
			h["X-Empty"] = []string{""}
			h["Set-Cookie"] = []string{"a=1; Path=/", "b=2"}
			h["X-Quoted"] = []string{`"\` + "\t"}
			h["X-Broken"] = []string{"a\r\nX-Evil: 1"}
			h["X bad"] = []string{"a"}
			h["Content-Type"] = nil
			fmt.Fprint(w, "x")
		},
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hello")
			_, err := fmt.Fprint(w, "!")
			if !errors.Is(err, http.ErrContentLength) {
				panic("more than promised was taken")
			}
		},
		"a body with 304": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotModified)
			if _, err := fmt.Fprint(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				panic("a body was taken")
			}
		},
	} {
		server := httptest.NewServer(h)
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), method, server.URL, nil)
				require.NoError(t, err)
				want, err := server.Client().Do(r)
				require.NoError(t, err)
				body, err := io.ReadAll(want.Body)
				require.NoError(t, err)
				want.Body.Close()

				for door, got := range map[string]answer{
					"url": invoke(t, handle(h), request(method, "/")),
					"api": invoke(t, handle(h), viaAPI(request(method, "/"))),
				} {
					require.NoError(t, got.broken, door)
					require.Equal(t, want.StatusCode, got.Status, door)
					require.Equal(t, string(body), string(got.body), door)
					require.ElementsMatch(t, want.Header["Set-Cookie"], got.Cookies, door)
					for _, name := range []string{"X-Many", "X-Empty", "X-Quoted", "X-Broken", "X-Late", "X-Evil", "X bad"} {
						value, has := got.Headers[name]
						require.Equal(t, want.Header[name] != nil, has, "%s %s", door, name)
						require.Equal(t, strings.Join(want.Header[name], ", "), value, "%s %s", door, name)
					}
					if method != "HEAD" { // there net/http guesses from what the handler wrote
						require.Equal(t, want.Header.Get("Content-Type"), got.Headers["Content-Type"], door)
					}
				}
			})
		}
		server.Close()
	}
}

func TestHeadersOfTheConnectionStayBehind(t *testing.T) {
	h := handle(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Content-Length", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "X-Hop", "X-Stays", http.TrailerPrefix + "X-T"} {
			w.Header()[name] = []string{"1"}
		}
		w.Header()["Connection"] = []string{"close, X-Hop"}
		_, _ = w.Write([]byte("x"))
	})
	a := invoke(t, h, request("GET", "/"))
	delete(a.Headers, "Content-Type")
	require.Equal(t, map[string]string{"X-Stays": "1"}, a.Headers)
}

func TestTheAnswerHasTheFormOfTheLibrarysOwn(t *testing.T) {
	f := handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{`text/plain; x="<ä>"`}
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "hello")
	})
	ours, err := f(t.Context(), event(t, request("GET", "/")))
	require.NoError(t, err)
	defer ours.Close()
	theirs := &events.LambdaFunctionURLStreamingResponse{StatusCode: 201, Headers: map[string]string{"Content-Type": `text/plain; x="<ä>"`}, Cookies: []string{"a=1", "b=2"}, Body: strings.NewReader("hello")}
	a, err := io.ReadAll(ours)
	require.NoError(t, err)
	b, err := io.ReadAll(theirs)
	require.NoError(t, err)
	split := func(raw []byte) (head map[string]any, rest string) {
		before, after, _ := strings.Cut(string(raw), "}\x00")
		require.NoError(t, json.Unmarshal([]byte(before+"}"), &head))
		return head, after
	}
	ourHead, ourRest := split(a)
	theirHead, theirRest := split(b)
	require.Equal(t, theirHead, ourHead)
	require.Equal(t, theirRest, ourRest)
	require.Equal(t, theirs.ContentType(), ours.(interface{ ContentType() string }).ContentType())
	encoded, err := json.Marshal(ours)
	require.NoError(t, err)
	require.Equal(t, "{}", string(encoded), "or the runtime would send that in place of reading it")
}

func TestTheHeadLeavesBeforeTheBodyIsThere(t *testing.T) {
	bodyMayCome := make(chan struct{})
	body, err := handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusAccepted)
		<-bodyMayCome
		fmt.Fprint(w, "late")
	})(t.Context(), event(t, request("GET", "/")))
	require.NoError(t, err)
	defer body.Close()
	p := make([]byte, 1<<10)
	n, err := body.Read(p)
	require.NoError(t, err)
	require.Equal(t, `{"statusCode":202,"headers":{"Content-Type":"text/event-stream"}}`+strings.Repeat("\x00", 8), string(p[:n]))
	close(bodyMayCome)
	rest, err := io.ReadAll(body)
	require.NoError(t, err)
	require.Equal(t, "late", string(rest))
}

func TestAFlushSendsWhatIsThereAndWithoutOneSmallWritesAreJoined(t *testing.T) {
	step := make(chan string)
	body, err := handle(func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		w.WriteHeader(http.StatusOK)
		for s := range step {
			for i := range len(s) {
				_, _ = w.Write([]byte{s[i]})
			}
			if err := control.Flush(); err != nil {
				t.Error(err)
			}
		}
		for range 100 {
			_, _ = w.Write([]byte("0123456789"))
		}
	})(t.Context(), event(t, request("GET", "/")))
	require.NoError(t, err)
	defer body.Close()
	p := make([]byte, 1<<10)
	_, err = body.Read(p)
	require.NoError(t, err)
	for _, s := range []string{"data: one\n\n", "data: two\n\n"} {
		step <- s
		n, err := body.Read(p)
		require.NoError(t, err)
		require.Equal(t, s, string(p[:n]))
	}
	close(step)
	n, err := body.Read(p)
	require.NoError(t, err)
	require.Equal(t, 1000, n, "one read for a hundred writes")
	_, err = body.Read(p)
	require.ErrorIs(t, err, io.EOF)
}

func TestTheEndIsThereWithTheLastPromisedByte(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			fmt.Fprint(w, "ab")
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	} {
		t.Run(name, func(t *testing.T) {
			mayReturn := make(chan struct{})
			var returned, hooked atomic.Bool
			body, err := lambdahttp.Stream(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h(w, r)
				<-mayReturn
				if r.Context().Err() != nil {
					t.Error("a handler that has answered whole is left to finish")
				}
				returned.Store(true)
			}), func(context.Context) {
				hooked.Store(true)
				if !returned.Load() {
					t.Error("the hook ran before the handler had returned")
				}
			})(deadline(t, time.Minute), event(t, request("GET", "/")))
			require.NoError(t, err)
			_, err = io.ReadAll(body)
			require.NoError(t, err)
			require.False(t, returned.Load(), "the caller does not wait for the handler")
			close(mayReturn)
			require.NoError(t, body.Close())
			require.True(t, hooked.Load())
		})
	}
}

func TestABrokenAnswerLooksBroken(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	for name, c := range map[string]struct {
		end    func(w http.ResponseWriter)
		length string
	}{
		"aborted":              {end: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		"a panic":              {end: func(http.ResponseWriter) { panic("fake") }},
		"a runtime error":      {end: func(w http.ResponseWriter) { _ = make([]int, len(w.Header())-9) }},
		"the goroutine's end":  {end: func(http.ResponseWriter) { runtime.Goexit() }},
		"less than promised":   {end: func(http.ResponseWriter) {}, length: "100"},
		"aborted after length": {end: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, length: "100"},
	} {
		t.Run(name, func(t *testing.T) {
			hooks := 0
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.length != "" {
					w.Header().Set("Content-Length", c.length)
				}
				fmt.Fprint(w, "data: 1\n\n")
				c.end(w)
			})
			f := lambdahttp.Stream(h, func(context.Context) { hooks++ })
			a := invoke(t, f, request("GET", "/"))
			require.Error(t, a.broken)
			require.Equal(t, "the answer was broken off", a.broken.Error())
			require.Equal(t, "data: 1\n\n", string(a.body))
			require.Equal(t, 1, hooks)

			a = invoke(t, f, viaAPI(request("GET", "/")))
			require.Equal(t, http.StatusBadGateway, a.Status, "sent as a whole, it is not sent at all")
			require.Equal(t, "Bad Gateway\n", string(a.body))
			require.Equal(t, 2, hooks)
		})
	}
}

func TestAPanicBeforeTheHeadIs500(t *testing.T) {
	var logged strings.Builder
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	f := handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Secret", "half done")
		panic("fake panic")
	})
	for _, payload := range []string{request("GET", "/x"), viaAPI(request("GET", "/x"))} {
		a := invoke(t, f, payload)
		require.NoError(t, a.broken)
		require.Equal(t, http.StatusInternalServerError, a.Status)
		require.Equal(t, "Internal Server Error\n", string(a.body))
		require.NotContains(t, a.Headers, "X-Secret")
	}
	require.Equal(t, 2, strings.Count(logged.String(), "panic serving GET /x: fake panic"))
	require.Contains(t, logged.String(), "answer_test.go", "with the stack")
}

func TestAnAnswerAbortedBeforeItsHeadHasNone(t *testing.T) {
	f := handle(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	body, err := f(t.Context(), event(t, request("GET", "/")))
	require.NoError(t, err)
	raw, err := io.ReadAll(body)
	require.Error(t, err)
	require.Empty(t, raw)
	require.NoError(t, body.Close())
	require.Equal(t, http.StatusBadGateway, invoke(t, f, viaAPI(request("GET", "/"))).Status)
}

func TestAStatusThatIsNoneIsAPanicAsInNetHTTP(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	f := handle(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(7) })
	require.Equal(t, http.StatusInternalServerError, invoke(t, f, request("GET", "/")).Status)
	require.Equal(t, http.StatusInternalServerError, invoke(t, f, viaAPI(request("GET", "/"))).Status)
}

// ReverseProxy breaks an answer off only where it sees that a server would notice.
func TestAReverseProxyPassesAResetOn(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport, ErrorLog: log.New(io.Discard, "", 0)}
	a := invoke(t, lambdahttp.Stream(p, nil), request("GET", "/"))
	require.Error(t, a.broken)
	require.Equal(t, "data: 1\n\n", string(a.body))
}

func TestTheHookRunsAfterTheLastByteWithTheFunctionsTime(t *testing.T) {
	ctx := deadline(t, time.Hour)
	var order []string
	var hookEnds, requestEnds time.Time
	f := lambdahttp.Stream(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestEnds, _ = r.Context().Deadline()
		fmt.Fprint(w, "x")
	}), func(ctx context.Context) {
		order = append(order, "hook")
		hookEnds, _ = ctx.Deadline()
		require.NoError(t, ctx.Err())
		panic("a hook's panic is its own")
	})
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	for _, payload := range []string{request("GET", "/"), viaAPI(request("GET", "/"))} {
		order = nil
		body, err := f(ctx, event(t, payload))
		require.NoError(t, err)
		_, err = io.ReadAll(body)
		require.NoError(t, err)
		order = append(order, "last byte")
		require.NoError(t, body.Close())
		require.NoError(t, body.Close())
		require.Equal(t, []string{"last byte", "hook"}, order, "once, and after the answer")
		want, _ := ctx.Deadline()
		require.Equal(t, want, hookEnds)
		require.Equal(t, want.Add(-2*time.Second), requestEnds)
	}
}

func TestAFunctionOfLittleTimeKeepsHalfOfIt(t *testing.T) {
	ctx := deadline(t, 2*time.Second)
	var left time.Duration
	invokeWith := func(ctx context.Context) {
		body, err := handle(func(_ http.ResponseWriter, r *http.Request) {
			ends, ok := r.Context().Deadline()
			if ok {
				left = time.Until(ends)
			} else {
				left = -1
			}
		})(ctx, event(t, request("GET", "/")))
		require.NoError(t, err)
		require.NoError(t, body.Close())
	}
	invokeWith(ctx)
	require.Positive(t, left)
	require.LessOrEqual(t, left, time.Second)
	invokeWith(context.Background())
	require.EqualValues(t, -1, left, "without a deadline there is none")
}

func TestADeadlineInMidStreamEndsItBroken(t *testing.T) {
	f := handle(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: 1\n\n")
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	body, err := f(deadline(t, 100*time.Millisecond), event(t, request("GET", "/")))
	require.NoError(t, err)
	raw, err := io.ReadAll(body)
	require.Error(t, err)
	require.NoError(t, body.Close())
	require.Equal(t, "data: 1\n\n", string(parse(t, body, raw, err).body))
}

func TestAnAnswerThatNobodyReadsIsEndedByClose(t *testing.T) {
	var writeErr, flushErr error
	ended := false
	body, err := handle(func(w http.ResponseWriter, r *http.Request) {
		for writeErr == nil {
			_, writeErr = w.Write(make([]byte, 1<<20))
		}
		<-r.Context().Done()
		flushErr = http.NewResponseController(w).Flush()
		ended = true
	})(deadline(t, time.Minute), event(t, request("GET", "/")))
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.True(t, ended, "nothing runs on when the process is frozen")
	require.Error(t, writeErr)
	require.Error(t, flushErr)
}

func TestAWriteThatWaitsForItsReaderGivesUpAtTheDeadline(t *testing.T) {
	failed := make(chan error, 1)
	body, err := handle(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 1<<20))
		failed <- err
		panic(http.ErrAbortHandler)
	})(deadline(t, 100*time.Millisecond), event(t, request("GET", "/")))
	require.NoError(t, err)
	require.ErrorIs(t, <-failed, context.DeadlineExceeded)
	require.NoError(t, body.Close())
}

func TestALargeBodyPassesWhole(t *testing.T) {
	const size = 3 << 20
	a := invoke(t, handle(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < size; {
			n := min(1+i%70_000, size-i)
			p := make([]byte, n)
			for j := range p {
				p[j] = byte((i + j) % 251)
			}
			if m, err := w.Write(p); m != n || err != nil {
				t.Error(m, err)
			}
			i += n
		}
	}), request("GET", "/"))
	require.Len(t, a.body, size)
	for i, b := range a.body {
		if b != byte(i%251) {
			t.Fatalf("byte %d", i)
		}
	}
}

func TestAnAnswerThatIsTooLargeForAnAPIIs502(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	a := invoke(t, handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) }), viaAPI(request("GET", "/")))
	require.Equal(t, http.StatusBadGateway, a.Status, "the runtime would end the process over it")
}

func TestAResponseControllerIsToldWhatIsNotThere(t *testing.T) {
	for _, payload := range []string{request("GET", "/"), viaAPI(request("GET", "/"))} {
		invoke(t, handle(func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			for name, err := range map[string]error{"read": c.SetReadDeadline(time.Now()), "write": c.SetWriteDeadline(time.Now())} {
				if !errors.Is(err, http.ErrNotSupported) {
					t.Error(name, err)
				}
			}
			if _, _, err := c.Hijack(); !errors.Is(err, http.ErrNotSupported) {
				t.Error(err)
			}
			if err := errors.Join(c.EnableFullDuplex(), c.Flush()); err != nil {
				t.Error(err)
			}
		}), payload)
	}
}

func TestAWriteAfterTheHandlerReturnedReachesNobody(t *testing.T) {
	var kept http.ResponseWriter
	f := handle(func(w http.ResponseWriter, _ *http.Request) { kept = w; fmt.Fprint(w, "x") })
	invoke(t, f, request("GET", "/"))
	late := kept
	_, err := late.Write([]byte("late"))
	require.Error(t, err)
	require.Equal(t, "x", string(invoke(t, f, request("GET", "/")).body))
}

func TestAnswersOfManyInvocationsDoNotMix(t *testing.T) {
	f := handle(func(w http.ResponseWriter, r *http.Request) {
		for range 50 {
			fmt.Fprint(w, r.URL.Path)
			w.(http.Flusher).Flush()
		}
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				path := fmt.Sprintf("/%d-%d ", i, j)
				body, err := f(context.Background(), &lambdahttp.Event{RawPath: strings.TrimSpace(path)})
				if err == nil {
					err = body.Close()
				}
				if err != nil {
					t.Error(err)
				}
				a := invoke(t, f, request("GET", strings.TrimSpace(path)))
				if want := strings.Repeat(strings.TrimSpace(path), 50); string(a.body) != want {
					t.Errorf("%s: %q", path, a.body)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheRuntimeTakesBothForms(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	for _, c := range []struct {
		f       lambdahttp.Function
		payload string
		want    string
	}{
		{lambdahttp.Stream(h, nil), request("GET", "/"), "\x00hello"},
		{lambdahttp.Stream(h, nil), viaAPI(request("GET", "/")), `"body":"hello"}`},
		{lambdahttp.Buffered(h, nil), request("GET", "/"), `"body":"hello"}`},
	} {
		raw, err := lambda.NewHandler(c.f).Invoke(t.Context(), []byte(c.payload))
		require.NoError(t, err)
		require.Contains(t, string(raw), c.want)
	}
}
