//go:build unix

package lambdahost_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/lambdahost"
)

// player is the test in the place of a function's runtime: the process itself only sleeps.
type player struct {
	*rig
	t    testing.TB
	base string
}

// play starts a process, which needs an invocation, and takes the place of its runtime.
func play(t *testing.T, invoke func(r *rig)) *player {
	r := start(t, with("TOY", "bystander"))
	done := make(chan struct{})
	go func() { defer close(done); invoke(r) }()
	t.Cleanup(func() { <-done })
	return &player{r, t, "http://" + strings.TrimPrefix(r.log.await(t, "api "), "api ")}
}

// call asks the Runtime API or the Extensions API.
func (p *player) call(method, path, body string, header ...string) (*http.Response, map[string]any) {
	p.t.Helper()
	answer, got, err := p.do(p.t, method, p.base+path, strings.NewReader(body), header...)
	require.NoError(p.t, err)
	var told map[string]any
	require.NoError(p.t, json.Unmarshal([]byte(got), &told), got)
	return answer, told
}

// refused asks for what must be refused.
func (p *player) refused(status int, kind, method, path, body string, header ...string) {
	p.t.Helper()
	answer, told := p.call(method, path, body, header...)
	require.Equal(p.t, status, answer.StatusCode, told)
	require.Equal(p.t, kind, told["errorType"])
}

const (
	invocations = "/2018-06-01/runtime/invocation/"
	extensions  = "/2020-01-01/extension/"
)

func (p *player) next() (id string) {
	p.t.Helper()
	answer, _ := p.call("GET", invocations+"next", "")
	require.Equal(p.t, http.StatusOK, answer.StatusCode)
	require.NotEmpty(p.t, answer.Header.Get("Lambda-Runtime-Deadline-Ms"))
	require.Contains(p.t, answer.Header.Get("Lambda-Runtime-Invoked-Function-Arn"), ":function:")
	require.Contains(p.t, answer.Header.Get("Lambda-Runtime-Trace-Id"), "Root=1-")
	return answer.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func TestTheRuntimeAPIIsStrict(t *testing.T) {
	results := make(chan string, 1)
	p := play(t, func(r *rig) {
		out, err := r.Invoke(t.Context(), []byte(`{"a":1}`))
		results <- fmt.Sprintf("%s %v", out, err)
	})
	p.refused(http.StatusBadRequest, "InvalidRequestID", "POST", invocations+"none/response", "{}")
	id := p.next()
	p.refused(http.StatusForbidden, "InvalidStateTransition", "GET", invocations+"next", "")
	p.refused(http.StatusForbidden, "InvalidStateTransition", "POST", "/2018-06-01/runtime/init/error", "")
	p.refused(http.StatusBadRequest, "InvalidRequestID", "POST", invocations+"another/error", "{}")
	answer, _ := p.call("POST", invocations+id+"/response", `{"b":2}`)
	require.Equal(t, http.StatusAccepted, answer.StatusCode, "runtimes end the process on any other")
	p.refused(http.StatusForbidden, "InvalidStateTransition", "POST", invocations+id+"/response", "{}")
	p.refused(http.StatusForbidden, "InvalidStateTransition", "POST", invocations+id+"/error", "{}")
	require.Equal(t, `{"b":2} <nil>`, <-results)
}

func TestErrorsReachTheInvoker(t *testing.T) {
	var failed *lambdahost.FunctionError
	errs := make(chan error, 1)
	p := play(t, func(r *rig) {
		_, err := r.Invoke(t.Context(), []byte(`{}`))
		errs <- err
	})
	id := p.next()
	answer, _ := p.call("POST", invocations+id+"/error", `{"errorType":"Fake","errorMessage":"no"}`)
	require.Equal(t, http.StatusAccepted, answer.StatusCode)
	require.ErrorAs(t, <-errs, &failed)
	require.Equal(t, "Fake", failed.Type)
}

func TestTheExtensionsAPIIsStrict(t *testing.T) {
	errs := make(chan error, 1)
	p := play(t, func(r *rig) {
		_, err := r.Invoke(t.Context(), []byte(`{}`))
		errs <- err
	})
	register := func(name, events string) (*http.Response, map[string]any) {
		return p.call("POST", extensions+"register", `{"events":[`+events+`]}`, "Lambda-Extension-Name", name)
	}
	p.refused(http.StatusForbidden, "Extension.InvalidExtensionName", "POST", extensions+"register", `{}`)
	p.refused(http.StatusBadRequest, "InvalidRequestFormat", "POST", extensions+"register", `{`, "Lambda-Extension-Name", "x")
	p.refused(http.StatusForbidden, "Extension.InvalidEventType", "POST", extensions+"register", `{"events":["SHUTDOWN"]}`, "Lambda-Extension-Name", "x")
	p.refused(http.StatusForbidden, "Extension.MissingExtensionIdentifier", "GET", extensions+"event/next", "")
	for id, kind := range map[string]string{
		"x": "Invalid", "0000000g-0000-0000-0000-000000000000": "Invalid", "00000000000000000000000000000000-000": "Invalid", "00000000-0000-0000-0000-000000000000": "Unknown",
	} {
		p.refused(http.StatusForbidden, "Extension."+kind+"ExtensionIdentifier", "GET", extensions+"event/next", "", "Lambda-Extension-Identifier", id)
	}
	answer, told := register("worker", `"INVOKE"`)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "$LATEST", told["functionVersion"])
	worker := answer.Header.Get("Lambda-Extension-Identifier")
	require.NotEmpty(t, worker)
	p.refused(http.StatusForbidden, "Extension.InvalidExtensionState", "POST", extensions+"register", `{"events":[]}`, "Lambda-Extension-Name", "worker")
	var idle []string
	for i := range 9 {
		answer, _ := register(string(rune('a'+i)), "")
		idle = append(idle, answer.Header.Get("Lambda-Extension-Identifier"))
	}
	p.refused(http.StatusForbidden, "Extension.TooManyExtensions", "POST", extensions+"register", `{"events":[]}`, "Lambda-Extension-Name", "k")

	// INIT ends when the runtime and all extensions have asked for what comes next.
	events := make(chan map[string]any, 1)
	ask := func(id string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.base+extensions+"event/next", nil)
		require.NoError(t, err)
		req.Header.Set("Lambda-Extension-Identifier", id)
		go func() {
			answer, err := p.client.Do(req)
			if err != nil {
				return // the process has ended
			}
			defer answer.Body.Close()
			var event map[string]any
			if json.NewDecoder(answer.Body).Decode(&event) == nil {
				events <- event
			}
		}()
	}
	for _, id := range append(idle, worker) {
		ask(id)
	}
	id := p.next()
	event := <-events
	require.Equal(t, "INVOKE", event["eventType"])
	require.Equal(t, id, event["requestId"])
	require.Contains(t, event["invokedFunctionArn"], ":function:")
	require.NotEmpty(t, event["deadlineMs"])
	p.refused(http.StatusForbidden, "Extension.InvalidExtensionState", "GET", extensions+"event/next", "", "Lambda-Extension-Identifier", idle[0])
	p.refused(http.StatusForbidden, "Extension.RegistrationClosed", "POST", extensions+"register", `{"events":[]}`, "Lambda-Extension-Name", "late")

	// The invocation ends when both have.
	p.call("POST", invocations+id+"/response", `{}`)
	require.NoError(t, <-errs)
	go func() { _, _ = p.client.Get(p.base + invocations + "next") }()
	require.NotContains(t, p.log.String(), "REPORT")
	ask(worker)
	p.settle(t, 1)
}

func TestAnAnswerWithoutAHeadIs502(t *testing.T) {
	type got struct {
		status int
		body   string
		err    error
	}
	for name, c := range map[string]struct {
		body, kind string
		status     int
		want       string
		broken     bool
	}{
		"nothing":              {status: 502},
		"no zero bytes":        {body: `{"statusCode":200}`, status: 502},
		"too few zero bytes":   {body: `{"statusCode":200}` + strings.Repeat("\x00", 7) + "x", status: 502},
		"no JSON":              {body: "{" + strings.Repeat("\x00", 8), status: 502},
		"a status that is 1xx": {body: `{"statusCode":103}` + strings.Repeat("\x00", 8), status: 502},
		"a head of 20 KB":      {body: `{"x":"` + strings.Repeat("x", 20<<10) + `"}` + strings.Repeat("\x00", 8), status: 502},
		"no status":            {body: `{}` + strings.Repeat("\x00", 8) + "hello", status: 200, want: "hello"},
		"another content type": {body: "hello", kind: "text/plain", status: 200, want: "hello"},
		"an error trailer":     {body: `{}` + strings.Repeat("\x00", 8) + "hello", status: 200, want: "hello", broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			answers := make(chan got, 1)
			p := play(t, func(r *rig) {
				answer, err := r.client.Get(r.url + "/")
				if err != nil {
					answers <- got{err: err}
					return
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				answers <- got{answer.StatusCode, string(body), err}
			})
			id := p.next()
			req, err := http.NewRequestWithContext(t.Context(), "POST", p.base+invocations+id+"/response", io.MultiReader(strings.NewReader(c.body)))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/vnd.awslambda.http-integration-response")
			if c.kind != "" {
				req.Header.Set("Content-Type", c.kind)
			}
			if c.broken {
				req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": {"Fake"}, "Lambda-Runtime-Function-Error-Body": {base64.StdEncoding.EncodeToString([]byte(`{}`))}}
			}
			answer, err := p.client.Do(req)
			require.NoError(t, err)
			answer.Body.Close()
			require.Equal(t, http.StatusAccepted, answer.StatusCode)
			a := <-answers
			require.Equal(t, c.status, a.status)
			if c.status == 200 {
				require.Equal(t, c.want, a.body)
			}
			require.Equal(t, c.broken, errors.Is(a.err, io.ErrUnexpectedEOF), "%v", a.err)
		})
	}
}

func TestAnAPITakesAnAnswerWithoutAStatusAsTheBody(t *testing.T) {
	for body, want := range map[string]struct {
		status int
		body   string
	}{
		`{"hello":1}`:                   {200, `{"hello":1}`},
		`not JSON`:                      {200, `not JSON`},
		`{"statusCode":201,"body":"x"}`: {201, "x"},
		`{"statusCode":201,"body":"eA==","isBase64Encoded":true}`: {201, "x"},
		`{"statusCode":201,"body":"%","isBase64Encoded":true}`:    {500, `{"message":"Internal Server Error"}` + "\n"},
		`{"statusCode":99}`: {500, `{"message":"Internal Server Error"}` + "\n"},
	} {
		done := make(chan struct{})
		var status int
		var got string
		p := play(t, func(r *rig) {
			defer close(done)
			answer, err := r.client.Get(r.api + "/")
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			b, _ := io.ReadAll(answer.Body)
			status, got = answer.StatusCode, string(b)
		})
		id := p.next()
		p.call("POST", invocations+id+"/response", body)
		<-done
		require.Equal(t, want.status, status, body)
		require.Equal(t, want.body, got, body)
	}
}
