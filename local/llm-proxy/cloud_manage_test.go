package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	standin "github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// testDestinationsOfAStack: operators of a server beside a stack see, test and redrive what is behind its bus, as those of the stack do.
func testDestinationsOfAStack(t *testing.T) {
	a := newAccount(t)
	way := &standin.Way{}
	queues := httptest.NewServer(way)
	t.Cleanup(queues.Close)
	t.Setenv("AWS_ENDPOINT_URL_SQS", queues.URL)
	queue := queues.URL + "/1/" + standin.WayQueue
	s := a.server(map[string]string{"LLM_PROXY_DESTINATIONS": "webhook=" + queue + ",ledger=" + queue})

	way.Put(standin.WayQueue, "waits", "waits too")
	way.Put(standin.WayDead, "dead")
	seen := destinationsOf(s)
	require.Len(t, seen, 2)
	hook := seen["webhook"]
	for member, want := range map[string]string{"kind": `"webhook"`, "state": `"ok"`, "backlog": "2", "dead_letters": "1", "redriving": "false", "delivered": "", "no_test": "", "no_redrive": ""} {
		require.Equal(t, want, hook.Get(member).Raw, member)
	}

	status, tested := s.manage("destinations/webhook/test", "")
	require.Equal(t, http.StatusOK, status, tested.Raw)
	require.Equal(t, "queued", tested.Get("result").Str)
	event := gjson.Get(way.In(standin.WayQueue)[2].Body, "detail")
	require.Equal(t, tested.Get("event_id").Str, event.Get("id").Str)
	require.True(t, event.Get("test").Bool())
	status, refused := s.manage("destinations/ledger/test", "")
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, refused.Get("detail").Str, "/manage/requests")

	status, begun := s.manage("destinations/webhook/redrive", "")
	require.Equal(t, http.StatusAccepted, status, begun.Raw)
	require.EqualValues(t, 1, begun.Get("dead_letters").Int())
	require.Len(t, way.In(standin.WayQueue), 4)
	require.Empty(t, way.In(standin.WayDead))
	way.Answer(nil, []string{"RUNNING"})
	require.True(t, destinationsOf(s)["webhook"].Get("redriving").Bool())
	status, _ = s.manage("destinations/webhook/redrive", "")
	require.Equal(t, http.StatusConflict, status, "it is under way")
	status, _ = s.manage("destinations/pigeon/test", "")
	require.Equal(t, http.StatusNotFound, status)
	way.Refuse("GetQueueAttributes")
	s.managed("destinations", http.StatusServiceUnavailable)

	// Who has not said where they are is told what to do.
	unset := a.server(nil)
	require.Contains(t, unset.managed("destinations", http.StatusNotFound).Get("detail").Str, "--destinations (LLM_PROXY_DESTINATIONS)")
	require.Contains(t, unset.log.String(), "LLM_PROXY_DESTINATIONS")
	_, err := parseSettings(map[string]string{"LLM_PROXY_DESTINATIONS": "webhook"})
	require.ErrorContains(t, err, "--destinations (LLM_PROXY_DESTINATIONS)")
}

// testLedgerTable: usage and requests are answered from a table that functions write to, or servers and dispatchers with a spool.
func testLedgerTable(t *testing.T) {
	a := newAccount(t).withTables()
	unset := a.server(nil)
	for _, path := range []string{"usage", "requests"} {
		require.Contains(t, unset.managed(path, http.StatusNotFound).Get("detail").Str, "--ledger-table (LLM_PROXY_LEDGER_TABLE)")
	}
	require.Contains(t, unset.log.String(), "LLM_PROXY_LEDGER_TABLE")
	require.False(t, unset.managed("info", http.StatusOK).Get("ledger").Bool())

	name := a.env["LLM_PROXY_TOKENS_TABLE"] + "-ledger"
	table := dynamo.NewLedger(engine.Config(), dynamo.LedgerConfig{Table: name})
	t.Cleanup(func() { require.NoError(t, table.Close()) })
	require.NoError(t, table.CreateTable(t.Context()))
	s := a.server(map[string]string{"LLM_PROXY_LEDGER_TABLE": name})
	require.True(t, s.managed("info", http.StatusOK).Get("ledger").Bool())
	recorded := func() int64 { return s.managed("usage?group_by=model", http.StatusOK).Get("total.requests").Int() }
	has := func(id string) { // the engine may be slow, and the answer then that it is not there
		t.Helper()
		require.Eventually(t, func() bool { status, _ := s.asksManagement("requests/" + id); return status == http.StatusOK }, patience, 50*time.Millisecond, id)
	}
	require.Zero(t, recorded())

	// What a function of the stack has recorded.
	now := time.Now()
	e := &llmproxy.Event{ID: llmproxy.NewEventID(now), Time: now, Method: http.MethodGet, Path: "/v1/models", Status: http.StatusOK, Outcome: llmproxy.Complete}
	require.NoError(t, table.Record(t.Context(), []*llmproxy.Event{e}))
	has(e.ID.String())
	require.Equal(t, "complete", s.managed("requests/"+e.ID.String(), http.StatusOK).Get("outcome").Str)
	require.EqualValues(t, 1, recorded())

	// What a server with a spool of its own records there.
	own := a.server(map[string]string{"LLM_PROXY_LEDGER_TABLE": name, "LLM_PROXY_BUS": "spool"})
	own.token = own.mint()
	var id string
	require.Eventually(t, func() bool {
		res := own.send(http.MethodGet, "/v1/models", "")
		id = eventID(res)
		return res.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond)
	has(id)
	require.Equal(t, "/v1/models", s.managed("requests/"+id, http.StatusOK).Get("path").Str)

	// What a dispatcher does.
	before := recorded()
	dir, ids := dataWith(t, 3)
	_, talk, err := runLine(t.Context(), "dispatcher", "--service", "ledger", "--ledger-table", name, "--once", "--data-dir", dir)
	require.NoError(t, err, talk)
	for _, id := range ids {
		has(id)
	}
	require.Equal(t, before+int64(len(ids)), recorded())
	require.NoFileExists(t, dir+"/llm-proxy.db", "the database is another ledger")
}
