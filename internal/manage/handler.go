package manage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// HandlerConfig joins the parts of the management API.
type HandlerConfig struct {
	Service        *Service        // required
	Authenticators []Authenticator // asked in this order; at least one
	Providers      *provider.Set   // what GET /manage/info tells; required
	Refusals       *Refusals       // where refused attempts are told; nil is its own

	Ledger       Ledger       // what usage and requests are answered from; nil if there is none
	Destinations Destinations // where events go; nil if this process cannot tell

	// What an operator does about a missing one, in a sentence that whoever asks for it is told; empty where there is nothing to do.
	NoLedger, NoDestinations string

	// What GET /manage/info tells of the program beside its providers. None of it changes what is done.
	Version   string           // of the program
	Store     string           // kind of store: sqlite, dynamodb
	Bus       string           // kind of bus: spool, eventbridge
	Region    string           // of AWS; empty where nothing is kept there
	Demo      bool             // the default provider is the built-in stand-in
	PublicURL string           // origin under which clients reach the proxy; empty where that is not known
	Capture   llmproxy.Capture // of events whose project does not say; empty where that is not known
	Limits    Limits
	Retention Retention

	Log *zap.Logger
}

// maxBody is how large a request's body may be.
const maxBody = 64 << 10

// requestIDHeader is the header of an answer that names its request, as in the audit and the log.
const requestIDHeader = "X-Llm-Proxy-Request-Id"

// Handler is the management API: everything under /manage. It is safe for concurrent use.
type Handler struct {
	cfg      HandlerConfig
	service  *Service
	log      *zap.Logger
	refusals *Refusals // of those who may do nothing
	changes  *Refusals // of those who may, counted apart: whoever knocks without end hides nothing of what operators do

	// The operations, their schemas and the document are made for the first request: a process that is asked for none has no use of
	// them, and they take longer to make than a proxy may to start.
	made sync.Once
	mux  *http.ServeMux
	api  huma.API
}

// NewHandler returns the management API.
func NewHandler(cfg HandlerConfig) (*Handler, error) {
	if len(cfg.Authenticators) == 0 {
		return nil, errors.New("management needs an authenticator: without one everybody could do everything")
	}
	if cfg.Service == nil || cfg.Providers == nil {
		return nil, errors.New("management needs its service and the providers")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Refusals == nil {
		cfg.Refusals = NewRefusals(cfg.Service, cfg.Log)
	}
	h := &Handler{cfg: cfg, service: cfg.Service, log: cfg.Log, refusals: cfg.Refusals}
	h.changes = &Refusals{service: cfg.Service, log: cfg.Log, action: actionChange}
	return h, nil
}

// Prepare makes what the first request would otherwise wait for. It is for a process that runs for the sake of this API.
func (h *Handler) Prepare() {
	h.made.Do(func() {
		h.mux = http.NewServeMux()
		h.api = humago.New(h.mux, apiConfig())
		h.api.UseMiddleware(h.tellRefused)
		h.addProjects()
		h.addTokens()
		h.addAudit()
		h.addUsage()
		h.addDestinations()
		h.addInfo()
	})
}

// Close stores what is still to be told of refused attempts.
func (h *Handler) Close() {
	h.refusals.Close()
	h.changes.Close()
}

// apiConfig has no documentation page (the framework's loads scripts from elsewhere) and adds nothing to answers.
func apiConfig() huma.Config {
	cfg := huma.DefaultConfig("llm-proxy management", "1")
	cfg.Info.Description = "Projects, tokens, audit, usage and destinations of an llm-proxy. Every path needs the management token; errors are RFC 9457 problems."
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"managementToken": {Type: "http", Scheme: "bearer"}}
	cfg.Security = []map[string][]string{{"managementToken": {}}}
	cfg.DocsPath, cfg.SchemasPath, cfg.OpenAPIPath, cfg.CreateHooks = "", "", "", nil
	cfg.RejectUnknownQueryParameters = true
	return cfg
}

// call is what handlers know of their request beside its input.
type call struct {
	actor llmproxy.Actor
	url   *url.URL

	project llmproxy.ProjectID // that a body names, for the audit of a change that is refused
}

type callKey struct{}

// callOf returns the call that a handler's context belongs to.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	if c == nil {
		return &call{url: &url.URL{}}
	}
	return c
}

// plainPath is a path that means what it says: nothing to decode, to clean or to redirect.
var plainPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/manage((/[A-Za-z0-9_-]+)+|/openapi\.json)$`)
})

// ServeHTTP takes a request through: who asks, then what for.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := llmproxy.NewUUID(time.Now()).String()
	header := w.Header()
	header.Set(requestIDHeader, requestID)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	defer h.recovered(w, requestID)

	c := &call{actor: actorOf(r, requestID), url: r.URL}
	name, err := h.authenticate(r)
	if err != nil {
		h.refuse(w, r, c.actor, err)
		return
	}
	c.actor.Name = name
	if !plainPath().MatchString(r.URL.EscapedPath()) {
		writeProblem(w, newProblem(http.StatusNotFound, "There is no such path."))
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	h.Prepare()
	if _, pattern := h.mux.Handler(r); pattern == "" {
		h.unrouted(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// actorOf is who sends the request, as far as the connection tells.
func actorOf(r *http.Request, requestID string) llmproxy.Actor {
	return llmproxy.NewActor(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), requestID)
}

// refuse answers a request that nobody may make, and tells of it.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, actor llmproxy.Actor, err error) {
	if errors.Is(err, llmproxy.ErrUnavailable) {
		h.log.Error("the credential cannot be checked", zap.String("request_id", actor.RequestID), zap.Error(err))
		w.Header().Set("Retry-After", "1")
		writeProblem(w, newProblem(http.StatusServiceUnavailable, "The store does not answer. Try again."))
		return
	}
	h.refusals.Add(r.Context(), actor, actionAuthenticate, err.Error())
	if errors.Is(err, ErrForbidden) {
		writeProblem(w, newProblem(http.StatusForbidden, "This must not be done with this credential."))
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="llm-proxy management"`)
	writeProblem(w, newProblem(http.StatusUnauthorized, "Give the management token: Authorization: Bearer <token>."))
}

// unrouted answers a path that is not there, or a method that its path does not have.
func (h *Handler) unrouted(w http.ResponseWriter, r *http.Request) {
	answer := &headAlone{header: http.Header{}}
	h.mux.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", answer.header.Get("Allow"))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "This path has no such method, see Allow."))
		return
	}
	writeProblem(w, newProblem(http.StatusNotFound, "There is no such path."))
}

// headAlone takes an answer's head and drops its body.
type headAlone struct {
	header http.Header
	status int
}

func (a *headAlone) Header() http.Header         { return a.header }
func (a *headAlone) WriteHeader(status int)      { a.status = status }
func (a *headAlone) Write(p []byte) (int, error) { return len(p), nil }

// recovered answers where a handler has panicked, and keeps what an aborted one means.
func (h *Handler) recovered(w http.ResponseWriter, requestID string) {
	switch cause := recover(); cause {
	case nil:
	case http.ErrAbortHandler:
		panic(cause)
	default:
		h.log.Error("a management request panicked", zap.String("request_id", requestID), zap.Any("panic", cause), zap.Stack("stack"))
		writeProblem(w, newProblem(http.StatusInternalServerError, "Something went wrong here. The server's log has the rest."))
	}
}

// commonProblems are those that every operation may answer with.
var commonProblems = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// operation is one method of one path. Beside the common problems it may answer with those that are named.
func (h *Handler) operation(id, method, path, summary string, status int, problems ...int) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status, MaxBodyBytes: maxBody,
		Responses: map[string]*huma.Response{}, Tags: []string{strings.Split(path, "/")[2]},
	}
	schema := h.api.OpenAPI().Components.Schemas.Schema(problemGoType, true, "Problem")
	for _, code := range slices.Concat(commonProblems, problems) {
		op.Responses[fmt.Sprint(code)] = &huma.Response{
			Description: http.StatusText(code), Content: map[string]*huma.MediaType{problemType: {Schema: schema}},
		}
	}
	return op
}
