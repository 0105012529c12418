package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Config joins the parts of the admin side.
type Config struct {
	Store    Store           // required
	Refusals Refusals        // required
	User     string          // who may sign in; required
	Password llmproxy.Secret // at least 12 characters
	// Origins are those whose pages may change things beside the one that a request was sent to, such as https://llm.example.com.
	Origins []string
	Site    fs.FS            // the files of the site; nil are those that the binary was built with
	Now     func() time.Time // the clock; nil is time.Now
	Log     *zap.Logger      // nil logs nothing
}

// minPassword is the least length of the password.
const minPassword = 12

// ContentSecurityPolicy is what a page of the admin site may do: load its own files, ask its own server, and nothing else.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

// requestIDHeader is the header of an answer that names its request, as in the audit and the log.
const requestIDHeader = "X-Llm-Proxy-Request-Id"

// Handler is everything under /admin, and an authenticator by its session cookie. It is safe for concurrent use.
type Handler struct {
	store    Store
	refusals Refusals
	operator operator
	origins  map[string]bool
	files    map[string]*siteFile // of the site, by path below /admin/
	clock    func() time.Time
	log      *zap.Logger
}

// New returns the admin side. A short password is refused: whoever guesses it may do everything.
func New(cfg Config) (*Handler, error) {
	if cfg.Store == nil || cfg.Refusals == nil {
		return nil, errors.New("the admin side needs its store and where to tell of refusals")
	}
	if cfg.User == "" {
		return nil, errors.New("the admin side needs a user")
	}
	if n := len(cfg.Password.Reveal()); n < minPassword {
		return nil, fmt.Errorf("the admin password must have at least %d characters, it has %d", minPassword, n)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.Site == nil {
		cfg.Site = Site()
	}
	files, err := readSite(cfg.Site)
	if err != nil {
		return nil, err
	}
	h := &Handler{files: files, store: cfg.Store, refusals: cfg.Refusals, operator: newOperator(cfg.User, cfg.Password), origins: map[string]bool{}, clock: cfg.Now, log: cfg.Log}
	for _, origin := range cfg.Origins {
		h.origins[strings.TrimSuffix(strings.ToLower(origin), "/")] = true
	}
	return h, nil
}

// now is the moment of a change. Stores keep milliseconds.
func (h *Handler) now() time.Time { return h.clock().UTC().Truncate(time.Millisecond) }

// ServeHTTP answers by the path as it came: nothing is decoded, cleaned or guessed.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{h: h, w: w, r: r, actor: llmproxy.NewActor(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), llmproxy.NewUUID(h.now()).String())}
	header := w.Header()
	header.Set(requestIDHeader, x.actor.RequestID)
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", ContentSecurityPolicy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	switch asked := r.URL.EscapedPath(); asked {
	case "/admin":
		http.Redirect(w, r, "/admin/", http.StatusPermanentRedirect)
	case "/admin/api/session":
		x.session() //nolint:contextcheck // each step takes the request's
	default:
		name, below := strings.CutPrefix(asked, "/admin/")
		if f := h.files[name]; below && f != nil {
			x.file(f)
			return
		}
		x.problem(http.StatusNotFound, "There is no such path.")
	}
}

// exchange is one request and its answer.
type exchange struct {
	h     *Handler
	w     http.ResponseWriter
	r     *http.Request
	actor llmproxy.Actor
}
