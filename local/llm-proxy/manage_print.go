package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printRaw prints what the API says, as it is.
func printRaw(out io.Writer, body []byte) error {
	_, err := out.Write(body)
	return err
}

// table prints rows under a head, in columns.
func table(out io.Writer, head []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = shown(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), " "))
	}
	return w.Flush()
}

// sheet prints one thing, a field a line.
func sheet(out io.Writer, fields [][2]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		if f[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", f[0], shown(f[1]))
		}
	}
	return w.Flush()
}

// shown is a text that cannot play with the terminal: what does not print is replaced.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// shownTime is a time as people read it; nil is empty.
func shownTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// shownLimit is a cap; nil is none.
func shownLimit(n *int64) string {
	if n == nil {
		return "none"
	}
	return strconv.FormatInt(*n, 10)
}

func shownBool(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// listing reads pages until max items are there; 0 reads all. The items are as the API wrote them.
func (a *manageAPI) listing(most int, page func(ctx context.Context, limit int64, cursor *string) (*http.Response, error)) (items []json.RawMessage, more bool, err error) {
	var cursor *string
	for {
		limit := int64(maxPage)
		if rest := most - len(items); most > 0 && rest < maxPage {
			limit = int64(rest)
		}
		body, header, err := a.call(func(ctx context.Context) (*http.Response, error) { return page(ctx, limit, cursor) })
		if err != nil {
			return nil, false, err
		}
		var part []json.RawMessage
		if err := json.Unmarshal(body, &part); err != nil {
			return nil, false, fmt.Errorf("%s answered with something that is no list: %w", a.origin, err)
		}
		items = append(items, part...)
		next, err := nextCursor(header.Get("Link"))
		if err != nil || next == "" {
			return items, false, err
		}
		if most > 0 && len(items) >= most {
			return items, true, nil
		}
		cursor = &next
	}
}

// maxPage is how many items the API gives at once.
const maxPage = 100

// nextCursor is the cursor of the page that a Link leads to; empty if there is none.
func nextCursor(link string) (string, error) {
	if link == "" {
		return "", nil
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	req, err := http.NewRequest(http.MethodGet, strings.TrimPrefix(target, "<"), nil) //nolint:noctx // only read, never sent
	if err != nil || !ok || req.URL.Query().Get("cursor") == "" {
		return "", fmt.Errorf("the server's Link leads nowhere: %s", shown(link))
	}
	return req.URL.Query().Get("cursor"), nil
}

// printListing prints items as one JSON array, or as a table.
func printListing[T any](a *manageAPI, items []json.RawMessage, more bool, head []string, row func(*T) []string) error {
	out := a.cmd.OutOrStdout()
	if more {
		fmt.Fprintln(a.cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
	}
	if a.json {
		return printArray(out, items)
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		var one T
		if err := json.Unmarshal(item, &one); err != nil {
			return err
		}
		rows[i] = row(&one)
	}
	return table(out, head, rows)
}

func printArray(out io.Writer, items []json.RawMessage) error {
	var w strings.Builder
	w.WriteByte('[')
	for i, item := range items {
		if i > 0 {
			w.WriteByte(',')
		}
		w.Write(item)
	}
	w.WriteString("]\n")
	_, err := io.WriteString(out, w.String())
	return err
}
