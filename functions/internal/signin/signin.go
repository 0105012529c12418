// Package signin knows who may sign in: the operator whom the admin secret names, {"user": "...", "password": "..."}. Two functions need
// it: admin, where sessions begin and end, and management, where they are good for. The secret is read when somebody comes with
// credentials or a cookie and then kept for five minutes; another user or password ends all sessions within that time.
package signin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/functions/internal/secret"
	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Config joins the parts.
type Config struct {
	Secrets  secret.Reader
	SecretID string // name or ARN of the admin secret
	// User and Password are the operator's for development. With a password the secret is not read.
	User     string
	Password llmproxy.Secret
	// Admin is the rest of what the admin side is made of.
	Admin admin.Config
}

// Operators is the admin side, and an authenticator of the management API by its sessions. It is safe for concurrent use.
type Operators struct {
	current func(ctx context.Context) (*admin.Handler, error)
	log     *zap.Logger
}

// ErrNobody is a configuration in which nobody could sign in.
var ErrNobody = errors.New("settings: LLM_PROXY_ADMIN_SECRET is not set, and neither is ADMIN_PASSWORD")

// New returns the operators. It waits for no network.
func New(cfg Config) (*Operators, error) {
	if cfg.Admin.Log == nil {
		cfg.Admin.Log = zap.NewNop()
	}
	o := &Operators{log: cfg.Admin.Log}
	with := func(user string, password llmproxy.Secret) (*admin.Handler, error) {
		c := cfg.Admin
		c.User, c.Password = user, password
		return admin.New(c)
	}
	switch {
	case cfg.Password.Reveal() != "":
		h, err := with(cfg.User, cfg.Password)
		o.current = func(context.Context) (*admin.Handler, error) { return h, nil }
		return o, err
	case cfg.SecretID == "":
		return nil, ErrNobody
	}
	value := &secret.Value[*admin.Handler]{Reader: cfg.Secrets, ID: cfg.SecretID, Make: func(text string) (*admin.Handler, error) {
		var content struct{ User, Password string }
		if json.Unmarshal([]byte(text), &content) != nil || content.User == "" || content.Password == "" { // its text is in no error
			return nil, errors.New(`it is not {"user": "...", "password": "..."}`)
		}
		return with(content.User, llmproxy.NewSecret(content.Password))
	}}
	o.current = value.Current
	return o, nil
}

// Authenticate implements manage.Authenticator by the session's cookie. Where the secret cannot be read, nobody can tell who asks.
func (o *Operators) Authenticate(r *http.Request) (string, error) {
	if len(r.Header.Values("Cookie")) == 0 { // whoever has none causes no read
		return "", llmproxy.ErrNoCredential
	}
	h, err := o.current(r.Context())
	if err != nil {
		return "", err
	}
	return h.Authenticate(r)
}

// unavailable is the answer, in the form of the admin side's own, while the secret cannot be read.
const unavailable = `{"title":"Service Unavailable","status":503,"detail":"Who may sign in cannot be read. Try again; the function's log has the rest."}` + "\n"

// ServeHTTP implements [http.Handler].
func (o *Operators) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := o.current(r.Context())
	if err == nil {
		h.ServeHTTP(w, r)
		return
	}
	o.log.Error("the admin secret cannot be read", zap.Error(err))
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/problem+json")
	header.Set("Retry-After", "1")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, unavailable) // the caller may be gone
}
