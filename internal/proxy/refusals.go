package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// refusal is an answer of ours in place of the upstream's. Its message is a fixed sentence that says what to do.
type refusal struct {
	status     int
	kind       string // "type" of the error object
	code       string
	message    string
	retryAfter time.Duration    // 0 sends no Retry-After
	retry      bool             // waiting may cure it; others tell SDKs not to try again
	outcome    llmproxy.Outcome // of the event; empty is Refused
}

// Types of errors, as OpenAI names them.
const (
	kindInvalid    = "invalid_request_error"
	kindAuth       = "authentication_error"
	kindPermission = "permission_error"
	kindRate       = "rate_limit_error"
	kindServer     = "server_error"
)

// Every answer of ours.
var (
	refuseTarget            = &refusal{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_request", message: "The request target must be a path such as /v1/chat/completions."}
	refuseCredentialInQuery = &refusal{status: http.StatusBadRequest, kind: kindInvalid, code: "credential_in_query", message: "The URL carries a credential, which ends up in logs. Send the token in the Authorization header, and revoke it if it was real."}
	refuseBody              = &refusal{status: http.StatusBadRequest, kind: kindInvalid, code: "invalid_request", message: "The request body could not be read to its end."}
	refuseEndpoint          = &refusal{status: http.StatusNotFound, kind: kindInvalid, code: "endpoint_not_allowed", message: "This path is not on the list of endpoints. Check the base URL, or ask the operator to allow the endpoint in providers.yaml."}
	refuseMethod            = &refusal{status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed", message: "This method is not allowed on this path."}
	refuseTooLarge          = &refusal{status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large", message: "The request body is larger than this endpoint takes."}
	refuseWebSocket         = &refusal{status: http.StatusUpgradeRequired, kind: kindInvalid, code: "websocket_not_supported", message: "WebSockets are not supported. Use the HTTP form of this API, with streaming where you need it."}

	refuseTokenMissing   = &refusal{status: http.StatusUnauthorized, kind: kindAuth, code: "token_missing", message: "No token was sent. Send one as Authorization: Bearer sk-llmp-..."}
	refuseTokenInvalid   = &refusal{status: http.StatusUnauthorized, kind: kindAuth, code: "token_invalid", message: "This token is not valid. Send exactly one token, as it was shown when it was created."}
	refuseTokenExpired   = &refusal{status: http.StatusUnauthorized, kind: kindAuth, code: "token_expired", message: "This token has expired. Ask for a new one."}
	refuseTokenRevoked   = &refusal{status: http.StatusUnauthorized, kind: kindAuth, code: "token_revoked", message: "This token was revoked. Ask for a new one."}
	refuseTokenExhausted = &refusal{status: http.StatusTooManyRequests, kind: kindRate, code: "token_exhausted", message: "This token has made all the requests it was issued for. Ask for a new one, or for a higher limit."}
	refuseRateLimit      = &refusal{status: http.StatusTooManyRequests, kind: kindRate, code: "rate_limit_exceeded", message: "This token has made all its requests for this hour. Wait until the next full hour (UTC), see Retry-After."}
	refuseTooManyAtOnce  = &refusal{status: http.StatusTooManyRequests, kind: kindRate, code: "rate_limit_exceeded", message: "This token has too many requests under way at once. Wait for one to end.", retryAfter: time.Second}
	refuseUnknownTokens  = &refusal{status: http.StatusTooManyRequests, kind: kindRate, code: "rate_limit_exceeded", message: "Too many unknown tokens came from this address. Wait a minute, then send a valid one.", retryAfter: time.Minute}

	refuseProjectInactive = &refusal{status: http.StatusForbidden, kind: kindPermission, code: "project_inactive", message: "The project of this token is deactivated. Ask its operator to activate it."}
	refuseProvider        = &refusal{status: http.StatusForbidden, kind: kindPermission, code: "provider_mismatch", message: "The project of this token uses another provider than this path names."}
	refuseGroup           = &refusal{status: http.StatusForbidden, kind: kindPermission, code: "endpoint_not_enabled", message: "The project of this token may not call this endpoint, since what it stores is shared by all tokens of the provider key. Its operator can enable it by adding \"stored\" to the project's endpoints."}

	refuseStoreUnavailable = &refusal{status: http.StatusServiceUnavailable, kind: kindServer, code: "store_unavailable", message: "Tokens cannot be checked right now. Try again shortly.", retryAfter: time.Second, retry: true}
	refuseKeyUnavailable   = &refusal{status: http.StatusServiceUnavailable, kind: kindServer, code: "key_unavailable", message: "The provider key of this project cannot be read right now. Try again shortly; if it stays so, its operator has to set it anew.", retryAfter: 5 * time.Second, retry: true}
	refuseCircuitOpen      = &refusal{status: http.StatusServiceUnavailable, kind: kindServer, code: "circuit_open", message: "The provider has failed several times in a row and is given a pause. Try again shortly.", retry: true}

	refuseUnreachable     = &refusal{status: http.StatusBadGateway, kind: kindServer, code: "upstream_unreachable", message: "The provider could not be reached.", retry: true, outcome: llmproxy.UpstreamError}
	refuseUpstreamInvalid = &refusal{status: http.StatusBadGateway, kind: kindServer, code: "upstream_invalid", message: "The provider broke off or sent something that is not a valid answer. The request may have been executed.", outcome: llmproxy.UpstreamError}
	refuseUpstreamAuth    = &refusal{status: http.StatusBadGateway, kind: kindServer, code: "upstream_auth", message: "The provider did not accept the key of this project. Its operator has to set a valid one.", outcome: llmproxy.UpstreamError}
	refuseUpstreamTimeout = &refusal{status: http.StatusGatewayTimeout, kind: kindServer, code: "upstream_timeout", message: "The provider did not answer in time.", retry: true, outcome: llmproxy.UpstreamError}
	refuseDeadline        = &refusal{status: http.StatusGatewayTimeout, kind: kindServer, code: "upstream_timeout", message: "The provider did not answer in time.", retry: true, outcome: llmproxy.Deadline}
	refuseGone            = &refusal{outcome: llmproxy.ClientGone} // nobody is there to read an answer
	refusePanic           = &refusal{status: http.StatusInternalServerError, kind: kindServer, code: "internal_error", message: "The proxy failed on this request. Its log has the reason under the request's id."}
)

// after returns the refusal with a time to wait. A wait of a minute or less is one that an SDK may sit out.
func (f *refusal) after(wait time.Duration) *refusal {
	copied := *f
	copied.retryAfter = max(wait, time.Second)
	return &copied
}

// shouldRetry reports whether a client's own retry can help.
func (f *refusal) shouldRetry() bool {
	return f.retry || f.status == http.StatusTooManyRequests && f.retryAfter > 0 && f.retryAfter <= time.Minute
}

// body is the error object in the provider's shape.
func (f *refusal) body(shape provider.ErrorShape) []byte {
	if shape == provider.ErrorsAnthropic {
		b := llmproxy.AppendString([]byte(`{"type":"error","error":{"type":`), f.anthropicType())
		b = llmproxy.AppendString(append(b, `,"message":`...), f.message)
		return append(b, "}}\n"...)
	}
	b := llmproxy.AppendString([]byte(`{"error":{"message":`), f.message)
	b = llmproxy.AppendString(append(b, `,"type":`...), f.kind)
	b = llmproxy.AppendString(append(b, `,"param":null,"code":`...), f.code)
	return append(b, "}}\n"...)
}

// anthropicType is the error's type as Anthropic names it.
func (f *refusal) anthropicType() string {
	switch f.status {
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	}
	if f.kind == kindServer {
		return "api_error"
	}
	return f.kind
}

// refuse answers in place of the upstream, if nothing of an answer has gone out.
func (x *exchange) refuse(f *refusal) {
	x.event.Outcome = f.outcome
	if f.outcome == "" {
		x.event.Outcome = llmproxy.Refused
	}
	if f == refuseGone {
		x.broken = true
		return
	}
	x.event.Code, x.event.Status = f.code, f.status
	if x.answered {
		x.broken = true
		return
	}
	shape := provider.ErrorsOpenAI
	if x.match.Provider != nil {
		shape = x.match.Provider.Errors
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"application/json"}
	if f.status == http.StatusUnauthorized {
		h["Www-Authenticate"] = []string{`Bearer realm="llm-proxy"`}
	}
	if f.retryAfter > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(int64((f.retryAfter+time.Second-1)/time.Second), 10)}
	}
	if !f.shouldRetry() {
		h["X-Should-Retry"] = []string{"false"}
	}
	body := f.body(shape)
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.answered = true
	x.closeAfter(h)
	x.allowOrigin(h)
	x.w.WriteHeader(f.status)
	n, err := x.w.Write(body)
	x.event.Response.Bytes = int64(n)
	x.event.Response.ContentType = "application/json"
	if err != nil {
		x.broken = true
	}
}
