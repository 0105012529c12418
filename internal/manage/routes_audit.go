package manage

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

type auditInput struct {
	Action    string    `query:"action" minLength:"1" maxLength:"100"`
	Actor     string    `query:"actor" minLength:"1" maxLength:"200"`
	Outcome   string    `query:"outcome" enum:"done,refused"`
	ProjectID string    `query:"project_id" format:"uuid"`
	TokenID   string    `query:"token_id" format:"uuid" doc:"The token's id, never its secret"`
	RequestID string    `query:"request_id" minLength:"1" maxLength:"100"`
	From      time.Time `query:"from" doc:"From this moment on"`
	To        time.Time `query:"to" doc:"Before this moment"`
	Q         string    `query:"q" minLength:"1" maxLength:"100" doc:"Part of action, actor, reason or a changed value, in any case"`
	ExportParams
	PageParams
}

func (in *auditInput) filter() (llmproxy.AuditFilter, error) {
	var problems FieldErrors
	f := llmproxy.AuditFilter{Action: in.Action, Actor: in.Actor, Outcome: in.Outcome, RequestID: in.RequestID, From: in.From, To: in.To, Query: in.Q}
	f.ProjectID.UUID = problems.id("project_id", in.ProjectID)
	f.TokenID.UUID = problems.id("token_id", in.TokenID)
	return f, problems.err()
}

// addAudit adds the audit.
func (h *Handler) addAudit() {
	op := h.operation("listAudit", "GET", "/manage/audit", "Who did what and what was refused, newest first", http.StatusOK)
	h.exports(&op, reflect.TypeFor[wireAuditEntry]())
	huma.Register(h.api, op, h.listAudit)
}

func (h *Handler) listAudit(ctx context.Context, in *auditInput) (*listAnswer, error) {
	f, err := in.filter()
	if err != nil {
		return nil, h.problem(ctx, err)
	}
	return answerList(ctx, h, listing[llmproxy.AuditEntry, wireAuditEntry]{
		name: "audit", params: in.ExportParams, page: in.PageParams, columns: auditColumns, row: auditCells, out: auditOut,
		id:   func(e *llmproxy.AuditEntry) llmproxy.UUID { return e.ID.UUID },
		read: func(page llmproxy.Page) ([]llmproxy.AuditEntry, bool, error) { return h.service.Audit(ctx, f, page) },
	})
}
