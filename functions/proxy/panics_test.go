//go:build unix

package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// faulty are the places of the function where a part is wrapped in one that panics on demand.
var faulty = map[string][][2]string{
	"main.go": {
		{"Store:     store,", "Store:     faultyStore{store},"},
		{"Keys:      keys,", "Keys:      faultyKeys{keys},"},
		{"Events:    events,", "Events:    faultyEvents{events},"},
		{"Observe:   observe,", "Observe:   faultyObserve(observe),"},
		{"lambdahttp.Stream(handler, after)", "lambdahttp.Stream(faultyHandler{handler}, faultyAfter(after))"},
	},
	"settings.go": {
		{"Bus: sdkbridge.NewFromConfig(cfg),", "Bus: faultyBus{sdkbridge.NewFromConfig(cfg)},"},
	},
}

// buildFaulty builds the function as it is deployed, but for those places: the compiler is given other text for them, and what is
// deployed has nothing that could panic on demand.
func buildFaulty(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	require.NoError(t, err)
	replace := map[string]string{filepath.Join(here, "faults.go"): filepath.Join(here, "testdata", "faults", "faults.go")}
	for name, changes := range faulty {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		text := string(source)
		for _, c := range changes {
			require.Equal(t, 1, strings.Count(text, c[0]), "%s no longer has %q", name, c[0])
			text = strings.Replace(text, c[0], c[1], 1)
		}
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	program := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// Whatever panics, the process lives, the caller sees an answer that is whole or broken, never one that only looks whole, and the request
// has one event.
func TestAPanicAnywhereCostsItsRequestAlone(t *testing.T) {
	s := setup{program: buildFaulty(t)}.start(t)
	_, token := s.mint()
	warm := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
	require.Equal(t, 200, warm.status)
	s.log.await(t, `{"end":"`+warm.id)
	pids := s.host.Processes()

	type place int
	const (
		onBus place = iota
		inLog       // without its bodies, for redrive to publish
		lost        // it has a begin and no end, and redrive makes its event
		stranger
	)
	for point, c := range map[string]struct {
		status  int
		broken  bool
		place   place
		outcome llmproxy.Outcome
	}{
		"before the spend":           {status: 500, place: stranger}, // nobody knows yet whose request it is
		"after the spend":            {status: 500, place: stranger},
		"at the begin":               {status: 500, outcome: llmproxy.Refused},
		"at the key":                 {status: 500, outcome: llmproxy.Refused},
		"before the head":            {status: 502, outcome: llmproxy.Cut}, // the platform's own: the head was on its way, and there is no other
		"in mid-stream":              {status: 200, broken: true, outcome: llmproxy.Cut},
		"after the last chunk":       {status: 200, broken: true, outcome: llmproxy.Cut},
		"before the event is queued": {status: 200, place: lost},
		"after the event is queued":  {status: 200, outcome: llmproxy.Complete},
		"at the metrics":             {status: 200, outcome: llmproxy.Complete},
		"after the handler":          {status: 200, broken: true, outcome: llmproxy.Complete},
		"in the hook":                {status: 200, place: inLog},
		"after the hook":             {status: 200, outcome: llmproxy.Complete},
	} {
		t.Run(point, func(t *testing.T) {
			s := *s
			s.t = t
			header := bearer(token)
			header.Set("X-Fault", point)
			header.Set("X-Demo", "events=9,chunk-delay=1ms") // so that the chunks are written one by one
			a := s.ask(s.url, "POST", "/v1/chat/completions", streamQuestion, header)
			require.Equal(t, c.status, a.status, a.body)
			if c.broken {
				require.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
			} else {
				require.NoError(t, a.err)
			}
			s.log.await(t, "fault: "+point)
			if a.id == "" { // the platform answered
				begins := regexp.MustCompile(`{"begin":"([^"]+)"`).FindAllStringSubmatch(s.log.String(), -1)
				a.id = begins[len(begins)-1][1]
			}

			next := s.ask(s.url, "POST", "/v1/chat/completions", question, bearer(token))
			require.Equal(t, 200, next.status, next.body)
			s.log.await(t, `{"end":"`+next.id) // and all of the one before is over
			begun, ended := strings.Count(s.log.String(), `{"begin":"`+a.id), strings.Count(s.log.String(), `{"end":"`+a.id)
			s.cloud.mu.Lock()
			events := len(s.cloud.onBus[a.id]) + len(s.cloud.inQueue[a.id])
			s.cloud.mu.Unlock()
			logged := strings.Count(s.log.String(), `{"event":{"version":1,"id":"`+a.id)
			switch c.place {
			case onBus:
				require.Equal(t, []int{1, 1, 1, 0}, []int{begun, ended, events, logged})
				require.Equal(t, c.outcome, s.cloud.event(t, s.cloud.onBus, a.id).Outcome)
			case inLog:
				require.Equal(t, []int{1, 0, 0, 1}, []int{begun, ended, events, logged})
			case lost:
				require.Equal(t, []int{1, 0, 0, 0}, []int{begun, ended, events, logged})
			case stranger:
				require.Equal(t, []int{0, 0, 0, 0}, []int{begun, ended, events, logged})
			}
		})
	}
	require.Subset(t, s.host.Processes(), pids, "no process has ended")
	require.NotContains(t, s.log.String(), "the process ended")
}
