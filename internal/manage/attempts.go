package manage

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// actionChange is what the rest of a minute's refused changes is called, of whatever kind they were.
const actionChange = "change"

// actions are the names that changes have in the audit, by operation. One that is missing here is called as its operation.
var actions = map[string]string{
	"createProject": "project.create", "updateProject": "project.update", "updateProjectByID": "project.update",
	"deleteProject": "project.delete", "deleteProjectByID": "project.delete", "revokeProjectTokens": "project.revoke_tokens",
	"mintToken": "token.create", "updateToken": "token.update", "rotateToken": "token.rotate", "revokeToken": "token.revoke", "revokeTokens": "token.revoke",
	"testDestination": "destination.test", "redriveDestination": "destination.redrive",
}

// tellRefused tells the audit of a change that was refused, whatever for: an operator who tries what is not there, or what somebody else
// has changed meanwhile, is told of as one who succeeds. Who only looks is not.
func (h *Handler) tellRefused(hc huma.Context, next func(huma.Context)) {
	next(hc)
	status := hc.Status()
	if hc.Method() == http.MethodGet || hc.Method() == http.MethodHead || status < http.StatusBadRequest || status >= http.StatusInternalServerError {
		return
	}
	op, c := hc.Operation(), callOf(hc.Context())
	action := actions[op.OperationID]
	if action == "" {
		action = op.OperationID
	}
	e := entry(h.service.now(), c.actor, action)
	e.Outcome, e.Reason = llmproxy.AuditRefused, fmt.Sprintf("%d %s", status, http.StatusText(status)) // never what was sent
	e.ProjectID = c.project
	// What is no id names none.
	if id, err := llmproxy.ParseProjectID(hc.Param("id")); err == nil && strings.HasPrefix(op.Path, "/manage/projects/") {
		e.ProjectID = id
	}
	if id, err := llmproxy.ParseTokenID(hc.Param("id")); err == nil && strings.HasPrefix(op.Path, "/manage/tokens/") {
		e.TokenID = id
	}
	ctx := context.WithoutCancel(hc.Context()) // whoever hangs up at once is told of too
	due, own := h.changes.count(e.Time)
	if due > 0 {
		h.changes.summary(ctx, due)
	}
	if !own {
		return
	}
	if err := h.service.cfg.Store.AppendAudit(ctx, e); err != nil {
		h.log.Error("a refused change could not be stored", zap.String("request_id", c.actor.RequestID), zap.String("action", action), zap.Error(err))
	}
}
