package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// LunaryConfig says which Lunary project gets the calls.
type LunaryConfig struct {
	Key     llmproxy.Secret // the project's public or private key
	BaseURL string          // "" is https://api.lunary.ai
}

// Lunary sends each model call as a run of Lunary's: its start and its end, always together. Events that are no model call are passed
// over. A run has the event's id, so that one that comes again changes nothing.
type Lunary struct {
	cfg     LunaryConfig
	backend *backend
}

// NewLunary returns the Lunary destination.
func NewLunary(cfg LunaryConfig) (*Lunary, error) {
	if cfg.Key.IsZero() {
		return nil, errors.New("the lunary destination needs a key")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.lunary.ai"
	}
	if err := checkURL(cfg.BaseURL); err != nil {
		return nil, fmt.Errorf("the lunary destination's base URL %w", err)
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	return &Lunary{cfg: cfg, backend: newBackend(cfg.Key)}, nil
}

// WantsBodies implements [Destination].
func (l *Lunary) WantsBodies() bool { return true }

// Start implements [Destination].
func (l *Lunary) Start(context.Context, []byte) error { return nil }

// Batch implements [Batcher]: Lunary takes 150 calls a minute.
func (l *Lunary) Batch() (int, time.Duration) { return lunaryRuns, 500 * time.Millisecond }

const (
	lunaryRuns  = 100      // in one call; Lunary takes any number and works them off one after another
	lunaryBytes = 10 << 20 // in one call; Lunary takes 20 MB
)

// Deliver implements [Destination].
func (l *Lunary) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	results := all(len(events), Result{})
	runs := make([]json.RawMessage, len(events))
	for i, e := range events {
		if c, ok := callOf(e); ok {
			run, err := lunaryRunOf(&c)
			if err != nil {
				results[i] = Poison(err)
				continue
			}
			runs[i] = run
		}
	}
	var todo []int
	for i := range runs {
		if runs[i] != nil {
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		n, bytes := 0, 0
		for n < len(todo) && (n == 0 || n < lunaryRuns && bytes+len(runs[todo[n]]) <= lunaryBytes) {
			bytes += len(runs[todo[n]])
			n++
		}
		for i, r := range l.sendHalves(ctx, events, runs, todo[:n]) {
			results[todo[i]] = r
		}
		todo = todo[n:]
	}
	return results
}

// sendHalves sends the runs at these places, and those that are refused together in halves.
func (l *Lunary) sendHalves(ctx context.Context, events []*llmproxy.Event, runs []json.RawMessage, places []int) []Result {
	picked := make([]*llmproxy.Event, len(places))
	for i, place := range places {
		picked[i] = events[place]
	}
	byID := make(map[llmproxy.EventID]json.RawMessage, len(places))
	for _, place := range places {
		byID[events[place].ID] = runs[place]
	}
	return halves(ctx, picked, func(ctx context.Context, events []*llmproxy.Event) []Result {
		body := []byte(`{"events":[`)
		for i, e := range events {
			if i > 0 {
				body = append(body, ',')
			}
			body = append(body, byID[e.ID]...)
		}
		return l.send(ctx, events, append(body, "]}"...))
	})
}

func (l *Lunary) send(ctx context.Context, events []*llmproxy.Event, body []byte) []Result {
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + l.cfg.Key.Reveal()}}
	r, err := l.backend.post(ctx, l.cfg.BaseURL+"/v1/runs/ingest", header, body)
	if err != nil {
		return all(len(events), Retry(err, 0))
	}
	if r.status != http.StatusOK {
		return all(len(events), l.backend.refused(r))
	}
	return l.resultsOf(events, r)
}

// lunaryDuplicate is how Lunary answers a start that it has already.
const lunaryDuplicate = "already exists"

// resultsOf reads what became of each run. The answer names them in an order of its own. A run of which anything but that it was
// there before has failed is sent again as a pair: an end without its start is dropped, and said to be taken.
func (l *Lunary) resultsOf(events []*llmproxy.Event, r reply) []Result {
	type outcome struct {
		named bool
		err   error
	}
	outcomes := map[string]*outcome{}
	gjson.GetBytes(r.body, "results").ForEach(func(_, one gjson.Result) bool {
		id := one.Get("id").Str
		o := outcomes[id]
		if o == nil {
			o = &outcome{}
			outcomes[id] = o
		}
		o.named = true
		if message := one.Get("error").String(); !one.Get("success").Bool() && !strings.Contains(message, lunaryDuplicate) {
			o.err = l.backend.told(reply{status: r.status, body: []byte(message)})
		}
		return true
	})
	results := make([]Result, len(events))
	for i, e := range events {
		switch o := outcomes[e.ID.String()]; {
		case o == nil:
			results[i] = Retry(errors.New("the answer does not name the run"), 0)
		case o.err != nil:
			results[i] = Retry(o.err, 0)
		}
	}
	return results
}

// lunaryEvent is one half of a run.
type lunaryEvent struct {
	Type      string          `json:"type"`
	Event     string          `json:"event"`
	RunID     string          `json:"runId"`
	Name      string          `json:"name"`
	Timestamp string          `json:"timestamp"`
	Input     json.RawMessage `json:"input,omitempty"`
	Params    map[string]any  `json:"params,omitempty"`
	UserID    string          `json:"userId,omitempty"`
	Tags      []string        `json:"tags,omitempty"`
	Metadata  map[string]any  `json:"metadata,omitempty"`
	Runtime   string          `json:"runtime,omitempty"`
	Output    json.RawMessage `json:"output,omitempty"`
	Usage     *lunaryUsage    `json:"tokensUsage,omitempty"`
	Error     *lunaryError    `json:"error,omitempty"`
}

type lunaryUsage struct {
	Prompt     int64  `json:"prompt"`
	Completion int64  `json:"completion"`
	Cached     *int64 `json:"promptCached,omitempty"`
}

type lunaryError struct {
	Message string `json:"message"`
	Stack   string `json:"stack"`
}

// lunaryRunOf is a call as the two halves of a run, joined by a comma.
func lunaryRunOf(c *call) (json.RawMessage, error) {
	kind, name := "llm", c.Model
	if c.kind == "openai-embeddings" {
		kind = "embed"
	}
	if name == "" {
		name = c.Path
	}
	start := lunaryEvent{
		Type: kind, Event: "start", RunID: c.ID.String(), Name: name, Timestamp: lunaryTime(c.Time),
		Input: lunaryInput(c), Params: lunaryParams(c), Runtime: "llm-proxy", Metadata: lunaryMetadata(c),
	}
	if !c.TokenID.IsZero() {
		start.UserID = c.TokenID.String()
	}
	if !c.ProjectID.IsZero() {
		start.Tags = []string{"project:" + c.ProjectID.String()}
	}
	if c.Test {
		start.Tags = append(start.Tags, "test")
	}
	end := lunaryEvent{
		Type: kind, Event: "end", RunID: start.RunID, Name: name,
		Timestamp: lunaryTime(c.Time.Add(max(c.Timing.Total, time.Millisecond))), // the server sorts by it
	}
	if c.Status >= 200 && c.Status <= 299 && (c.Outcome == llmproxy.Complete || c.response != nil) { // of an error Lunary keeps no usage
		end.Output, end.Usage = lunaryOutput(c), lunaryUsageOf(c.Usage)
	} else {
		end.Event, end.Error = "error", lunaryErrorOf(c)
	}
	first, err := json.Marshal(start)
	if err != nil {
		return nil, err
	}
	second, err := json.Marshal(end)
	if err != nil {
		return nil, err
	}
	return slices.Concat(first, []byte{','}, second), nil
}

func lunaryTime(t time.Time) string { return t.UTC().Format(llmproxy.TimeFormat) }

// lunaryInput is what the model was asked, as OpenAI writes messages.
func lunaryInput(c *call) json.RawMessage {
	for _, name := range []string{"messages", "input", "prompt"} {
		if v := gjson.GetBytes(c.request, name); v.Exists() {
			return json.RawMessage(v.Raw)
		}
	}
	return nil
}

// lunaryOutput is what the model wrote: the message, or a list where there are several choices.
func lunaryOutput(c *call) json.RawMessage {
	if c.response == nil {
		return nil
	}
	r := gjson.ParseBytes(c.response)
	switch c.kind {
	case "openai-chat", "openai-completions":
		path := "choices.#.message"
		if c.kind == "openai-completions" {
			path = "choices.#.text"
		}
		said := r.Get(path)
		if list := said.Array(); len(list) == 1 {
			said = list[0]
		}
		return raw(said)
	case "openai-responses":
		return raw(r.Get("output"))
	case "anthropic-messages":
		content := r.Get("content")
		if !content.Exists() {
			return nil
		}
		return json.RawMessage(`{"role":"assistant","content":` + content.Raw + `}`)
	}
	return nil
}

// raw is a value as it is written, nil if there is none.
func raw(v gjson.Result) json.RawMessage {
	if v.Raw == "" {
		return nil
	}
	return json.RawMessage(v.Raw)
}

// lunaryParamNames are the parameters that Lunary's clients keep.
var lunaryParamNames = []string{
	"temperature", "top_p", "top_k", "stop", "n", "seed", "frequency_penalty", "presence_penalty", "tools", "tool_choice", "parallel_tool_calls", "functions",
	"function_call", "response_format", "max_tokens", "max_completion_tokens", "max_output_tokens", "logprobs", "top_logprobs", "reasoning_effort", "service_tier", "stream", "modalities",
}

func lunaryParams(c *call) map[string]any {
	params := map[string]any{}
	for _, name := range lunaryParamNames {
		if v := gjson.GetBytes(c.request, name); v.Exists() {
			params[name] = json.RawMessage(v.Raw)
		}
	}
	return params
}

func lunaryMetadata(c *call) map[string]any {
	m := map[string]any{"path": c.Path, "outcome": string(c.Outcome)}
	if !c.ProjectID.IsZero() {
		m["project_id"] = c.ProjectID.String()
	}
	if c.Provider != "" {
		m["provider"] = c.Provider
	}
	if c.Status != 0 {
		m["status"] = c.Status
	}
	if c.partial {
		m["partial"] = true
	}
	if c.Usage != nil {
		m["usage_source"] = c.Usage.Source
		if c.Usage.CostUSD != nil {
			m["cost_usd"] = *c.Usage.CostUSD
		}
	}
	return m
}

// lunaryUsageOf is nil where the prompt is not known: Lunary then counts for itself.
func lunaryUsageOf(u *llmproxy.Usage) *lunaryUsage {
	if u == nil || u.Input == nil {
		return nil
	}
	l := &lunaryUsage{Prompt: *u.Input, Cached: u.Cached}
	if u.Output != nil {
		l.Completion = *u.Output
	}
	return l
}

// lunaryErrorOf is why a call has no answer.
func lunaryErrorOf(c *call) *lunaryError {
	message := gjson.GetBytes(c.response, "error.message").String()
	if message == "" {
		message = c.Code
	}
	if message == "" {
		message = string(c.Outcome)
	}
	return &lunaryError{Message: message, Stack: fmt.Sprintf("status %d, %s", c.Status, c.Outcome)}
}

// Note implements [Destination].
func (l *Lunary) Note() []byte { return nil }

// Close implements [Destination].
func (l *Lunary) Close() error { l.backend.close(); return nil }
