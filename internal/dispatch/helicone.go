package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// HeliconeConfig says which Helicone gets the calls.
type HeliconeConfig struct {
	Key      llmproxy.Secret
	BaseURL  string // "" is https://api.worker.helicone.ai
	Parallel int    // calls at once; 0 is 4
}

// Helicone sends each model call as a log of Helicone's: request, assembled answer, times and usage, an estimate included. Events that
// are no model call are passed over. A log that comes again overwrites itself, by an id made from the event's.
type Helicone struct {
	cfg     HeliconeConfig
	backend *backend
}

// NewHelicone returns the Helicone destination.
func NewHelicone(cfg HeliconeConfig) (*Helicone, error) {
	if cfg.Key.IsZero() {
		return nil, errors.New("the helicone destination needs a key")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.worker.helicone.ai"
	}
	if err := checkURL(cfg.BaseURL); err != nil {
		return nil, fmt.Errorf("the helicone destination's base URL %w", err)
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	cfg.Parallel = orDefault(cfg.Parallel, 4)
	return &Helicone{cfg: cfg, backend: newBackend(cfg.Key)}, nil
}

// WantsBodies implements [Destination].
func (h *Helicone) WantsBodies() bool { return true }

// Start implements [Destination].
func (h *Helicone) Start(context.Context, []byte) error { return nil }

// Deliver implements [Destination].
func (h *Helicone) Deliver(ctx context.Context, events []*llmproxy.Event) []Result {
	return each(ctx, len(events), h.cfg.Parallel, func(ctx context.Context, i int) Result {
		c, ok := callOf(events[i])
		if !ok {
			return Result{}
		}
		return h.send(ctx, &c)
	})
}

// maxHeliconeLog is the largest body that Helicone takes.
const maxHeliconeLog = 10 << 20

func (h *Helicone) send(ctx context.Context, c *call) Result {
	body, err := json.Marshal(heliconeLogOf(c))
	if err != nil {
		return Poison(err)
	}
	if len(body) > maxHeliconeLog {
		return Poison(fmt.Errorf("the log is %d bytes, Helicone takes %d", len(body), maxHeliconeLog))
	}
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + h.cfg.Key.Reveal()}}
	r, err := h.backend.post(ctx, h.cfg.BaseURL+heliconePath(c), header, body)
	switch {
	case err != nil:
		return Retry(err, 0)
	case r.status == http.StatusOK && string(bytes.TrimSpace(r.body)) == "ok":
		return Result{}
	}
	return h.backend.refused(r) // also a 200 that says something else: the log was not stored
}

// heliconePath picks the parser and the prices that Helicone uses.
func heliconePath(c *call) string {
	switch {
	case c.kind == "anthropic-messages":
		return "/anthropic/v1/log"
	case c.Provider == "openai":
		return "/oai/v1/log"
	}
	return "/custom/v1/log"
}

// Helicone's log of one call.
type (
	heliconeLog struct {
		ProviderRequest  heliconeRequest  `json:"providerRequest"`
		ProviderResponse heliconeResponse `json:"providerResponse"`
		Timing           heliconeTiming   `json:"timing"`
	}
	heliconeRequest struct {
		URL  string            `json:"url"`
		JSON json.RawMessage   `json:"json"`
		Meta map[string]string `json:"meta"`
	}
	heliconeResponse struct {
		JSON     json.RawMessage   `json:"json"`
		TextBody string            `json:"textBody,omitempty"`
		Status   int               `json:"status"`
		Headers  map[string]string `json:"headers"`
		Cost     *float64          `json:"cost,omitempty"`
	}
	heliconeTiming struct {
		StartTime        heliconeTime `json:"startTime"`
		EndTime          heliconeTime `json:"endTime"`
		TimeToFirstToken *int64       `json:"timeToFirstToken,omitempty"`
	}
	heliconeTime struct {
		Seconds      int64 `json:"seconds"`
		Milliseconds int64 `json:"milliseconds"`
	}
)

// heliconeCancelled is the status that Helicone's clients send for a call whose caller left.
const heliconeCancelled = -3

func heliconeLogOf(c *call) heliconeLog {
	meta := map[string]string{
		"Helicone-Request-Id":       heliconeID(c.ID),
		"Helicone-Property-Event":   c.ID.String(),
		"Helicone-Property-Outcome": string(c.Outcome),
		"Helicone-Property-Stream":  strconv.FormatBool(c.Stream),
	}
	if !c.TokenID.IsZero() {
		meta["Helicone-User-Id"] = c.TokenID.String()
	}
	if !c.ProjectID.IsZero() {
		meta["Helicone-Property-Project"] = c.ProjectID.String()
	}
	if c.partial {
		meta["Helicone-Property-Partial"] = "true"
	}
	if c.Test {
		meta["Helicone-Property-Test"] = "true"
	}
	if c.Usage != nil {
		meta["Helicone-Property-Usage"] = c.Usage.Source
	}
	l := heliconeLog{
		ProviderRequest:  heliconeRequest{URL: heliconeURL(c), Meta: meta, JSON: loggedRequest(c)},
		ProviderResponse: heliconeResponse{Status: c.Status, Headers: map[string]string{}, JSON: loggedResponse(c)},
		Timing:           heliconeTiming{StartTime: heliconeTimeOf(c.Time), EndTime: heliconeTimeOf(c.Time.Add(c.Timing.Total))},
	}
	if c.Outcome == llmproxy.ClientGone || c.Outcome == llmproxy.Lost {
		l.ProviderResponse.Status = heliconeCancelled
	}
	for _, header := range c.Response.Headers {
		l.ProviderResponse.Headers[header.Name] = header.Value
	}
	if c.Request.Body == nil {
		meta["Helicone-Omit-Request"] = "true"
	}
	if c.Response.Body == nil {
		meta["Helicone-Omit-Response"] = "true"
	} else if c.response == nil {
		l.ProviderResponse.TextBody = textOf(&c.Response)
	}
	if c.Stream && c.Timing.FirstByte > 0 {
		ms := c.Timing.FirstByte.Milliseconds()
		l.Timing.TimeToFirstToken = &ms
	}
	if c.Usage != nil {
		l.ProviderResponse.Cost = c.Usage.CostUSD
	}
	return l
}

// heliconeIDs is the namespace of the ids made for Helicone; it never changes.
var heliconeIDs = uuid.MustParse("6f9a3c1e-4b57-5d1a-9c0e-3a1f5b7d2e84")

// heliconeID is the id of an event's log. Helicone takes UUIDs of the versions 1 to 5 and silently replaces any other by a random one.
func heliconeID(id llmproxy.EventID) string { return uuid.NewSHA1(heliconeIDs, id.UUID[:]).String() }

func heliconeTimeOf(t time.Time) heliconeTime {
	ms := t.UnixMilli()
	return heliconeTime{Seconds: ms / 1000, Milliseconds: ms % 1000}
}

// heliconeURL lets Helicone tell kinds of calls apart; what it cannot know has its clients' placeholder.
func heliconeURL(c *call) string {
	switch c.Provider {
	case "openai":
		return "https://api.openai.com" + c.upstreamPath()
	case "anthropic":
		return "https://api.anthropic.com" + c.upstreamPath()
	}
	return "custom-model-nopath"
}

// loggedRequest is the request without stream: with it Helicone would look for events in the answer, which is assembled.
func loggedRequest(c *call) json.RawMessage {
	var members map[string]json.RawMessage
	if c.request == nil || json.Unmarshal(c.request, &members) != nil {
		members = map[string]json.RawMessage{}
	}
	delete(members, "stream")
	delete(members, "stream_options")
	if members["model"] == nil && c.Model != "" {
		members["model"] = quoted(c.Model)
	}
	b, _ := json.Marshal(members) // raw messages that were just read: it cannot fail
	return b
}

// loggedResponse is the answer with our usage where it has none of its own.
func loggedResponse(c *call) json.RawMessage {
	if c.response == nil && c.Response.Body != nil && textOf(&c.Response) != "" {
		return json.RawMessage("{}") // the text says it
	}
	var members map[string]json.RawMessage
	if c.response == nil || json.Unmarshal(c.response, &members) != nil {
		members = map[string]json.RawMessage{}
		if c.Model != "" {
			members["model"] = quoted(c.Model)
		}
	}
	if c.Usage != nil && (!gjson.ParseBytes(members["usage"]).IsObject() || c.Usage.Source == llmproxy.SourceEstimate) {
		members["usage"], _ = json.Marshal(openAIUsage(c.Usage))
	}
	b, _ := json.Marshal(members) // raw messages that were just read: it cannot fail
	return b
}

// openAIUsage is a usage as OpenAI writes it.
func openAIUsage(u *llmproxy.Usage) map[string]any {
	usage := map[string]any{}
	for name, n := range map[string]*int64{"prompt_tokens": u.Input, "completion_tokens": u.Output, "total_tokens": u.Total} {
		if n != nil {
			usage[name] = *n
		}
	}
	if u.Cached != nil {
		usage["prompt_tokens_details"] = map[string]int64{"cached_tokens": *u.Cached}
	}
	if u.Reasoning != nil {
		usage["completion_tokens_details"] = map[string]int64{"reasoning_tokens": *u.Reasoning}
	}
	return usage
}

// textOf is a body that is text and there as a whole, else "".
func textOf(m *llmproxy.Message) string {
	if m.Body == nil || m.Body.Truncated() || m.Encoding != "" {
		return ""
	}
	text := string(m.Body.Head) + string(m.Body.Tail)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return ""
	}
	return text
}

// quoted is a string as JSON.
func quoted(s string) json.RawMessage { return llmproxy.AppendString(nil, s) }

// Note implements [Destination].
func (h *Helicone) Note() []byte { return nil }

// Close implements [Destination].
func (h *Helicone) Close() error { h.backend.close(); return nil }
