package faulttest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// manage asks the management API of a server, which has to answer with this status.
func (s *server) manage(status int, method, path, body string, headers ...string) answer {
	s.h.t.Helper()
	a := s.h.send(method, s.url+"/manage"+path, managementToken, body, headers...)
	require.NoError(s.h.t, a.err)
	require.Equal(s.h.t, status, a.status, "%s %s %s: %s", method, path, body, a.body)
	return a
}

// made are the members that tests read of what was made.
type made struct {
	ProjectID string `json:"project_id"`
	ID        string `json:"id"`
	Token     string `json:"token"`
}

func (a answer) made(t *testing.T) (m made) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.body), &m), a.body)
	return m
}

// newProject makes a project with a token.
func (s *server) newProject() made {
	s.h.t.Helper()
	p := s.manage(http.StatusCreated, "POST", "/projects", `{"name":"hammered","api_key":"`+s.h.providerKey+`"}`).made(s.h.t)
	return s.manage(http.StatusCreated, "POST", "/tokens", `{"project_id":"`+p.ProjectID+`","duration_minutes":60,"requests_per_hour":null}`).made(s.h.t)
}

// hammering is how many callers send at once while something is changed.
const hammering = 50

// TestAChangeOverTheAPIHoldsForTheNextRequestSent: 50 callers hammer one server or two while an operator changes something over the
// API of the first. Of the requests that are sent after the operator has the answer not one reaches the provider.
func TestAChangeOverTheAPIHoldsForTheNextRequestSent(t *testing.T) {
	for _, change := range []struct {
		name string
		do   func(s *server, m made)
		then string // code of our error
	}{
		{"revoke", func(s *server, m made) { s.manage(http.StatusNoContent, "DELETE", "/tokens/"+m.ID, "") }, "token_revoked"},
		{"revoke in a batch", func(s *server, m made) {
			s.manage(http.StatusNoContent, "DELETE", "/tokens", `{"tokens":["`+m.Token+`"]}`)
		}, "token_revoked"},
		{"revoke all of the project", func(s *server, m made) {
			s.manage(http.StatusOK, "POST", "/projects/"+m.ProjectID+"/tokens/revoke", "")
		}, "token_revoked"},
		{"rotate without grace", func(s *server, m made) { s.manage(http.StatusOK, "POST", "/tokens/"+m.ID+"/rotate", "") }, "token_invalid"},
		{"deactivate the project", func(s *server, m made) {
			s.manage(http.StatusOK, "PATCH", "/projects/"+m.ProjectID, `{"is_active":false}`)
		}, "project_inactive"},
		{"delete the project", func(s *server, m made) { s.manage(http.StatusNoContent, "DELETE", "/projects/"+m.ProjectID, "") }, "token_revoked"},
	} {
		for processes := 1; processes <= 2; processes++ {
			t.Run(fmt.Sprintf("%s, processes: %d", change.name, processes), func(t *testing.T) {
				h := newHouse(t, nil)
				var servers []*server
				for range processes {
					servers = append(servers, h.start())
				}
				m := servers[0].newProject()
				c := callBy(h, hammering, servers, m.Token, 0)
				c.await(t, 3*hammering)
				change.do(servers[0], m)
				acknowledged := int(c.next.Load()) // every higher number is sent after this
				c.await(t, 3*hammering)
				c.ending.Store(true)
				<-c.done
				require.Equal(t, http.StatusOK, c.answers[1].status, "it worked before")
				for n := range h.upstream.executed() {
					require.LessOrEqual(t, n, acknowledged, "request %d was sent after the change and reached the provider", n)
				}
				for n := acknowledged + 1; n <= int(c.next.Load()); n++ {
					require.Equal(t, change.then, c.answers[n].code(), "request %d", n)
				}
			})
		}
	}
}

// TestARotationWithGraceRefusesNobody: the secret before goes on for all callers of two servers until a second rotation ends its
// grace; what is sent after that does not reach the provider.
func TestARotationWithGraceRefusesNobody(t *testing.T) {
	h := newHouse(t, nil)
	servers := []*server{h.start(), h.start()}
	m := servers[0].newProject()
	c := callBy(h, hammering, servers, m.Token, 0)
	c.await(t, 2*hammering)
	rotated := servers[0].manage(http.StatusOK, "POST", "/tokens/"+m.ID+"/rotate", `{"grace_minutes":60}`).made(t)
	c.await(t, 2*hammering)
	c.ending.Store(true)
	<-c.done
	for n := 1; n <= int(c.next.Load()); n++ {
		require.Equal(t, http.StatusOK, c.answers[n].status, "request %d: %s", n, c.answers[n].body)
	}
	require.Equal(t, http.StatusOK, h.get(servers[1].url+"/v1/models/1", rotated.Token).status)

	const first = numbersPerChange
	c = callBy(h, hammering, servers, m.Token, first)
	c.await(t, 2*hammering)
	again := servers[1].manage(http.StatusOK, "POST", "/tokens/"+m.ID+"/rotate", `{"grace_minutes":60}`).made(t)
	ended := int(c.next.Load())
	c.await(t, 2*hammering)
	c.ending.Store(true)
	<-c.done
	for n := ended + 1; n <= int(c.next.Load()); n++ {
		require.Equal(t, "token_invalid", c.answers[n-first].code(), "request %d", n)
	}
	for n := range h.upstream.executed() {
		require.LessOrEqual(t, n, ended)
	}
	require.Equal(t, http.StatusOK, h.get(servers[0].url+"/v1/models/2", rotated.Token).status, "now this one has the grace")
	require.Equal(t, http.StatusOK, h.get(servers[0].url+"/v1/models/3", again.Token).status)
}

// TestOfManyWhoSawTheSameOneChangesIt: 100 PATCHes at once through two servers, all with the ETag of the same revision.
func TestOfManyWhoSawTheSameOneChangesIt(t *testing.T) {
	h := newHouse(t, nil)
	servers := []*server{h.start(), h.start()}
	m := servers[0].newProject()
	for _, path := range []string{"/projects/" + m.ProjectID, "/tokens/" + m.ID} {
		for round := range 5 {
			tag := servers[round%2].manage(http.StatusOK, "GET", path, "").header.Get("ETag")
			var won, lost atomic.Int64
			var winner sync.Map
			inParallel(100, func(i int) {
				name := fmt.Sprintf("round %d, operator %d", round, i)
				a := h.send("PATCH", servers[i%2].url+"/manage"+path, managementToken, `{"name":"`+name+`"}`, "If-Match: "+tag)
				switch a.status {
				case http.StatusOK:
					won.Add(1)
					winner.Store("name", name)
				case http.StatusPreconditionFailed:
					lost.Add(1)
				default:
					t.Errorf("%d %s %v", a.status, a.body, a.err)
				}
			})
			require.Equal(t, []int64{1, 99}, []int64{won.Load(), lost.Load()}, "%s, round %d", path, round)
			name, _ := winner.Load("name")
			require.Contains(t, servers[0].manage(http.StatusOK, "GET", path, "").body, name, "what was acknowledged is there")
		}
	}
}

// acknowledged is how often each project and token was changed, as far as callers were told, by id.
type acknowledged struct {
	mu      sync.Mutex
	changes map[string]int64
}

func (a *acknowledged) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes[id]++
}

// change makes and changes projects and tokens until the server is gone.
func (a *acknowledged) change(h *house, s *server) {
	ask := func(id, method, path, body string) (made, bool) {
		answer := h.send(method, s.url+"/manage"+path, managementToken, body)
		if answer.err != nil || answer.status >= http.StatusMultipleChoices {
			return made{}, false
		}
		var m made
		_ = json.Unmarshal([]byte(answer.body), &m) // some answers have no body
		switch {
		case id != "":
			a.add(id)
		case m.ID != "":
			a.add(m.ID)
		default:
			a.add(m.ProjectID)
		}
		return m, true
	}
	for {
		p, ok := ask("", "POST", "/projects", `{"name":"under fire","api_key":"`+s.h.providerKey+`"}`)
		if !ok {
			return
		}
		t, ok := ask("", "POST", "/tokens", `{"project_id":"`+p.ProjectID+`","duration_minutes":60}`)
		if !ok {
			return
		}
		for _, step := range [][4]string{
			{p.ProjectID, "PATCH", "/projects/" + p.ProjectID, `{"name":"changed","metadata":{"k":"v"}}`},
			{t.ID, "PATCH", "/tokens/" + t.ID, `{"name":"changed","max_requests":7}`},
			{t.ID, "POST", "/tokens/" + t.ID + "/rotate", `{"grace_minutes":5}`},
			{p.ProjectID, "POST", "/projects/" + p.ProjectID + "/tokens/revoke", ""},
			{t.ID, "DELETE", "/tokens/" + t.ID, ""},
		} {
			if _, ok := ask(step[0], step[1], step[2], step[3]); !ok {
				return
			}
		}
	}
}

// TestAKillLeavesNoHalfChangeAndNoneUntold: after 20 kills under changes each that was acknowledged is there, and each that is there has
// its audit entry: a revision counts the changes of a thing, and the audit has as many.
func TestAKillLeavesNoHalfChangeAndNoneUntold(t *testing.T) {
	h := newHouse(t, nil)
	a := &acknowledged{changes: map[string]int64{}}
	total := func() int64 {
		a.mu.Lock()
		defer a.mu.Unlock()
		var n int64
		for _, c := range a.changes {
			n += c
		}
		return n
	}
	for range kills {
		s := h.start()
		done := make(chan struct{})
		go func() {
			defer close(done)
			inParallel(4, func(int) { a.change(h, s) })
		}()
		from := total()
		require.Eventually(t, func() bool { return total() > from+10 }, patience, time.Millisecond)
		time.Sleep(randomly(20 * time.Millisecond))
		s.kill()
		<-done
	}

	told := map[string]int64{} // entries by the id of what they tell of
	page := llmproxy.Page{}
	for more := true; more; {
		var entries []llmproxy.AuditEntry
		var err error
		entries, more, err = h.store.Audit(t.Context(), llmproxy.AuditFilter{}, page)
		require.NoError(t, err)
		for _, e := range entries {
			if e.TokenID.IsZero() {
				told[e.ProjectID.String()]++
			} else {
				told[e.TokenID.String()]++
			}
			page.After = e.ID.UUID
		}
	}
	there := map[string]int64{} // revisions
	page = llmproxy.Page{}
	for more := true; more; {
		var projects []llmproxy.Project
		var err error
		projects, more, err = h.store.Projects(t.Context(), llmproxy.ProjectFilter{}, page)
		require.NoError(t, err)
		for _, p := range projects {
			there[p.ID.String()], page.After = p.Revision, p.ID.UUID
			require.Equal(t, p.Name == "changed", len(p.Metadata) == 1 && p.Metadata["k"] == "v", "%s: a change is whole", p.ID)
		}
	}
	page = llmproxy.Page{}
	for more := true; more; {
		var tokens []llmproxy.Token
		var err error
		tokens, more, err = h.store.Tokens(t.Context(), llmproxy.TokenFilter{}, page)
		require.NoError(t, err)
		for _, token := range tokens {
			there[token.ID.String()], page.After = token.Revision, token.ID.UUID
			require.Equal(t, token.Name == "changed", token.MaxRequests == 7, "%s: a change is whole", token.ID)
		}
	}
	require.Equal(t, there, told, "each change has its entry, and each entry its change")
	for id, n := range a.changes {
		require.GreaterOrEqual(t, there[id], n, "%s: what was acknowledged is there", id)
	}
	t.Logf("%d kills: %d changes acknowledged, %d things in the database", kills, total(), len(there))
	requireCleanDatabase(t, h)
}

// TestACiphertextOfAnotherProjectDoesNotOpen: whoever can write the database and not read the sealing secret cannot spend another
// project's key.
func TestACiphertextOfAnotherProjectDoesNotOpen(t *testing.T) {
	h := newHouse(t, nil)
	s := h.start()
	mine, theirs := s.newProject(), s.newProject()
	require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/1", mine.Token).status)
	db, err := sql.Open("sqlite", h.db)
	require.NoError(t, err)
	defer db.Close()
	my, err := llmproxy.ParseProjectID(mine.ProjectID)
	require.NoError(t, err)
	their, err := llmproxy.ParseProjectID(theirs.ProjectID)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE projects SET sealed_key = (SELECT sealed_key FROM projects WHERE id = ?) WHERE id = ?`, their.UUID[:], my.UUID[:])
	require.NoError(t, err)
	require.Equal(t, "key_unavailable", h.get(s.url+"/v1/models/2", mine.Token).code())
	require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/3", theirs.Token).status)
	require.NotContains(t, h.upstream.executed(), 2)
}
