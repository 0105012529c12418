package manage

import (
	"maps"
	"slices"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// wireInfo tells what the installation is.
type wireInfo struct {
	Version         string         `json:"version"`
	Store           string         `json:"store" doc:"sqlite or dynamodb"`
	Bus             string         `json:"bus" doc:"spool or eventbridge"`
	Region          string         `json:"region,omitempty" doc:"Of AWS; absent where nothing is kept there"`
	Demo            bool           `json:"demo" doc:"The default provider is the built-in stand-in, which answers from memory and bills nobody"`
	BaseURL         string         `json:"base_url,omitempty" format:"uri" doc:"What clients of the default provider are given, such as https://llm.example.com/v1; absent where the server was not told its public address: base_path under the origin of this answer"`
	Ledger          bool           `json:"ledger" doc:"Usage and requests can be asked for"`
	Capture         string         `json:"capture,omitempty" enum:"full,metadata" doc:"What events keep of bodies where a project does not say; absent where only the proxy knows"`
	DefaultProvider string         `json:"default_provider"`
	Providers       []wireProvider `json:"providers" nullable:"false"`
	Limits          wireLimits     `json:"limits"`
	Retention       wireRetention  `json:"retention"`
}

// wireProvider is an upstream that projects may be for.
type wireProvider struct {
	Name           string           `json:"name"`
	BaseURL        string           `json:"base_url" doc:"Of the upstream itself"`
	Clients        string           `json:"clients" enum:"openai,anthropic" doc:"Client libraries that its API is made for"`
	BasePath       string           `json:"base_path" doc:"Path of the base URL that these clients are given: /v1, /name/v1, or nothing where they want the origin alone"`
	Endpoints      []wireEndpoint   `json:"endpoints" nullable:"false"`
	Limits         wireUpstreamRoom `json:"limits"`
	Timeouts       wireTimeouts     `json:"timeouts" doc:"There is none for a whole answer"`
	RetryAttempts  int              `json:"retry_attempts" doc:"Further tries where no byte was sent, or of a GET answered 502, 503 or 504"`
	CircuitBreaker wireBreaker      `json:"circuit_breaker"`
}

// wireUpstreamRoom bounds what goes to an upstream.
type wireUpstreamRoom struct {
	RequestBytes       int64 `json:"request_bytes" doc:"Of a body; endpoints may have their own"`
	ConnectionsPerHost int   `json:"connections_per_host"`
}

// wireTimeouts bound the wait for an upstream.
type wireTimeouts struct {
	ConnectMS        int64 `json:"connect_ms"`
	ResponseHeaderMS int64 `json:"response_header_ms" doc:"From the request's last byte to the answer's head"`
	IdleMS           int64 `json:"idle_ms" doc:"Silence within an answer"`
}

// wireBreaker says when an upstream that fails is left alone.
type wireBreaker struct {
	Failures   int   `json:"failures" doc:"In a row"`
	WindowMS   int64 `json:"window_ms" doc:"Within this time"`
	CooldownMS int64 `json:"cooldown_ms" doc:"Until one request may try again"`
}

// wireEndpoint is one path that tokens may call.
type wireEndpoint struct {
	Path         string   `json:"path" doc:"{x} stands for one segment"`
	Methods      []string `json:"methods" nullable:"false"`
	Group        string   `json:"group" doc:"The project has to have it among its endpoints"`
	RequestBytes int64    `json:"request_bytes,omitempty" doc:"Of a body; absent: the provider's limit"`
}

// wireLimits are those that hold for all providers. What is absent is not limited.
type wireLimits struct {
	RequestBytes           int64  `json:"request_bytes,omitempty" doc:"Of a body, by the platform, whatever a provider allows"`
	HeaderBytes            int64  `json:"header_bytes,omitempty" doc:"Of a request's head"`
	AnswerMS               int64  `json:"answer_ms,omitempty" doc:"For an answer with its stream, by the platform"`
	MaxConcurrentPerToken  int    `json:"max_concurrent_per_token,omitempty" doc:"Requests of one token under way at once, in each process"`
	UnknownTokensPerMinute int    `json:"unknown_tokens_per_minute,omitempty" doc:"That one source may try, in each process"`
	MaxDurationMinutes     int64  `json:"max_duration_minutes" doc:"Longest life of a token"`
	DefaultMaxRequests     *int64 `json:"default_max_requests,omitempty" nullable:"false" doc:"Lifetime cap of a token minted without one"`
	DefaultRequestsPerHour int64  `json:"default_requests_per_hour" doc:"Hourly cap of a token minted without one"`
	RevokeBatch            int    `json:"revoke_batch" doc:"Tokens that one call revokes"`
	SignInFailures         int    `json:"sign_in_failures_per_minute,omitempty" doc:"Of a user, and of a source"`
	SessionIdleMS          int64  `json:"session_idle_ms,omitempty" doc:"Until an unused session ends"`
	SessionMS              int64  `json:"session_ms,omitempty" doc:"Until any session ends"`
}

// wireRetention says how long things are kept. What is absent has no such bound, or this process does not know it.
type wireRetention struct {
	TokenDays   int   `json:"token_days" doc:"A token after its expiry"`
	AuditDays   int   `json:"audit_days" doc:"An audit entry"`
	RequestDays int   `json:"request_days" doc:"A request in GET /manage/requests"`
	UsageDays   int   `json:"usage_days" doc:"The sums that GET /manage/usage answers from"`
	EventDays   int   `json:"event_days,omitempty" doc:"The events that destinations have kept in the bucket"`
	EventBytes  int64 `json:"event_bytes,omitempty" doc:"Of events that wait for a destination; beyond it the oldest go"`
	LogDays     int   `json:"log_days,omitempty" doc:"The application's log and the archive of the bus"`
}

func (h *Handler) infoOut() wireInfo {
	c := &h.cfg
	out := wireInfo{
		Version: c.Version, Store: c.Store, Bus: c.Bus, Region: c.Region, Demo: c.Demo, Ledger: c.Ledger != nil, Capture: string(c.Capture),
		DefaultProvider: c.Providers.Default, Providers: providersOut(c.Providers),
		Limits: wireLimits{
			RequestBytes: c.Limits.RequestBytes, HeaderBytes: c.Limits.HeaderBytes, AnswerMS: c.Limits.Answer.Milliseconds(),
			MaxConcurrentPerToken: c.Limits.MaxConcurrentPerToken, UnknownTokensPerMinute: c.Limits.UnknownTokensPerMinute,
			MaxDurationMinutes: maxDurationMinutes, DefaultMaxRequests: limitNumber(h.service.cfg.DefaultMaxRequests), DefaultRequestsPerHour: DefaultRequestsPerHour,
			RevokeBatch: maxBatch, SignInFailures: c.Limits.SignInFailures, SessionIdleMS: c.Limits.SessionIdle.Milliseconds(), SessionMS: c.Limits.Session.Milliseconds(),
		},
		Retention: wireRetention{
			TokenDays: days(llmproxy.TokensKeep), AuditDays: days(llmproxy.AuditKeeps), RequestDays: days(llmproxy.LedgerKeeps), UsageDays: days(llmproxy.LedgerKeepsHours),
			EventDays: c.Retention.EventDays, EventBytes: c.Retention.EventBytes, LogDays: c.Retention.LogDays,
		},
	}
	if c.PublicURL != "" {
		out.BaseURL = c.PublicURL + c.Providers.BasePath(c.Providers.Default)
	}
	return out
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

func providersOut(set *provider.Set) []wireProvider {
	out := []wireProvider{}
	for _, name := range slices.Sorted(maps.Keys(set.Providers)) {
		p := set.Providers[name]
		one := wireProvider{
			Name: name, BaseURL: p.BaseURL.String(), Clients: string(p.Clients()), BasePath: set.BasePath(name), Endpoints: []wireEndpoint{},
			Limits:         wireUpstreamRoom{p.Limits.RequestBytes, p.Limits.ConnectionsPerHost},
			Timeouts:       wireTimeouts{p.Timeouts.Connect.Milliseconds(), p.Timeouts.ResponseHeader.Milliseconds(), p.Timeouts.Idle.Milliseconds()},
			RetryAttempts:  p.RetryAttempts,
			CircuitBreaker: wireBreaker{p.Breaker.Failures, p.Breaker.Window.Milliseconds(), p.Breaker.Cooldown.Milliseconds()},
		}
		for _, e := range p.Endpoints {
			one.Endpoints = append(one.Endpoints, wireEndpoint{Path: e.Path, Methods: e.Methods, Group: string(e.Group), RequestBytes: e.RequestBytes})
		}
		out = append(out, one)
	}
	return out
}
