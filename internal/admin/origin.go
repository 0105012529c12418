package admin

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Why a state change is not taken, as the audit has it.
var (
	errElsewhere = errors.New("sent by a page of another site")
	errUntold    = errors.New("does not say which page sent it")
	errNoJSON    = errors.New("content that is not JSON, as forms send it")
)

// isSafe reports whether a method changes nothing.
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// mayChange is nil where a request with the session's cookie may change something: a browser adds the cookie whoever has sent it.
func (h *Handler) mayChange(r *http.Request) error {
	if err := h.sentByOwnPage(r); err != nil {
		return err
	}
	return checkJSON(r)
}

// sentByOwnPage is nil where the browser says that a page of ours has sent the request: by Sec-Fetch-Site, or by Origin where the
// connection is one on which browsers do not send that. It is errUntold where no browser says anything.
func (h *Handler) sentByOwnPage(r *http.Request) error {
	sites, origins := r.Header.Values("Sec-Fetch-Site"), r.Header.Values("Origin")
	switch {
	case len(sites) > 1 || len(origins) > 1:
		return errElsewhere
	case len(origins) == 1 && h.origins[strings.ToLower(origins[0])]:
		return nil
	case len(sites) == 1:
		if sites[0] != "same-origin" {
			return errElsewhere
		}
		return nil
	case len(origins) == 1:
		if u, err := url.Parse(origins[0]); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return errElsewhere
		}
		return nil
	}
	return errUntold
}

// checkJSON refuses content of any other kind: a form of another site can send its fields, and text, but no JSON.
func checkJSON(r *http.Request) error {
	types := r.Header.Values("Content-Type")
	if len(types) == 0 && r.ContentLength == 0 {
		return nil
	}
	if len(types) != 1 {
		return errNoJSON
	}
	if kind, _, err := mime.ParseMediaType(types[0]); err != nil || kind != "application/json" {
		return errNoJSON
	}
	return nil
}
