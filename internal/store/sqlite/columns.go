package sqlite

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// toMillis is a time as a column has it; the zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the time that a column has.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// listOf reads a JSON array of strings as this package writes it; "[]" allocates nothing.
func listOf(s string) []string {
	if s == "[]" {
		return nil
	}
	var list []string
	if json.Unmarshal([]byte(s), &list) != nil {
		return nil
	}
	return list
}

func listText(list []string) string {
	if len(list) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(list) // strings: it cannot fail
	return string(text)
}

// mapOf reads a JSON object of strings as this package writes it.
func mapOf(s string) map[string]string {
	if s == "{}" {
		return nil
	}
	var m map[string]string
	if json.Unmarshal([]byte(s), &m) != nil {
		return nil
	}
	return m
}

func mapText(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(m) // strings: it cannot fail
	return string(text)
}

func groupsOf(s string) []llmproxy.EndpointGroup {
	if s == "" {
		return nil
	}
	var groups []llmproxy.EndpointGroup
	for name := range strings.SplitSeq(s, ",") {
		groups = append(groups, llmproxy.EndpointGroup(name))
	}
	return groups
}

func groupsText(groups []llmproxy.EndpointGroup) string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = string(g)
	}
	return strings.Join(names, ",")
}

// pageLimit is how many rows a page has.
func pageLimit(p llmproxy.Page) int {
	if p.Limit <= 0 || p.Limit > 100 {
		return 100
	}
	return p.Limit
}

// where collects the conditions of a listing.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// page narrows to the rows after a page, newest first, one more than the page has: it tells whether there are further ones.
func (w *where) page(column string, p llmproxy.Page) string {
	if !p.After.IsZero() {
		w.and(column+" < ?", p.After[:])
	}
	clause := w.String() + " ORDER BY " + column + " DESC LIMIT ?"
	w.args = append(w.args, pageLimit(p)+1)
	return clause
}

// cut drops the row beyond the page.
func cut[T any](rows []T, p llmproxy.Page) ([]T, bool) {
	if limit := pageLimit(p); len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
