package manage_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestAChangeThatIsRefusedIsInTheAuditToo(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	token, secret := a.newToken(t, project)
	gone := llmproxy.NewProjectID(noon).String()
	for _, c := range []struct {
		status                 int
		method, path           string
		body                   any
		header                 []string
		action, reason         string
		wantProject, wantToken string
	}{
		{412, "PATCH", "/manage/projects/" + project, m{"name": "x"}, []string{"If-Match", `"9"`}, "project.update", "412 Precondition Failed", project, ""},
		{412, "PATCH", "/manage/projects", m{"project_id": project, "name": "x"}, []string{"If-Match", `"9"`}, "project.update", "412 Precondition Failed", project, ""},
		{400, "PATCH", "/manage/projects/" + project, m{"provider": "nobody"}, nil, "project.update", "400 Bad Request", project, ""},
		{400, "POST", "/manage/projects", m{"name": "x", "api_key": fakeKey, "owner": "me"}, nil, "project.create", "400 Bad Request", "", ""},
		{415, "POST", "/manage/projects", m{}, []string{"Content-Type", "text/plain"}, "project.create", "415 Unsupported Media Type", "", ""},
		{404, "DELETE", "/manage/projects/" + gone, nil, nil, "project.delete", "404 Not Found", gone, ""},
		{404, "DELETE", "/manage/projects", m{"project_id": gone}, nil, "project.delete", "404 Not Found", gone, ""},
		{404, "POST", "/manage/projects/" + gone + "/tokens/revoke", nil, nil, "project.revoke_tokens", "404 Not Found", gone, ""},
		{404, "POST", "/manage/tokens", m{"project_id": gone, "duration_minutes": 5}, nil, "token.create", "404 Not Found", gone, ""},
		{412, "PATCH", "/manage/tokens/" + token, m{"name": "x"}, []string{"If-Match", `"9"`}, "token.update", "412 Precondition Failed", "", token},
		{400, "POST", "/manage/tokens/" + token + "/rotate", m{"grace_minutes": -1}, nil, "token.rotate", "400 Bad Request", "", token},
		{400, "DELETE", "/manage/tokens/" + secret, nil, nil, "token.revoke", "400 Bad Request", "", ""},
		{400, "DELETE", "/manage/tokens", m{"token": "sk-other"}, nil, "token.revoke", "400 Bad Request", "", ""},
	} {
		before := a.audits(t)
		got := a.want(t, c.status, c.method, c.path, c.body, c.header...)
		require.Equal(t, before+1, a.audits(t), "%s %s", c.method, c.path)
		e := a.lastAudit(t)
		require.Equal(t, []any{c.action, llmproxy.AuditRefused, c.reason, "token", "127.0.0.1", got.header.Get("X-Llm-Proxy-Request-Id")},
			[]any{e.Action, e.Outcome, e.Reason, e.Actor.Name, e.Actor.ClientAddr, e.Actor.RequestID}, "%s %s", c.method, c.path)
		shown := a.want(t, http.StatusOK, "GET", "/manage/audit?limit=1", nil)
		require.NotContains(t, shown.body, "sk-")
		for field, want := range map[string]string{"project_id": c.wantProject, "token_id": c.wantToken} {
			have, _ := shown.list(t)[0][field].(string)
			require.Equal(t, want, have, "%s of %s %s", field, c.method, c.path)
		}
	}
	before := a.audits(t)
	a.want(t, http.StatusNotFound, "GET", "/manage/projects/"+gone, nil)
	a.want(t, http.StatusBadRequest, "GET", "/manage/tokens?limit=0", nil)
	require.Equal(t, before, a.audits(t), "who only looks changes nothing")
}

func TestRefusedChangesAreCountedApartFromThoseWhoKnock(t *testing.T) {
	a := newAPI(t)
	for range 70 {
		a.want(t, http.StatusUnauthorized, "GET", "/manage/info", nil, "Authorization", "Bearer wrong")
	}
	a.want(t, http.StatusBadRequest, "POST", "/manage/projects", m{})
	require.Equal(t, "project.create", a.lastAudit(t).Action, "whoever knocks without end hides nothing that an operator does")
	for range 69 {
		a.want(t, http.StatusBadRequest, "POST", "/manage/projects", m{})
	}
	require.Equal(t, 120, a.audits(t))
	a.clock.move(time.Minute)
	a.handler.Close()
	entries, _, err := a.store.Audit(t.Context(), llmproxy.AuditFilter{Outcome: llmproxy.AuditRefused}, llmproxy.Page{Limit: 2})
	require.NoError(t, err)
	suppressed := map[string]int64{}
	for _, e := range entries {
		suppressed[e.Action] = e.Suppressed
	}
	require.Equal(t, map[string]int64{"authenticate": 10, "change": 10}, suppressed)
}

func TestARefusedChangeThatCannotBeToldIsStillRefused(t *testing.T) {
	store := &failing{}
	h := newHouse(t, func(cfg *manage.Config) { store.Store = cfg.Store; cfg.Store = store })
	a := serveAPI(t, h)
	store.err = errors.New("the disk is full")
	a.want(t, http.StatusBadRequest, "POST", "/manage/projects", m{"name": ""})
}
