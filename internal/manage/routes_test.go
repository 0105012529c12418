package manage_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

func TestAProjectIsManagedOverHTTP(t *testing.T) {
	a := newAPI(t)
	got := a.want(t, http.StatusCreated, "POST", "/manage/projects", m{
		"name": "Team A", "description": "of the sixth floor", "metadata": m{"cost_centre": "4711"}, "api_key": fakeKey, "capture": "metadata", "endpoints": []string{"inference", "stored"},
	})
	p := got.object(t)
	id := p["project_id"].(string)
	require.Equal(t, "/manage/projects/"+id, got.header.Get("Location"))
	require.Equal(t, `"1"`, got.header.Get("ETag"))
	for field, want := range map[string]any{
		"name": "Team A", "description": "of the sixth floor", "metadata": m{"cost_centre": "4711"}, "provider": "openai", "is_active": true, "key_hint": "wxyz",
		"capture": "metadata", "endpoints": []any{"inference", "stored"}, "revision": 1.0,
	} {
		require.Equal(t, want, p[field], field)
	}
	require.Equal(t, p, a.want(t, http.StatusOK, "GET", "/manage/projects/"+id, nil).object(t))
	require.Equal(t, []map[string]any{p}, a.want(t, http.StatusOK, "GET", "/manage/projects", nil).list(t))

	changed := a.want(t, http.StatusOK, "PATCH", "/manage/projects/"+id, m{"description": nil, "metadata": nil, "capture": nil, "endpoints": nil, "is_active": false})
	p = changed.object(t)
	require.Equal(t, []any{"Team A", "", m{}, nil, []any{"inference"}, false}, []any{p["name"], p["description"], p["metadata"], p["capture"], p["endpoints"], p["is_active"]}, "null is cleared, absent is unchanged")
	require.Equal(t, `"2"`, changed.header.Get("ETag"))
	require.Empty(t, a.want(t, http.StatusOK, "GET", "/manage/projects?active=true", nil).list(t))
	require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/projects?active=false&q=team", nil).list(t), 1)
	require.Empty(t, a.want(t, http.StatusOK, "GET", "/manage/projects?q=Team_A", nil).list(t))

	a.want(t, http.StatusNoContent, "DELETE", "/manage/projects/"+id, nil)
	for _, method := range []string{"GET", "DELETE"} {
		a.want(t, http.StatusNotFound, method, "/manage/projects/"+id, nil)
	}
	a.want(t, http.StatusNotFound, "PATCH", "/manage/projects/"+id, m{})
	a.want(t, http.StatusNotFound, "POST", "/manage/projects/"+id+"/tokens/revoke", nil)
	a.want(t, http.StatusNotFound, "POST", "/manage/tokens", m{"project_id": id, "duration_minutes": 1})
}

func TestThePlansFormsNameTheirProjectInTheBody(t *testing.T) {
	a := newAPI(t)
	id := a.newProject(t)
	got := a.want(t, http.StatusOK, "PATCH", "/manage/projects", m{"project_id": id, "name": "new", "metadata": m{"k": "v"}})
	require.Equal(t, "new", got.object(t)["name"])
	a.want(t, http.StatusPreconditionFailed, "PATCH", "/manage/projects", m{"project_id": id, "name": "newer"}, "If-Match", `"1"`)
	a.want(t, http.StatusNotFound, "PATCH", "/manage/projects", m{"project_id": llmproxy.NewProjectID(noon).String()})
	a.wantField(t, "project_id", "PATCH", "/manage/projects", m{"project_id": "x"})
	a.wantField(t, "project_id", "PATCH", "/manage/projects", m{"name": "x"})
	a.want(t, http.StatusNoContent, "DELETE", "/manage/projects", m{"project_id": id})
	a.want(t, http.StatusNotFound, "DELETE", "/manage/projects", m{"project_id": id})

	minted := a.want(t, http.StatusCreated, "POST", "/manage/tokens", m{"project_id": a.newProject(t), "duration_minutes": 60}).object(t)
	require.Contains(t, minted["token"], "sk-llmp-")
	at, err := time.Parse(time.RFC3339, minted["expires_at"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, a.clock.now().Add(time.Hour), at, time.Second)
	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens", m{"token": minted["token"]})
	require.ErrorIs(t, a.spend(t, minted["token"].(string)), llmproxy.ErrRevoked)
}

func TestATokenIsManagedOverHTTP(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	got := a.want(t, http.StatusCreated, "POST", "/manage/tokens", m{
		"project_id": project, "duration_minutes": 60, "name": "ci", "max_requests": 5, "requests_per_hour": nil, "request_headers_drop": []string{"X-Trace"},
	})
	minted := got.object(t)
	id, secret := minted["id"].(string), minted["token"].(string)
	require.Equal(t, "/manage/tokens/"+id, got.header.Get("Location"))
	require.Equal(t, []any{5.0, nil, []any{"X-Trace"}, true, 0.0}, []any{minted["max_requests"], minted["requests_per_hour"], minted["request_headers_drop"], minted["is_active"], minted["request_count"]})
	require.NotContains(t, minted, "last_used_at", "what is unknown is absent")
	require.NoError(t, a.spend(t, secret))

	token := a.want(t, http.StatusOK, "GET", "/manage/tokens/"+id, nil)
	require.Equal(t, id, token.object(t)["token"], "for the plan's clients, never the secret")
	require.InDelta(t, 1, token.object(t)["request_count"], 0)
	require.Equal(t, `"1"`, token.header.Get("ETag"), "spends do not touch it")

	changed := a.want(t, http.StatusOK, "PATCH", "/manage/tokens/"+id, m{"name": nil, "max_requests": nil, "requests_per_hour": 7}, "If-Match", `W/"1", "9", "1"`).object(t)
	require.Equal(t, []any{"", nil, 7.0}, []any{changed["name"], changed["max_requests"], changed["requests_per_hour"]})
	a.want(t, http.StatusPreconditionFailed, "PATCH", "/manage/tokens/"+id, m{"name": "x"}, "If-Match", `"1"`)
	a.want(t, http.StatusPreconditionFailed, "PATCH", "/manage/tokens/"+id, m{"name": "x"}, "If-Match", `W/"2"`)
	a.want(t, http.StatusPreconditionFailed, "PATCH", "/manage/tokens/"+id, m{"name": "x"}, "If-Match", `"abc"`)
	a.wantField(t, "If-Match", "PATCH", "/manage/tokens/"+id, m{"name": "x"}, "If-Match", `2`)
	a.want(t, http.StatusOK, "PATCH", "/manage/tokens/"+id, m{"name": "x"}, "If-Match", `*`)

	rotated := a.want(t, http.StatusOK, "POST", "/manage/tokens/"+id+"/rotate", m{"grace_minutes": 5}).object(t)
	require.Equal(t, id, rotated["id"])
	require.NotEqual(t, secret, rotated["token"])
	require.NoError(t, a.spend(t, secret))
	again := a.want(t, http.StatusOK, "POST", "/manage/tokens/"+id+"/rotate", nil).object(t)
	require.ErrorIs(t, a.spend(t, secret), llmproxy.ErrNotFound)
	require.NoError(t, a.spend(t, again["token"].(string)))

	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens/"+id, nil)
	require.ErrorIs(t, a.spend(t, again["token"].(string)), llmproxy.ErrRevoked)
	a.want(t, http.StatusConflict, "POST", "/manage/tokens/"+id+"/rotate", nil)
	require.Contains(t, a.want(t, http.StatusOK, "GET", "/manage/tokens/"+id, nil).object(t), "revoked_at")
	expired, _ := a.newToken(t, project)
	a.clock.move(time.Hour)
	a.want(t, http.StatusConflict, "POST", "/manage/tokens/"+expired+"/rotate", m{})
}

func TestAnIntegerIsOneHoweverItIsSpelled(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	for _, minutes := range []string{"60", "60.0", "6e1"} {
		got := a.want(t, http.StatusCreated, "POST", "/manage/tokens", `{"project_id":"`+project+`","duration_minutes":`+minutes+`,"max_requests":1e9}`).object(t)
		require.InDelta(t, 1e9, got["max_requests"], 0)
	}
}

func TestTokensAreRevokedOneByOneInABatchAndAllOfAProject(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	var ids, secrets []string
	for range 6 {
		id, secret := a.newToken(t, project)
		ids, secrets = append(ids, id), append(secrets, secret)
	}
	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens", m{"token": ids[0]})
	a.want(t, http.StatusNotFound, "DELETE", "/manage/tokens", m{"tokens": []string{ids[1], llmproxy.NewTokenID(noon).String()}})
	require.NoError(t, a.spend(t, secrets[1]), "all or none")
	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens", m{"tokens": []string{ids[1], secrets[2]}})
	require.InDelta(t, 3, a.want(t, http.StatusOK, "POST", "/manage/projects/"+project+"/tokens/revoke", nil).object(t)["revoked"], 0)
	for i, secret := range secrets {
		require.ErrorIs(t, a.spend(t, secret), llmproxy.ErrRevoked, i)
	}
	for _, token := range a.want(t, http.StatusOK, "GET", "/manage/tokens?project_id="+project, nil).list(t) {
		require.Equal(t, false, token["is_active"], "the listing tells the truth at once")
	}
	a.want(t, http.StatusNotFound, "DELETE", "/manage/tokens", m{"token": llmproxy.NewTokenID(noon).String()})
	a.wantField(t, "token", "DELETE", "/manage/tokens", m{"token": "sk-llmp-short"})
	a.wantField(t, "tokens", "DELETE", "/manage/tokens", m{"tokens": []string{ids[0], "x"}})
	a.wantField(t, "token", "DELETE", "/manage/tokens", m{})
	a.wantField(t, "token", "DELETE", "/manage/tokens", m{"token": ids[0], "tokens": ids})
	a.wantField(t, "tokens", "DELETE", "/manage/tokens", m{"tokens": []string{}})
	a.wantField(t, "tokens", "DELETE", "/manage/tokens", m{"tokens": make([]string, 91)})
}

func TestWhatCannotBeTakenIsNamedWithItsReason(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	token, _ := a.newToken(t, project)
	for _, c := range []struct {
		field, method, path string
		body                string
	}{
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s"}`},
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":0}`},
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":1.5}`},
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":"60"}`},
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":525601}`},
		{"duration_minutes", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":null}`},
		{"max_requests", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"max_requests":0}`},
		{"max_requests", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"max_requests":-1}`},
		{"max_requests", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"max_requests":2.5}`},
		{"max_requests", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"max_requests":"5"}`},
		{"max_requests", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"max_requests":1000000001}`},
		{"requests_per_hour", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"requests_per_hour":0}`},
		{"requests_per_hour", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"requests_per_hour":1e30}`},
		{"request_headers_drop[0]", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"request_headers_drop":["a b"]}`},
		{"is_admin", "POST", "/manage/tokens", `{"project_id":"%s","duration_minutes":60,"is_admin":true}`},
		{"request_count", "PATCH", "/manage/tokens/" + token, `{"request_count":0}`},
		{"is_active", "PATCH", "/manage/tokens/" + token, `{"is_active":true}`},
		{"project_id", "PATCH", "/manage/tokens/" + token, `{"project_id":"%s"}`},
		{"Name", "PATCH", "/manage/tokens/" + token, `{"Name":"x"}`},
		{"expires_at", "PATCH", "/manage/tokens/" + token, `{"expires_at":"tomorrow"}`},
		{"expires_at", "PATCH", "/manage/tokens/" + token, `{"expires_at":null}`},
		{"expires_at", "PATCH", "/manage/tokens/" + token, `{"expires_at":"2999-01-01T00:00:00Z"}`},
		{"grace_minutes", "POST", "/manage/tokens/" + token + "/rotate", `{"grace_minutes":-1}`},
		{"name", "POST", "/manage/projects", `{"api_key":"k"}`},
		{"name", "POST", "/manage/projects", `{"name":"","api_key":"k"}`},
		{"name", "POST", "/manage/projects", `{"name":"  ","api_key":"k"}`},
		{"api_key", "POST", "/manage/projects", `{"name":"x"}`},
		{"api_key", "POST", "/manage/projects", `{"name":"x","api_key":null}`},
		{"api_key", "POST", "/manage/projects", `{"name":"x","api_key":7}`},
		{"provider", "POST", "/manage/projects", `{"name":"x","api_key":"k","provider":"nobody"}`},
		{"metadata.k", "POST", "/manage/projects", `{"name":"x","api_key":"k","metadata":{"k":1}}`},
		{"endpoints[0]", "POST", "/manage/projects", `{"name":"x","api_key":"k","endpoints":["admin"]}`},
		{"capture", "POST", "/manage/projects", `{"name":"x","api_key":"k","capture":"all"}`},
		{"endpoints[0]", "POST", "/manage/projects", `{"name":"x","api_key":"k","endpoints":[{}]}`},
		{"endpoints", "POST", "/manage/projects", `{"name":"x","api_key":"k","endpoints":["stored","stored"]}`},
		{"sealed_key", "POST", "/manage/projects", `{"name":"x","api_key":"k","sealed_key":"v1.x"}`},
		{"name", "PATCH", "/manage/projects/" + project, `{"name":null}`},
		{"provider", "PATCH", "/manage/projects/" + project, `{"provider":null}`},
		{"api_key", "PATCH", "/manage/projects/" + project, `{"api_key":null}`},
		{"is_active", "PATCH", "/manage/projects/" + project, `{"is_active":null}`},
		{"provider", "PATCH", "/manage/projects/" + project, `{"provider":"anthropic"}`},
		{"revision", "PATCH", "/manage/projects/" + project, `{"revision":9}`},
		{"body", "POST", "/manage/projects", `{"name":`},
		{"body", "POST", "/manage/projects", `[]`},
		{"body", "POST", "/manage/projects", `null`},
	} {
		if strings.Contains(c.body, "%s") {
			c.body = fmt.Sprintf(c.body, project)
		}
		a.wantField(t, c.field, c.method, c.path, c.body)
	}
	for field, path := range map[string]string{
		"limit":           "/manage/projects?limit=0",
		"cursor":          "/manage/tokens?cursor=x",
		"nonsense":        "/manage/tokens?nonsense=1",
		"active":          "/manage/tokens?active=perhaps",
		"project_id":      "/manage/tokens?project_id=x",
		"expiring_within": "/manage/tokens?expiring_within=soon",
		"from":            "/manage/audit?from=yesterday",
		"outcome":         "/manage/audit?outcome=odd",
		"format":          "/manage/audit?format=xml",
	} {
		a.wantField(t, field, "GET", path, nil)
	}
	a.wantField(t, "limit", "GET", "/manage/projects?limit=101", nil)
	a.wantField(t, "project_id", "GET", "/manage/tokens?project_id=", nil)
	a.wantField(t, "q", "GET", "/manage/audit?q=", nil)
	a.wantField(t, "active", "GET", "/manage/tokens?active=true&active=false", nil)
	a.wantField(t, "limit", "GET", "/manage/audit?format=csv&limit=5", nil)
	a.wantField(t, "Idempotency-Key", "POST", "/manage/projects", m{"name": "x", "api_key": "k"}, "Idempotency-Key", strings.Repeat("k", 256))
	require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/audit?outcome=done", nil).list(t), 2, "nothing happened")
}

func TestOfAMemberThatStandsTwiceTheLastCounts(t *testing.T) {
	a := newAPI(t)
	path := "/manage/projects/" + a.newProject(t)
	got := a.want(t, http.StatusOK, "PATCH", path, `{"description":"first","description":null,"metadata":{"a":"1"},"metadata":{"b":"2"}}`).object(t)
	require.Empty(t, got["description"])
	require.Equal(t, m{"b": "2"}, m(got["metadata"].(map[string]any)), "nothing of the first is left")
}

func TestWhatWasSentIsNeverRepeated(t *testing.T) {
	a := newAPI(t)
	const canary = "sk-fake-canary-0123456789"
	token, secret := a.newToken(t, a.newProject(t))
	for _, body := range []string{
		`{"name":"x","api_key":"` + canary + `","oops":1}`, `{"name":"x","api_key":["` + canary + `"]}`, `{"api_key":"` + canary + `"}`, `{"api_key":"` + canary + `"`,
		`{"name":"x","api_key":"` + canary + `","api_key_ref":"x"}`, `"` + canary + `"`, `{"name":"` + canary + strings.Repeat("x", 100) + `"}`, `{"name":"x","api_key":"` + canary + ` "}`,
		`{"name":"x","metadata":{"k":["` + canary + `"]}}`, `{"name":"x","api_key":"k","provider":"` + canary + `"}`, `{"name":"x","api_key":"k","endpoints":["` + canary + `"]}`,
		`{"name":"x","api_key":"k","capture":"` + canary + `"}`, `{"name":"x","api_key_ref":"` + canary + `"}`,
	} {
		got := a.want(t, http.StatusBadRequest, "POST", "/manage/projects", body)
		require.NotContains(t, got.body, canary, body)
	}
	got := a.want(t, http.StatusBadRequest, "DELETE", "/manage/tokens", `{"token":"`+secret+`x"}`)
	require.NotContains(t, got.body, secret)
	got = a.want(t, http.StatusBadRequest, "GET", "/manage/tokens/"+secret, nil)
	require.NotContains(t, got.body, secret)
	require.Contains(t, got.body, "never its secret")
	a.want(t, http.StatusOK, "GET", "/manage/tokens/"+token, nil)
}

func TestKeysGoInAndNeverComeOutAndSecretsComeOutOnce(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	id, secret := a.newToken(t, project)
	rotated := a.want(t, http.StatusOK, "POST", "/manage/tokens/"+id+"/rotate", m{"grace_minutes": 9}).object(t)["token"].(string)
	a.want(t, http.StatusOK, "PATCH", "/manage/projects/"+project, m{"api_key": fakeKey + "2"})
	stored, err := a.service.Project(t.Context(), mustProject(t, project))
	require.NoError(t, err)
	var all strings.Builder
	for _, path := range []string{"projects", "projects/" + project, "tokens", "tokens/" + id, "audit", "audit?format=csv", "audit?format=jsonl", "info", "openapi.json"} {
		got := a.want(t, http.StatusOK, "GET", "/manage/"+path, nil)
		fmt.Fprintln(&all, got.body, got.header)
	}
	for _, file := range []string{a.path, a.path + "-wal"} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, hidden := range []string{fakeKey, secret, rotated} {
			require.NotContains(t, string(data), hidden, file)
		}
	}
	for _, hidden := range []string{fakeKey, secret, rotated, stored.SealedKey} {
		require.NotContains(t, all.String(), hidden)
	}
	require.Contains(t, all.String(), "xyz2", "the hint is told")
}

func mustProject(t testing.TB, text string) llmproxy.ProjectID {
	t.Helper()
	id, err := llmproxy.ParseProjectID(text)
	require.NoError(t, err)
	return id
}

func TestAnIdOfOneThingIsNoIdOfAnother(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	token, _ := a.newToken(t, project)
	a.want(t, http.StatusNotFound, "GET", "/manage/projects/"+token, nil)
	a.want(t, http.StatusNotFound, "DELETE", "/manage/projects/"+token, nil)
	a.want(t, http.StatusNotFound, "PATCH", "/manage/projects/"+token, m{"name": "x"})
	a.want(t, http.StatusNotFound, "GET", "/manage/tokens/"+project, nil)
	a.want(t, http.StatusNotFound, "DELETE", "/manage/tokens/"+project, nil)
	a.want(t, http.StatusNotFound, "PATCH", "/manage/tokens/"+project, m{"name": "x"})
	a.want(t, http.StatusNotFound, "POST", "/manage/tokens/"+project+"/rotate", nil)
	a.want(t, http.StatusNotFound, "POST", "/manage/projects/"+token+"/tokens/revoke", nil)
	a.want(t, http.StatusNotFound, "POST", "/manage/tokens", m{"project_id": token, "duration_minutes": 1})
	other := a.newProject(t)
	require.Empty(t, a.want(t, http.StatusOK, "GET", "/manage/tokens?project_id="+other, nil).list(t))
}

func TestACreationIsSentAgainUnderItsKey(t *testing.T) {
	a := newAPI(t)
	body := m{"name": "once", "api_key": fakeKey}
	first := a.want(t, http.StatusCreated, "POST", "/manage/projects", body, "Idempotency-Key", `"7f1c"`)
	again := a.want(t, http.StatusCreated, "POST", "/manage/projects", body, "Idempotency-Key", `"7f1c"`)
	require.Equal(t, first.body, again.body)
	require.Equal(t, first.header.Get("Location"), again.header.Get("Location"))
	require.Len(t, a.want(t, http.StatusOK, "GET", "/manage/projects", nil).list(t), 1)
	a.want(t, http.StatusUnprocessableEntity, "POST", "/manage/projects", m{"name": "twice", "api_key": fakeKey}, "Idempotency-Key", `"7f1c"`)
	a.want(t, http.StatusUnprocessableEntity, "POST", "/manage/projects", m{"name": "once", "api_key": fakeKey + "2"}, "Idempotency-Key", `"7f1c"`)
	a.want(t, http.StatusNoContent, "DELETE", first.header.Get("Location"), nil)
	a.want(t, http.StatusConflict, "POST", "/manage/projects", body, "Idempotency-Key", `"7f1c"`)
}

func TestAListingIsReadPageByPage(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	var want []string
	for range 7 {
		id, _ := a.newToken(t, project)
		want = append([]string{id}, want...)
	}
	other, _ := a.newToken(t, a.newProject(t))
	read := func(path string) (ids []string, links []string) {
		for path != "" {
			got := a.want(t, http.StatusOK, "GET", path, nil)
			for _, token := range got.list(t) {
				ids = append(ids, token["id"].(string))
			}
			path = nextPage(t, got)
			if path != "" {
				links = append(links, path)
			}
		}
		return ids, links
	}
	ids, links := read("/manage/tokens?limit=3&project_id=" + project)
	require.Equal(t, want, ids)
	require.Len(t, links, 2)
	ids, _ = read("/manage/tokens?limit=4")
	require.Equal(t, append([]string{other}, want...), ids)

	require.Contains(t, links[0], "project_id="+project, "the filter goes along")
	cursor := links[0][strings.Index(links[0], "cursor=")+len("cursor="):]
	cursor, _, _ = strings.Cut(cursor, "&")
	a.want(t, http.StatusOK, "GET", "/manage/tokens?limit=5&cursor="+cursor+"&project_id="+project, nil)
	a.wantField(t, "cursor", "GET", "/manage/tokens?cursor="+cursor, nil)
	a.wantField(t, "cursor", "GET", "/manage/tokens?active=true&cursor="+cursor+"&project_id="+project, nil)
	a.wantField(t, "cursor", "GET", "/manage/projects?cursor="+cursor, nil)
	a.wantField(t, "cursor", "GET", "/manage/tokens?cursor="+cursor+"A&project_id="+project, nil)

	a.clock.move(50 * time.Minute)
	long, _ := a.newToken(t, project, m{"duration_minutes": 6000})
	ids, _ = read("/manage/tokens?expiring_within=1h&limit=2")
	require.Len(t, ids, 8)
	require.NotContains(t, ids, long)
	ids, _ = read("/manage/tokens?expiring_within=5d")
	require.Contains(t, ids, long)
	a.clock.move(time.Hour)
	ids, _ = read("/manage/tokens?active=true")
	require.Equal(t, []string{long}, ids)

	var projects []string
	for path := "/manage/projects?limit=1"; path != ""; {
		got := a.want(t, http.StatusOK, "GET", path, nil)
		projects = append(projects, got.list(t)[0]["project_id"].(string))
		path = nextPage(t, got)
	}
	require.Len(t, projects, 2)
}

// nextPage is the path that an answer's Link leads to.
func nextPage(t testing.TB, got answer) string {
	t.Helper()
	link := got.header.Get("Link")
	if link == "" {
		return ""
	}
	path, ok := strings.CutSuffix(link, `>; rel="next"`)
	require.True(t, ok, link)
	return strings.TrimPrefix(path, "<")
}

func TestPathsMeanWhatTheySay(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	for _, path := range []string{
		"/manage", "/manage/", "/manage/nothing", "/manage/projects/", "/manage//projects", "/manage/projects/" + project + "/", "/manage/%70rojects", "/manage/projects/../info",
		"/manage/projects/" + project + "%00", "/manage/tokens/%2e%2e", "/manage/openapi.yaml", "/manage/docs", "/manage/schemas/Project", "/manage/openapi-3.0.json",
	} {
		a.want(t, http.StatusNotFound, "GET", path, nil)
	}
	got := a.want(t, http.StatusMethodNotAllowed, "PUT", "/manage/projects", m{})
	require.Equal(t, "DELETE, GET, HEAD, PATCH, POST", got.header.Get("Allow"))
	got = a.want(t, http.StatusMethodNotAllowed, "OPTIONS", "/manage/projects", nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	for name := range got.header {
		require.NotContains(t, name, "Access-Control", "no other site is let in")
	}
	require.Equal(t, http.StatusOK, a.do(t, "HEAD", "/manage/projects", nil).status)
}

func TestAnswersAreNeitherKeptNorGuessedAt(t *testing.T) {
	a := newAPI(t)
	for _, got := range []answer{
		a.want(t, http.StatusOK, "GET", "/manage/projects", nil, "Origin", "https://evil.example"), a.want(t, http.StatusNotFound, "GET", "/manage/nothing", nil), a.want(t, http.StatusUnauthorized, "GET", "/manage/info", nil, "Authorization", ""),
	} {
		require.Equal(t, "no-store", got.header.Get("Cache-Control"))
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotEmpty(t, got.header.Get("X-Llm-Proxy-Request-Id"))
		require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
	}
}

func TestBodiesAreBounded(t *testing.T) {
	a := newAPI(t)
	a.want(t, http.StatusRequestEntityTooLarge, "POST", "/manage/projects", `{"name":"`+strings.Repeat("x", 64<<10)+`"}`)
	a.want(t, http.StatusUnsupportedMediaType, "POST", "/manage/projects", `name=x`, "Content-Type", "application/x-www-form-urlencoded")
	a.want(t, http.StatusBadRequest, "POST", "/manage/projects", nil)
}

func TestInfoTellsWhatTheInstallationIs(t *testing.T) {
	a := newAPI(t)
	got := a.want(t, http.StatusOK, "GET", "/manage/info", nil).body
	for path, want := range map[string]string{
		"version": `"v1.2.3"`, "store": `"sqlite"`, "bus": `"spool"`, "default_provider": `"openai"`, "demo": "false", "ledger": "false",
		"providers.0.base_url": `"https://api.openai.com"`, "providers.0.clients": `"openai"`, "providers.0.base_path": `"/v1"`, "providers.0.endpoints.0.methods.0": `"POST"`,
		"providers.0.limits.request_bytes": "545259520", "providers.0.timeouts.connect_ms": "5000", "providers.0.timeouts.response_header_ms": "600000", "providers.0.circuit_breaker.failures": "5",
		"limits.max_duration_minutes": "525600", "limits.default_requests_per_hour": "1000", "limits.revoke_batch": "90",
		"retention.token_days": "30", "retention.audit_days": "400", "retention.request_days": "30", "retention.usage_days": "400",
	} {
		require.Equal(t, want, gjson.Get(got, path).Raw, path)
	}
	require.NotEmpty(t, gjson.Get(got, "providers.0.endpoints.0.path").Str)
	require.Contains(t, []any{"inference", "stored"}, gjson.Get(got, "providers.0.endpoints.0.group").Str)
	for _, path := range []string{"region", "base_url", "capture", "limits.default_max_requests", "limits.answer_ms", "limits.max_concurrent_per_token", "retention.event_days"} {
		require.False(t, gjson.Get(got, path).Exists(), "%s is not known, or not limited", path)
	}

	h := newHouse(t, func(cfg *manage.Config) { cfg.DefaultMaxRequests = 500 })
	a = serveAPI(t, h, func(cfg *manage.HandlerConfig) {
		cfg.Region, cfg.Demo, cfg.PublicURL, cfg.Capture, cfg.Ledger = "eu-central-1", true, "https://llm.example.com", llmproxy.CaptureMetadata, h.store
		cfg.Limits = manage.Limits{RequestBytes: 6 << 20, HeaderBytes: 1 << 16, Answer: 15 * time.Minute, MaxConcurrentPerToken: 64, UnknownTokensPerMinute: 60, SignInFailures: 5, SessionIdle: time.Minute, Session: time.Hour}
		cfg.Retention = manage.Retention{EventDays: 365, EventBytes: 10 << 30, LogDays: 90}
	})
	got = a.want(t, http.StatusOK, "GET", "/manage/info", nil).body
	for path, want := range map[string]string{
		"region": `"eu-central-1"`, "demo": "true", "base_url": `"https://llm.example.com/v1"`, "capture": `"metadata"`, "ledger": "true", "limits.default_max_requests": "500",
		"limits.request_bytes": "6291456", "limits.header_bytes": "65536", "limits.answer_ms": "900000", "limits.max_concurrent_per_token": "64", "limits.unknown_tokens_per_minute": "60",
		"limits.sign_in_failures_per_minute": "5", "limits.session_idle_ms": "60000", "limits.session_ms": "3600000",
		"retention.event_days": "365", "retention.event_bytes": "10737418240", "retention.log_days": "90",
	} {
		require.Equal(t, want, gjson.Get(got, path).Raw, path)
	}
	require.NotContains(t, got, managementToken)
}

func TestTokensAreFound(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	first, firstSecret := a.newToken(t, project, m{"name": "Nightly job", "max_requests": 2, "requests_per_hour": 10})
	second, _ := a.newToken(t, project, m{"name": "demo of 世界"})
	revoked, _ := a.newToken(t, project, m{"name": "job that was revoked"})
	a.want(t, http.StatusNoContent, "DELETE", "/manage/tokens/"+revoked, nil)
	names := func(query string) (out []string) {
		for _, token := range a.want(t, http.StatusOK, "GET", "/manage/tokens?"+query, nil).list(t) {
			out = append(out, token["name"].(string))
		}
		return out
	}
	require.Equal(t, []string{"job that was revoked", "Nightly job"}, names("q=JOB"))
	require.Equal(t, []string{"Nightly job"}, names("q=job&status=active"))
	require.Equal(t, []string{"job that was revoked"}, names("status=revoked"))
	require.Equal(t, []string{"demo of 世界"}, names("q="+second))
	require.Equal(t, []string{"Nightly job", "demo of 世界"}, names("id="+first+","+second+","+llmproxy.NewTokenID(noon).String()), "as they were asked for")
	require.Equal(t, []string{"Nightly job"}, names("id="+first))
	a.wantField(t, "q", "GET", "/manage/tokens?q="+firstSecret, nil)
	a.wantField(t, "status", "GET", "/manage/tokens?status=asleep", nil)
	a.wantField(t, "limit", "GET", "/manage/tokens?limit=3&id="+first, nil)
	a.wantField(t, "id[0]", "GET", "/manage/tokens?id=x", nil)

	require.NoError(t, a.spend(t, firstSecret))
	got := a.want(t, http.StatusOK, "GET", "/manage/tokens/"+first, nil).object(t)
	require.Equal(t, []any{"active", 1.0, 1.0, 2.0, 10.0}, []any{got["status"], got["request_count"], got["hour_count"], got["max_requests"], got["requests_per_hour"]})
	require.NotEmpty(t, got["last_used_at"])
	a.clock.move(time.Hour - time.Minute)
	require.NoError(t, a.spend(t, firstSecret))
	got = a.want(t, http.StatusOK, "GET", "/manage/tokens?status=exhausted", nil).list(t)[0]
	require.Equal(t, []any{first, "exhausted", 2.0, 1.0}, []any{got["id"], got["status"], got["request_count"], got["hour_count"]}, "a new hour began")
	a.clock.move(time.Hour)
	require.Equal(t, []string{"demo of 世界", "Nightly job"}, names("status=expired"))
	extended := a.want(t, http.StatusOK, "PATCH", "/manage/tokens/"+second, m{"expires_at": a.clock.now().Add(time.Hour)}).object(t)
	require.Equal(t, "active", extended["status"])
}

func TestTheAuditOfATokenIsItsOwn(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	one, _ := a.newToken(t, project)
	a.newToken(t, project)
	a.want(t, http.StatusOK, "PATCH", "/manage/tokens/"+one, m{"name": "new"})
	var actions []any
	for _, e := range a.want(t, http.StatusOK, "GET", "/manage/audit?token_id="+one, nil).list(t) {
		require.Equal(t, one, e["token_id"])
		actions = append(actions, e["action"])
	}
	require.Equal(t, []any{"token.update", "token.create"}, actions)
	a.wantField(t, "token_id", "GET", "/manage/audit?token_id=x", nil)
}

func TestTokensAreListedInTheOrderAskedFor(t *testing.T) {
	a := newAPI(t)
	project := a.newProject(t)
	for _, name := range []string{"Berta", "anton", "Ärger", "berta", "cäsar"} {
		a.newToken(t, project, m{"name": name})
	}
	read := func(path string) (names []string) {
		for path != "" {
			got := a.want(t, http.StatusOK, "GET", path, nil)
			for _, token := range got.list(t) {
				names = append(names, token["name"].(string))
			}
			path = nextPage(t, got)
		}
		return names
	}
	require.Equal(t, []string{"anton", "Berta", "berta", "cäsar", "Ärger"}, read("/manage/tokens?sort=name&limit=2&project_id="+project))
	require.Equal(t, []string{"Ärger", "cäsar", "berta", "Berta", "anton"}, read("/manage/tokens?sort=-name&limit=1"))
	require.Equal(t, []string{"berta", "Berta"}, read("/manage/tokens?sort=-name&limit=1&q=berta"))
	require.Len(t, read("/manage/tokens?sort=-last_used_at&limit=2"), 5)
	a.wantField(t, "sort", "GET", "/manage/tokens?sort=secret", nil)
	next := nextPage(t, a.want(t, http.StatusOK, "GET", "/manage/tokens?sort=name&limit=2", nil))
	a.wantField(t, "cursor", "GET", strings.Replace(next, "sort=name", "sort=-name", 1), nil)
}

// fullStore has more tokens than it can order.
type fullStore struct{ manage.Store }

func (fullStore) Tokens(context.Context, llmproxy.TokenFilter, llmproxy.Page) ([]llmproxy.Token, bool, error) {
	return nil, false, llmproxy.ErrTooMany
}

func TestTooManyTokensToOrderAreRefused(t *testing.T) {
	a := serveAPI(t, newHouse(t, func(cfg *manage.Config) { cfg.Store = fullStore{cfg.Store} }))
	a.wantField(t, "sort", "GET", "/manage/tokens?sort=name", nil)
}
