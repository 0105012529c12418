package admin

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// What the audit calls it.
const (
	actionSignIn  = "session.create"
	actionSignOut = "session.end"
)

// session answers /admin/api/session.
func (x *exchange) session() {
	if x.r.URL.RawQuery != "" { // it would be in every log on the way
		x.problem(http.StatusBadRequest, "This path takes no query.")
		return
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		x.tell()
	case http.MethodPost:
		x.signIn()
	case http.MethodDelete:
		x.signOut()
	default:
		x.w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		x.problem(http.StatusMethodNotAllowed, "This path has no such method, see Allow.")
	}
}

// signedIn is what GET answers.
type signedIn struct {
	User      string     `json:"user"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"` // absent without a session: Basic credentials are good for one request
}

// tell says who has signed in and until when.
func (x *exchange) tell() {
	if _, basic := x.r.Header["Authorization"]; basic {
		if c, ok := x.basic(); ok && x.allowed(c) {
			x.write(http.StatusOK, "application/json", signedIn{User: x.h.operator.name})
		}
		return
	}
	session, err := x.h.sessionOf(x.r)
	if err == nil {
		session, err = x.h.extend(x.r.Context(), session)
	}
	switch {
	case errors.Is(err, llmproxy.ErrUnavailable):
		x.failed(err)
	case err != nil: // no entry in the audit: a page asks this to know whether to show the form
		x.unauthorized("Nobody has signed in, or the session is over.")
	default:
		x.write(http.StatusOK, "application/json", signedIn{session.User, &session.ExpiresAt})
	}
}

// signIn makes a session for who knows user and password.
func (x *exchange) signIn() {
	if err := x.h.sentByOwnPage(x.r); err != nil && !errors.Is(err, errUntold) { // no browser: nobody's cookies are at stake
		x.forbidden(actionSignIn, err)
		return
	}
	c, ok := x.credentials()
	if !ok || !x.allowed(c) {
		return
	}
	now := x.h.now()
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	session := llmproxy.Session{Hash: x.h.operator.sessionHash(secret), User: x.h.operator.name, CreatedAt: now, ExpiresAt: now.Add(IdleTime)}
	if err := x.h.store.CreateSession(x.r.Context(), session, x.entry(now, session.User, actionSignIn)); err != nil {
		x.failed(fmt.Errorf("store session: %w", err))
		return
	}
	http.SetCookie(x.w, newCookie(x.r, base64.RawURLEncoding.EncodeToString(secret)))
	x.w.WriteHeader(http.StatusNoContent)
}

// signOut ends the session of the cookie. One that is over already is what was asked for.
func (x *exchange) signOut() {
	session, err := x.h.sessionOf(x.r)
	if errors.Is(err, llmproxy.ErrUnavailable) {
		x.failed(err)
		return
	}
	if err == nil {
		if err := x.h.mayChange(x.r); err != nil {
			x.actor.Name = actorName(session.User)
			x.forbidden(actionSignOut, err)
			return
		}
		err = x.h.store.EndSession(x.r.Context(), session.Hash, x.entry(x.h.now(), session.User, actionSignOut))
		if err != nil && !errors.Is(err, llmproxy.ErrNotFound) {
			x.failed(fmt.Errorf("end session: %w", err))
			return
		}
	}
	http.SetCookie(x.w, newCookie(x.r, ""))
	x.w.WriteHeader(http.StatusNoContent)
}

// entry tells of what an operator has done.
func (x *exchange) entry(at time.Time, user, action string) llmproxy.AuditEntry {
	x.actor.Name = actorName(user)
	return llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(at)}, Time: at, Action: action, Outcome: llmproxy.AuditDone, Actor: x.actor}
}

// allowed reports whether the credentials are right, and answers where not. The attempt counts before anything is compared, so that
// many at once are no more than the limit; one that succeeds is taken back.
func (x *exchange) allowed(c credentials) bool {
	counted := attempt(c.user, x.actor.ClientAddr, x.h.now())
	wait, err := x.h.store.CountSignIn(x.r.Context(), counted)
	switch {
	case err != nil:
		x.failed(fmt.Errorf("count sign-in: %w", err))
		return false
	case wait > 0:
		x.h.refusals.Add(x.r.Context(), x.actor, actionSignIn, "too many failures")
		x.w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
		x.problem(http.StatusTooManyRequests, "Too many failures. Wait as long as Retry-After says.")
		return false
	case !x.h.operator.is(c):
		x.h.refusals.Add(x.r.Context(), x.actor, actionSignIn, "wrong user or password")
		x.unauthorized("User or password is wrong.")
		return false
	}
	if err := x.h.store.ForgiveSignIn(x.r.Context(), counted); err != nil {
		x.failed(fmt.Errorf("take back a sign-in's count: %w", err))
		return false
	}
	return true
}

// unauthorized answers who is not signed in. Only who sent Basic credentials is asked for them: a browser would show a form of its own.
func (x *exchange) unauthorized(detail string) {
	challenge := `Session realm="llm-proxy admin"`
	if _, basic := x.r.Header["Authorization"]; basic {
		challenge = `Basic realm="llm-proxy admin", charset="UTF-8"`
	}
	x.w.Header().Set("WWW-Authenticate", challenge)
	x.problem(http.StatusUnauthorized, detail)
}

// forbidden answers what another site has sent.
func (x *exchange) forbidden(action string, err error) {
	x.h.refusals.Add(x.r.Context(), x.actor, action, err.Error())
	x.problem(http.StatusForbidden, "This must be sent by a page of this server, as JSON: with Sec-Fetch-Site: same-origin or an Origin that is listed.")
}

// credentials are a user and a password as somebody gave them.
type credentials struct {
	user     string
	password llmproxy.Secret
}

// Limits of a sign-in.
const (
	maxBody      = 4 << 10
	bodyPatience = 10 * time.Second
)

// credentials reads them from the header or the body, and answers where they cannot be.
func (x *exchange) credentials() (credentials, bool) {
	conn := http.NewResponseController(x.w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyPatience)) // a server that cannot has the whole body already
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		x.problem(http.StatusRequestEntityTooLarge, "The body is too large.")
		return credentials{}, false
	case err != nil:
		x.problem(http.StatusBadRequest, "The body could not be read.")
		return credentials{}, false
	}
	if _, basic := x.r.Header["Authorization"]; basic {
		if len(body) > 0 {
			x.problem(http.StatusBadRequest, "Give user and password once: in Authorization: Basic or in the body.")
			return credentials{}, false
		}
		return x.basic()
	}
	if len(x.r.Header.Values("Content-Type")) == 0 || checkJSON(x.r) != nil {
		x.problem(http.StatusUnsupportedMediaType, "Send JSON, with Content-Type: application/json.")
		return credentials{}, false
	}
	return x.fromJSON(body)
}

// basic reads Basic credentials.
func (x *exchange) basic() (credentials, bool) {
	user, password, ok := x.r.BasicAuth()
	if !ok || len(x.r.Header.Values("Authorization")) != 1 {
		x.unauthorized("Give user and password, once: Authorization: Basic <base64 of user:password>.")
		return credentials{}, false
	}
	return credentials{user, llmproxy.NewSecret(password)}, true
}

// fromJSON reads {"user", "password"} and nothing else.
func (x *exchange) fromJSON(body []byte) (credentials, bool) {
	var fields map[string]json.RawMessage
	var user, password string
	err := json.Unmarshal(body, &fields)
	if err == nil {
		err = errors.Join(json.Unmarshal(fields["user"], &user), json.Unmarshal(fields["password"], &password))
	}
	if err != nil || len(fields) != 2 || user == "" || password == "" {
		x.problem(http.StatusBadRequest, `Send {"user": "...", "password": "..."}.`)
		return credentials{}, false
	}
	return credentials{user, llmproxy.NewSecret(password)}, true
}
