package manage

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"time"
)

var auditGoType = reflect.TypeFor[wireAuditEntry]()

// export writes entries in one form.
type export interface {
	add(e wireAuditEntry) error
	flush() error
}

func newExport(media string, w io.Writer) export {
	if media == typeCSV {
		return &csvExport{out: csv.NewWriter(w)}
	}
	return jsonlExport{json.NewEncoder(w)}
}

// jsonlExport writes each entry as a line of JSON.
type jsonlExport struct{ out *json.Encoder }

func (x jsonlExport) add(e wireAuditEntry) error { return x.out.Encode(e) }
func (x jsonlExport) flush() error               { return nil }

// csvExport writes a head, then each entry as a row (RFC 4180).
type csvExport struct {
	out   *csv.Writer
	begun bool
}

// csvColumns is the head of a CSV export; further columns go to the end.
var csvColumns = []string{
	"time", "id", "action", "outcome", "reason", "actor", "client_addr", "forwarded", "request_id", "project_id", "token_id", "suppressed", "before", "after",
}

func (x *csvExport) add(e wireAuditEntry) error {
	x.begin()
	before, _ := json.Marshal(e.Before) // strings: it cannot fail
	after, _ := json.Marshal(e.After)
	row := []string{
		e.Time.UTC().Format(time.RFC3339Nano), e.ID, e.Action, e.Outcome, e.Reason, e.Actor, e.ClientAddr, e.Forwarded, e.RequestID, e.ProjectID, e.TokenID,
		strconv.FormatInt(e.Suppressed, 10), string(before), string(after),
	}
	for i := range row {
		row[i] = plainCell(row[i])
	}
	return x.out.Write(row)
}

// begin writes the head, also where there is no entry.
func (x *csvExport) begin() {
	if !x.begun {
		x.begun = true
		_ = x.out.Write(csvColumns) // flush tells of its error
	}
}

func (x *csvExport) flush() error {
	x.begin()
	x.out.Flush()
	return x.out.Error()
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
