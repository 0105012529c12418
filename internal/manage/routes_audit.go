package manage

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

type auditInput struct {
	Action    string    `query:"action" minLength:"1" maxLength:"100"`
	Actor     string    `query:"actor" minLength:"1" maxLength:"200"`
	Outcome   string    `query:"outcome" enum:"done,refused"`
	ProjectID string    `query:"project_id" format:"uuid"`
	RequestID string    `query:"request_id" minLength:"1" maxLength:"100"`
	From      time.Time `query:"from" doc:"From this moment on"`
	To        time.Time `query:"to" doc:"Before this moment"`
	Q         string    `query:"q" minLength:"1" maxLength:"100" doc:"Part of action, actor, reason or a changed value, in any case"`
	Format    string    `query:"format" enum:"json,jsonl,csv" doc:"jsonl and csv export all entries at once; Accept says the same"`
	Accept    string    `header:"Accept" hidden:"true"`
	PageParams
}

func (in *auditInput) filter() (llmproxy.AuditFilter, error) {
	project, err := projectParam(in.ProjectID)
	return llmproxy.AuditFilter{
		Action: in.Action, Actor: in.Actor, Outcome: in.Outcome, ProjectID: project, RequestID: in.RequestID, From: in.From, To: in.To, Query: in.Q,
	}, err
}

// Media types of the audit.
const (
	typeJSON  = "application/json"
	typeJSONL = "application/x-ndjson"
	typeCSV   = "text/csv"
)

// mediaType is what the request asks for; format wins over Accept.
func (in *auditInput) mediaType() string {
	switch in.Format {
	case "json":
		return typeJSON
	case "jsonl":
		return typeJSONL
	case "csv":
		return typeCSV
	}
	if in.Accept != "" {
		if chosen := negotiation.SelectQValueFast(in.Accept, []string{typeJSON, typeJSONL, typeCSV}); chosen != "" {
			return chosen
		}
	}
	return typeJSON
}

type auditAnswer struct {
	Link string `header:"Link" doc:"The next page, as <...>; rel=next. Where it is missing, this is the last"`
	Body func(huma.Context)
}

// addAudit adds the audit.
func (h *Handler) addAudit() {
	op := h.operation("listAudit", "GET", "/manage/audit", "Who did what and what was refused, newest first", http.StatusOK)
	entries := h.api.OpenAPI().Components.Schemas.Schema(auditGoType, true, "")
	text := &huma.Schema{Type: huma.TypeString}
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{
		typeJSON: {Schema: &huma.Schema{Type: huma.TypeArray, Items: entries}}, typeJSONL: {Schema: text}, typeCSV: {Schema: text},
	}}
	huma.Register(h.api, op, h.listAudit)
}

func (h *Handler) listAudit(ctx context.Context, in *auditInput) (*auditAnswer, error) {
	f, err := in.filter()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	c := callOf(ctx)
	page, err := c.page(in.PageParams)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	media := in.mediaType()
	if media != typeJSON && c.url.Query().Has("limit") {
		return nil, h.problem(ctx, FieldErrors{{"limit", "an export has no pages: narrow it by from and to"}})
	}
	entries, more, err := h.service.Audit(ctx, f, page)
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	if media == typeJSON {
		return answerAudit(c, entries, more), nil
	}
	return h.exportAudit(ctx, media, f, entries, more), nil
}

func answerAudit(c *call, entries []llmproxy.AuditEntry, more bool) *auditAnswer {
	out := make([]wireAuditEntry, len(entries))
	answer := &auditAnswer{}
	for i := range entries {
		out[i] = auditOut(&entries[i])
	}
	if more {
		answer.Link = c.next(entries[len(entries)-1].ID.UUID)
	}
	answer.Body = func(hc huma.Context) {
		hc.SetHeader("Content-Type", typeJSON)
		hc.SetStatus(http.StatusOK)
		_ = json.NewEncoder(hc.BodyWriter()).Encode(out) // the caller may be gone
	}
	return answer
}

// exportAudit writes page after page. The first is read before the answer begins; where a later one cannot be read, the answer breaks
// off, so that nobody takes a part for the whole.
func (h *Handler) exportAudit(ctx context.Context, media string, f llmproxy.AuditFilter, entries []llmproxy.AuditEntry, more bool) *auditAnswer {
	return &auditAnswer{Body: func(hc huma.Context) {
		extension, _, _ := strings.Cut(strings.TrimPrefix(media, "text/"), "; ")
		if media == typeJSONL {
			extension = "jsonl"
		}
		hc.SetHeader("Content-Type", media+"; charset=utf-8")
		hc.SetHeader("Content-Disposition", `attachment; filename="audit.`+extension+`"`)
		hc.SetStatus(http.StatusOK)
		out := newExport(media, hc.BodyWriter())
		for {
			for i := range entries {
				if err := out.add(auditOut(&entries[i])); err != nil {
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
			entries, more, err = h.service.Audit(ctx, f, llmproxy.Page{After: entries[len(entries)-1].ID.UUID})
			if err != nil {
				h.log.Error("an export of the audit broke off", zap.String("request_id", callOf(ctx).actor.RequestID), zap.Error(err))
				panic(http.ErrAbortHandler)
			}
		}
	}}
}
