package manage

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// ExportParams are the parameters of a listing that can be exported whole.
type ExportParams struct {
	Format string `query:"format" enum:"json,jsonl,csv" doc:"jsonl and csv export all of it at once, as a file; Accept says the same"`
	Accept string `header:"Accept" hidden:"true"`
}

// Media types of a listing.
const (
	typeJSON  = "application/json"
	typeJSONL = "application/x-ndjson"
	typeCSV   = "text/csv"
)

// mediaType is what the request asks for; format wins over Accept.
func (p *ExportParams) mediaType() string {
	switch p.Format {
	case "json":
		return typeJSON
	case "jsonl":
		return typeJSONL
	case "csv":
		return typeCSV
	}
	if p.Accept != "" {
		if chosen := negotiation.SelectQValueFast(p.Accept, []string{typeJSON, typeJSONL, typeCSV}); chosen != "" {
			return chosen
		}
	}
	return typeJSON
}

// exports documents the answer of a listing that can be exported.
func (h *Handler) exports(op *huma.Operation, one reflect.Type) {
	entries := h.api.OpenAPI().Components.Schemas.Schema(one, true, "")
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		typeJSON: {Schema: &huma.Schema{Type: huma.TypeArray, Items: entries}}, typeJSONL: {Schema: text}, typeCSV: {Schema: text},
	}}
}

// listAnswer is a page, or all of a listing as a file.
type listAnswer struct {
	Link string `header:"Link" doc:"The next page, as <...>; rel=next. Where it is missing, this is the last"`
	Body func(huma.Context)
}

// listing is a list of T, whose wire type is W.
type listing[T, W any] struct {
	name    string // of the file
	params  ExportParams
	page    PageParams
	columns []string          // head of a CSV export; further columns go to the end
	row     func(*W) []string // cells of a row
	out     func(*T) W
	id      func(*T) llmproxy.UUID
	read    func(llmproxy.Page) (some []T, more bool, err error)
}

func answerList[T, W any](ctx context.Context, h *Handler, l listing[T, W]) (*listAnswer, error) {
	c := callOf(ctx)
	page, err := c.page(l.page)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	media := l.params.mediaType()
	if media != typeJSON && c.url.Query().Has("limit") {
		return nil, h.problem(ctx, FieldErrors{{"limit", "an export has no pages: narrow it by from and to"}})
	}
	some, more, err := l.read(page)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if media == typeJSON {
		return l.answerPage(c, some, more), nil
	}
	return l.answerAll(h, c, media, some, more), nil
}

func (l *listing[T, W]) answerPage(c *call, some []T, more bool) *listAnswer {
	out := make([]W, len(some))
	for i := range some {
		out[i] = l.out(&some[i])
	}
	answer := &listAnswer{}
	if more {
		answer.Link = c.next(l.id(&some[len(some)-1]))
	}
	answer.Body = func(hc huma.Context) {
		hc.SetHeader("Content-Type", typeJSON)
		hc.SetStatus(http.StatusOK)
		_ = json.NewEncoder(hc.BodyWriter()).Encode(out) // the caller may be gone
	}
	return answer
}

// answerAll writes page after page. The first is read before the answer begins; where a later one cannot be read, the answer breaks off,
// so that nobody takes a part for the whole.
func (l *listing[T, W]) answerAll(h *Handler, c *call, media string, some []T, more bool) *listAnswer {
	return &listAnswer{Body: func(hc huma.Context) {
		extension := "csv"
		if media == typeJSONL {
			extension = "jsonl"
		}
		hc.SetHeader("Content-Type", media+"; charset=utf-8")
		hc.SetHeader("Content-Disposition", `attachment; filename="`+l.name+"."+extension+`"`)
		hc.SetStatus(http.StatusOK)
		out := l.newExport(media, hc.BodyWriter())
		for {
			for i := range some {
				one := l.out(&some[i])
				if err := out.add(&one); err != nil {
					panic(http.ErrAbortHandler) // the caller is gone
				}
			}
			if err := out.flush(); err != nil {
				panic(http.ErrAbortHandler)
			}
			if !more {
				return
			}
			var err error
			if some, more, err = l.read(llmproxy.Page{After: l.id(&some[len(some)-1])}); err != nil {
				h.log.Error("an export broke off", zap.String("of", l.name), zap.String("request_id", c.actor.RequestID), zap.Error(err))
				panic(http.ErrAbortHandler)
			}
		}
	}}
}

// export writes entries in one form.
type export[W any] interface {
	add(one *W) error
	flush() error
}

func (l *listing[T, W]) newExport(media string, w io.Writer) export[W] {
	if media == typeCSV {
		return newCSVExport(w, l.columns, l.row)
	}
	return jsonlExport[W]{json.NewEncoder(w)}
}

// jsonlExport writes each entry as a line of JSON.
type jsonlExport[W any] struct{ out *json.Encoder }

func (x jsonlExport[W]) add(one *W) error { return x.out.Encode(one) }
func (x jsonlExport[W]) flush() error     { return nil }

func newCSVExport[W any](w io.Writer, columns []string, row func(*W) []string) *csvExport[W] {
	return &csvExport[W]{out: csv.NewWriter(w), columns: columns, row: row}
}

// csvExport writes a head, then each entry as a row (RFC 4180).
type csvExport[W any] struct {
	out     *csv.Writer
	columns []string
	row     func(*W) []string
	begun   bool
}

func (x *csvExport[W]) add(one *W) error {
	x.begin()
	row := x.row(one)
	for i := range row {
		row[i] = plainCell(row[i])
	}
	return x.out.Write(row)
}

// begin writes the head, also where there is no entry.
func (x *csvExport[W]) begin() {
	if !x.begun {
		x.begun = true
		_ = x.out.Write(x.columns) // flush tells of its error
	}
}

func (x *csvExport[W]) flush() error {
	x.begin()
	x.out.Flush()
	return x.out.Error()
}

// CSV writes items of a listing that a client has read page by page, as the listing's own CSV export has them.
type CSV interface {
	// Write takes items as the API's JSON has them. What it returns without an error has been written.
	Write(items []json.RawMessage) error
}

// NewAuditCSV writes entries of the audit. goesOn leaves out the head: it stands in what was written before.
func NewAuditCSV(w io.Writer, goesOn bool) CSV {
	return newPagesCSV(w, auditColumns, auditCells, goesOn)
}

// NewRequestsCSV writes requests, and is else [NewAuditCSV].
func NewRequestsCSV(w io.Writer, goesOn bool) CSV {
	return newPagesCSV(w, requestColumns, requestCells, goesOn)
}

func newPagesCSV[W any](w io.Writer, columns []string, row func(*W) []string, goesOn bool) pagesCSV[W] {
	out := newCSVExport(w, columns, row)
	out.begun = goesOn
	return pagesCSV[W]{out}
}

type pagesCSV[W any] struct{ out *csvExport[W] }

// Write implements [CSV].
func (p pagesCSV[W]) Write(items []json.RawMessage) error {
	for _, item := range items {
		var one W
		if err := json.Unmarshal(item, &one); err != nil {
			return err
		}
		if err := p.out.add(&one); err != nil {
			return err
		}
	}
	return p.out.flush()
}

// plainCell keeps a spreadsheet from taking a cell for a formula: what begins like one is quoted with an apostrophe.
func plainCell(text string) string {
	if text == "" {
		return text
	}
	switch text[0] {
	case '=', '+', '-', '@', '\t', '\r':
		return "'" + text
	}
	return text
}

// timeCell is a moment in a CSV export.
func timeCell(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// countCell is a number in a CSV export; empty where it is not known.
func countCell(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// knownCell is a number in a CSV export that is not known where it is 0.
func knownCell(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
