//go:build unix

package lambdahost_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

func TestARequestPassesAsAFunctionURLPassesIt(t *testing.T) {
	t.Setenv("HOME", "/home/somebody")
	r := start(t, with("GREETING", "hello", "AWS_REGION", "eu-central-1"))
	e := r.echo(t, "GET", r.url+"/echo?a=%20&b=1&b=2", nil, "X-Many", "a", "X-Many", "b", "Cookie", "a=1; b=2", "X-Forwarded-For", "10.1.2.3", "Te", "trailers", "Authorization", "Bearer sk-fake-a")
	require.Equal(t, "/echo?a=%20&b=1&b=2", e.URI)
	require.Equal(t, "lambdahostlambdahostlambdahost00.lambda-url.us-east-1.on.aws", e.Host)
	require.Equal(t, "127.0.0.1:0", e.Remote)
	require.Equal(t, []string{"a,b"}, e.Header["X-Many"])
	require.Equal(t, []string{"a=1; b=2"}, e.Header["Cookie"])
	require.Equal(t, []string{"127.0.0.1"}, e.Header["X-Forwarded-For"])
	require.Equal(t, []string{"https"}, e.Header["X-Forwarded-Proto"])
	require.Equal(t, []string{"Bearer sk-fake-a"}, e.Header["Authorization"])
	require.NotEmpty(t, e.Header["X-Amzn-Trace-Id"])
	require.NotContains(t, e.Header, "Te")
	require.Equal(t, "hello", e.Env["GREETING"])
	require.Empty(t, e.Env["HOME"], "nothing is inherited")
	require.Equal(t, "eu-central-1", e.Env["AWS_REGION"], "the function's own variables win")
	require.DirExists(t, e.Env["LAMBDA_TASK_ROOT"])
	require.DirExists(t, e.Env["TMPDIR"])
	require.NoError(t, r.Close())
	require.NoDirExists(t, e.Env["TMPDIR"])
}

func TestBodiesPassUnchangedUpToSixMegabytesOfEvent(t *testing.T) {
	r := start(t, lambdahost.Config{})
	for _, c := range []struct {
		size   int
		kind   string
		status int
	}{
		{10 << 10, "multipart/form-data; boundary=x", 200},
		{4<<20 + 400<<10, "audio/mpeg", 200},
		{5<<20 + 512<<10, "audio/mpeg", 413},
		{5<<20 + 512<<10, "text/plain", 200},
		{7 << 20, "text/plain", 413},
		{100, "application/json", 200},
	} {
		body := bytes.Repeat([]byte("0123456789abcdef"), c.size/16)
		if !strings.Contains(c.kind, "text") && !strings.Contains(c.kind, "json") {
			body[len(body)/2] = 0xff
		}
		answer, got, err := r.do(t, "POST", r.url+"/echo", bytes.NewReader(body), "Content-Type", c.kind)
		require.NoError(t, err)
		require.Equal(t, c.status, answer.StatusCode, "%d bytes of %s: %s", c.size, c.kind, got)
		if c.status == 200 {
			require.Contains(t, got, fmt.Sprintf("%x", sha256.Sum256(body)))
			require.Contains(t, got, fmt.Sprintf(`"length":%d`, len(body)))
		}
	}
}

func TestAStreamComesChunkByChunk(t *testing.T) {
	r := start(t, lambdahost.Config{})
	answer, err := r.client.Get(r.url + "/stream?n=4&ms=60")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	require.NotContains(t, r.log.String(), "the stream has ended", "the head is there before the body")
	lines := bufio.NewScanner(answer.Body)
	for i := range 4 {
		require.True(t, lines.Scan())
		require.Equal(t, fmt.Sprintf("data: %d", i), lines.Text())
		require.True(t, lines.Scan())
		if i < 3 {
			require.NotContains(t, r.log.String(), "the stream has ended", "chunk %d is there before the end", i)
		}
	}
	require.False(t, lines.Scan())
	require.NoError(t, lines.Err())
}

func TestTheAnswersHeadIsThePlatforms(t *testing.T) {
	r := start(t, lambdahost.Config{})
	for _, door := range []string{r.url, r.api} {
		answer, _, err := r.do(t, "GET", door+"/cookies", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		require.Equal(t, []string{"a=1", "b=2"}, answer.Header["Set-Cookie"])
		require.Equal(t, "Bearer", answer.Header.Get("X-Amzn-Remapped-Www-Authenticate"))
		require.Empty(t, answer.Header.Get("Www-Authenticate"))
		require.Equal(t, "application/octet-stream", answer.Header.Get("Content-Type"))
		require.NotEmpty(t, answer.Header.Get("X-Amzn-Requestid"))
		answer, body, err := r.do(t, "GET", door+"/nothing", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, answer.StatusCode)
		require.Empty(t, body)
		answer, _, err = r.do(t, "HEAD", door+"/echo", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
}

func TestAnAPIDecodesThePathAndTheFunctionURLDoesNot(t *testing.T) {
	r := start(t, lambdahost.Config{})
	require.Equal(t, "/%65cho", r.echo(t, "GET", r.url+"/%65cho", nil).URI)
	require.Equal(t, "/echo?q=%2f", r.echo(t, "GET", r.api+"/%65cho%3Fx?q=%2f", nil).URI)
}

func TestAnAPILeadsEachRouteToItsFunction(t *testing.T) {
	one, other := start(t, with("GREETING", "one")), start(t, with("GREETING", "other"))
	api := httptest.NewServer(lambdahost.API(map[string]*lambdahost.Host{"/echo": one.Host, "/below/{proxy+}": other.Host}))
	t.Cleanup(api.Close)
	require.Equal(t, "one", one.echo(t, "PUT", api.URL+"/echo?a=b", nil).Env["GREETING"])
	require.Equal(t, "/below/../nothing", other.echo(t, "POST", api.URL+"/below/%2e%2e/nothing", nil).URI, "decoded, and not cleaned")
	for _, path := range []string{"/", "/echo/", "/echo/x", "/below", "/below/", "/v1/models"} {
		answer, body, err := one.do(t, "GET", api.URL+path, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		require.JSONEq(t, `{"message":"Not Found"}`, body)
	}
}

func TestATargetThatIsNoPathIs400(t *testing.T) {
	r := start(t, lambdahost.Config{})
	for _, target := range []string{"http://elsewhere.example/echo", "http:echo"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "OPTIONS %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
		require.NoError(t, err)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, answer.StatusCode, target)
		conn.Close()
	}
	require.Empty(t, r.Processes())
}

func TestABrokenAnswerIsCutAndOneWithoutAHeadIs502(t *testing.T) {
	r := start(t, lambdahost.Config{Processes: 1})
	for i, path := range []string{"/abort", "/exit"} {
		answer, body, err := r.do(t, "GET", r.url+path, nil)
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, "data: 1\n\n", body)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, path)
		r.settle(t, i+1)
	}
	require.Eventually(t, func() bool { return len(r.Processes()) == 0 }, time.Minute, 5*time.Millisecond)
	answer, _, err := r.do(t, "GET", r.url+"/panic", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, answer.StatusCode, "the adapter's own")
	r.settle(t, 3)
	before := r.Processes()
	now := r.echo(t, "GET", r.url+"/echo", nil).PID
	require.Contains(t, before, now, "a panic ends no process")

	for _, mode := range []string{"exit", "init error"} {
		broken := start(t, with("TOY", mode))
		answer, body, err := broken.do(t, "GET", broken.url+"/echo", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, answer.StatusCode)
		require.Equal(t, "Internal Server Error\n", body)
		answer, _, err = broken.do(t, "GET", broken.api+"/echo", nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusInternalServerError, answer.StatusCode)
	}
}

func TestAFunctionThatDoesNotStartInTimeIsEnded(t *testing.T) {
	cfg := with("TOY", "bystander")
	cfg.Init = 100 * time.Millisecond
	r := start(t, cfg)
	answer, _, err := r.do(t, "GET", r.url+"/echo", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, answer.StatusCode)
	require.Empty(t, r.Processes())
}

func TestTheDeadlineKillsTheProcessAndCutsTheAnswer(t *testing.T) {
	r := start(t, lambdahost.Config{Timeout: 2 * time.Second, Processes: 1})
	before := r.echo(t, "GET", r.url+"/echo", nil).PID
	r.settle(t, 1)
	_, body, err := r.do(t, "GET", r.url+"/hang", nil)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, "data: 1\n\n", body)
	r.log.await(t, "Task timed out after 2.00 seconds")
	r.settle(t, 2)
	require.Eventually(t, func() bool { return len(r.Processes()) == 0 }, time.Minute, 5*time.Millisecond)
	require.NotEqual(t, before, r.echo(t, "GET", r.url+"/echo", nil).PID)
	require.ErrorIs(t, syscall.Kill(before, 0), syscall.ESRCH)
}

// state is a process's, as the kernel tells it.
func state(t *testing.T, pid int) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the state of a process is read from /proc, which only Linux has")
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestTheProcessIsFrozenBetweenInvocationsAndTheClientDoesNotWaitForTheHook(t *testing.T) {
	r := start(t, with("HOOK_MS", "700"))
	pid := r.echo(t, "GET", r.url+"/echo", nil).PID
	require.NotContains(t, r.log.String(), "the hook has run", "the client has its last byte first")
	require.NotEqual(t, "T", state(t, pid), "the hook may run")
	r.log.await(t, "the hook has run")
	require.Eventually(t, func() bool { return state(t, pid) == "T" }, time.Minute, 5*time.Millisecond)
	r.log.await(t, "REPORT")
	require.Equal(t, pid, r.echo(t, "GET", r.url+"/echo", nil).PID, "and thawed for the next")
}

func TestAProcessTakesOneInvocationAtATimeAndTooManyAre429(t *testing.T) {
	r := start(t, lambdahost.Config{Processes: 3})
	var mu sync.Mutex
	status := map[int]int{}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			answer, err := r.client.Get(r.url + "/stream?n=1&ms=1500")
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			status[answer.StatusCode]++
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{200: 3, 429: 3}, status)
	require.Len(t, r.Processes(), 3)
}

func TestAClientThatLeavesChangesNothingForTheFunction(t *testing.T) {
	r := start(t, lambdahost.Config{})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/stream?n=10&ms=40", nil)
	require.NoError(t, err)
	answer, err := r.client.Do(req)
	require.NoError(t, err)
	_, err = answer.Body.Read(make([]byte, 1))
	require.NoError(t, err)
	leave()
	answer.Body.Close()
	r.log.await(t, "the stream has ended")
	r.log.await(t, "REPORT")
}

func TestTheLogReadsAsCloudWatchs(t *testing.T) {
	r := start(t, lambdahost.Config{})
	answer, _, err := r.do(t, "GET", r.url+"/stream?n=1", nil)
	require.NoError(t, err)
	r.log.await(t, "REPORT")
	id := answer.Header.Get("X-Amzn-Requestid")
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	require.Equal(t, []string{
		"hello from the function", "START RequestId: " + id + " Version: $LATEST", "the stream has ended", "half a line", "END RequestId: " + id,
	}, lines[:5])
	require.Regexp(t, `^REPORT RequestId: `+id+`\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB(\tMax Memory Used: \d+ MB)?\tInit Duration: \d+\.\d\d ms$`, r.log.await(t, "REPORT"))
}

func TestAnAnswerOfAnAPIComesWhole(t *testing.T) {
	r := start(t, with("TOY", "buffered"))
	e := r.echo(t, "POST", r.api+"/echo?x=1", strings.NewReader(`{"a":1}`), "Content-Type", "application/json")
	require.Equal(t, "POST", e.Method)
	require.EqualValues(t, 7, e.Length)
	require.Equal(t, "lambdahost.execute-api.us-east-1.amazonaws.com", e.Host)
	answer, _, err := r.do(t, "GET", r.api+"/abort", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, answer.StatusCode)
}

func TestAnEventIsInvokedDirectly(t *testing.T) {
	r := start(t, with("TOY", "events"))
	out, err := r.Invoke(t.Context(), []byte(`{"id":"1"}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"1"}`, string(out))

	var failed *lambdahost.FunctionError
	_, err = r.Invoke(t.Context(), []byte(`{"do":"fail"}`))
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "errorString", failed.Type)
	require.Contains(t, failed.Error(), "fake failure")
	_, err = r.Invoke(t.Context(), []byte(`{"do":"large"}`))
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "Function.ResponseSizeTooLarge", failed.Type)
	_, err = r.Invoke(t.Context(), []byte(`{"do":"exit"}`))
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "Runtime.ExitError", failed.Type)
	require.Contains(t, string(failed.Body), "exit status 3")
	_, err = r.Invoke(t.Context(), make([]byte, 6<<20+1))
	require.ErrorIs(t, err, lambdahost.ErrPayloadTooLarge)
	require.NoError(t, r.Close())
	_, err = r.Invoke(t.Context(), []byte(`{}`))
	require.ErrorIs(t, err, lambdahost.ErrClosed)
	require.ErrorIs(t, r.InvokeAsync([]byte(`{}`)), lambdahost.ErrClosed)
}

func TestAnAsynchronousInvocationIsTriedThreeTimes(t *testing.T) {
	cfg := with("TOY", "events")
	cfg.Retry, cfg.Processes = 20*time.Millisecond, 1
	r := start(t, cfg)
	require.NoError(t, r.InvokeAsync([]byte(`{"id":"poison","do":"fail"}`)))
	for range 3 { // more than there are processes: they wait
		require.NoError(t, r.InvokeAsync([]byte(`{"id":"good"}`)))
	}
	r.log.await(t, "try 3 of 3")
	require.Eventually(t, func() bool { return strings.Count(r.log.String(), "event good") == 3 }, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, 3, strings.Count(r.log.String(), "event poison"))
	require.ErrorIs(t, r.InvokeAsync(make([]byte, 6<<20+1)), lambdahost.ErrPayloadTooLarge)
}

func TestAnExtensionHasSIGTERMBeforeTheEnd(t *testing.T) {
	r := start(t, with("TOY", "sigterm"))
	r.echo(t, "GET", r.url+"/echo", nil)
	require.NoError(t, r.Close())
	require.Contains(t, r.log.String(), "sigterm came")

	r = start(t, lambdahost.Config{})
	r.echo(t, "GET", r.url+"/echo", nil)
	require.NoError(t, r.Close())
	require.NotContains(t, r.log.String(), "sigterm came")
}

func TestWhatTheFunctionHasStartedEndsWithIt(t *testing.T) {
	r := start(t, lambdahost.Config{})
	_, _, err := r.do(t, "GET", r.url+"/child", nil)
	require.NoError(t, err)
	pids := r.Processes()
	require.Len(t, pids, 1)
	require.NoError(t, r.Close())
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(-pids[0], 0), syscall.ESRCH) }, time.Minute, 10*time.Millisecond)
}

func TestWhatIsNoProgramIsRefused(t *testing.T) {
	_, err := lambdahost.New(lambdahost.Config{Bootstrap: t.TempDir()})
	require.ErrorContains(t, err, "is not a program")
	_, err = lambdahost.New(lambdahost.Config{Bootstrap: t.TempDir() + "/none"})
	require.ErrorIs(t, err, os.ErrNotExist)
	script := t.TempDir() + "/bootstrap"
	require.NoError(t, os.WriteFile(script, []byte("no format of any program"), 0o755))
	h, err := lambdahost.New(lambdahost.Config{Bootstrap: script})
	require.NoError(t, err)
	_, err = h.Invoke(t.Context(), nil)
	require.ErrorIs(t, err, syscall.ENOEXEC)
	require.NoError(t, h.Close())
}
