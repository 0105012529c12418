package manage

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// PageParams are the parameters of every listing.
type PageParams struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
	Cursor string `query:"cursor" minLength:"1" maxLength:"1000" doc:"From the Link of the page before; it goes with the same filters only"`
}

// A cursor is opaque to clients: a version, the id that the page before ended with, 8 bytes that bind it to listing and filters, and in a
// listing with an order what that page's last row is ordered by, which the 8 bytes are of too.
const cursorVersion = 1

// filterOf is what a listing is narrowed by, in one spelling.
func filterOf(path string, query url.Values) string {
	filters := url.Values{}
	for name, values := range query {
		if name != "cursor" && name != "limit" {
			filters[name] = values
		}
	}
	return path + "?" + filters.Encode()
}

func newCursor(filter string, after llmproxy.UUID, key string) string {
	sum := sha256.Sum256([]byte(filter + "\x00" + key))
	raw := append([]byte{cursorVersion}, after[:]...)
	return base64.RawURLEncoding.EncodeToString(append(append(raw, sum[:8]...), key...))
}

// once names the parameters that are given more than once, or empty: a script's variable that is not set must not widen a listing.
func (c *call) once() (problems FieldErrors) {
	for name, values := range c.url.Query() {
		if len(values) > 1 {
			problems.add(name, "is given more than once")
		} else if values[0] == "" {
			problems.add(name, "must not be empty: leave it out")
		}
	}
	return problems
}

// page is the page that the parameters ask for.
func (c *call) page(p PageParams) (llmproxy.Page, error) {
	problems := c.once()
	page := llmproxy.Page{Limit: p.Limit}
	if len(problems) > 0 {
		return page, problems
	}
	if p.Cursor == "" {
		return page, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err == nil && len(raw) >= 1+16+8 {
		copy(page.After[:], raw[1:17])
		page.AfterKey = string(raw[1+16+8:])
	}
	if page.After.IsZero() || newCursor(filterOf(c.url.Path, c.url.Query()), page.After, page.AfterKey) != p.Cursor {
		return page, FieldErrors{{"cursor", "belongs to another listing or other filters: begin without it"}}
	}
	return page, nil
}

// next is the Link to the page after the one that ends with an id.
func (c *call) next(last llmproxy.UUID) string { return c.nextInOrder(last, "") }

// nextInOrder is the same in a listing that is ordered by something.
func (c *call) nextInOrder(last llmproxy.UUID, key string) string {
	query := c.url.Query()
	query.Set("cursor", newCursor(filterOf(c.url.Path, query), last, key))
	return "<" + c.url.Path + "?" + query.Encode() + `>; rel="next"`
}
