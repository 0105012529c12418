package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo/dynamolocal"
	"github.com/sofatutor/llm-proxy/internal/store/storetest"
)

// account has tables with a project that was deleted, and a bus that works or does not.
func account(t *testing.T) (*cloud.Cloud, *broom, *dynamo.Store) {
	engine, err := dynamolocal.Start(t.Context())
	if err != nil {
		t.Skipf("SKIPPED: DynamoDB Local does not run here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	c := &cloud.Cloud{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ENDPOINT_URL_DYNAMODB": engine.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	b, err := join([]string{"LLM_PROXY_TOKENS_TABLE=tokens", "LLM_PROXY_CONTROL_TABLE=control", "LLM_PROXY_EVENT_BUS=events"})
	require.NoError(t, err)
	store := dynamo.New(engine.Config(), dynamo.Config{Tokens: "tokens", Control: "control", ChangeBudget: time.Minute})
	require.NoError(t, store.CreateTables(t.Context()))
	p := storetest.AddProject(t, store)
	storetest.AddToken(t, store, p.ID)
	_, err = store.UpdateProject(t.Context(), p.ID, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.DeletedAt = storetest.Noon
		return storetest.Entry("project.delete", storetest.Noon), nil
	})
	require.NoError(t, err)
	return c, b, store
}

func TestAnHourLaterAuditEventsAreOnTheBusAndAMonthLaterDeletedRowsAreGone(t *testing.T) {
	c, b, store := account(t)
	b.now = func() time.Time { return storetest.Noon.Add(time.Hour) }
	c.Make(cloud.Illness{Bus: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := b.sweep(ctx)
	require.ErrorContains(t, err, "on the bus events")
	c.Make(cloud.Illness{})
	did, err := b.sweep(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"removed": 0}, did)
	var actions []string
	for _, r := range c.Records(cloud.Audit) {
		require.Equal(t, "events", r.By)
		actions = append(actions, gjson.GetBytes(r.JSON, "action").Str)
	}
	require.ElementsMatch(t, []string{"project.create", "token.create", "project.delete"}, actions)

	// A bus that is down keeps nothing from being removed.
	require.NoError(t, store.AppendAudit(ctx, storetest.Entry("later", storetest.Noon)))
	b.now = func() time.Time { return storetest.Noon.Add(31 * 24 * time.Hour) }
	c.Make(cloud.Illness{Bus: true})
	did, err = b.sweep(ctx)
	require.Error(t, err, "Lambda tries again")
	require.Equal(t, map[string]int64{"removed": 2}, did, "the token and its project")
}

func TestASettingThatIsMissingIsNamed(t *testing.T) {
	_, err := join([]string{"LLM_PROXY_TOKENS_TABLE=tokens"})
	require.ErrorContains(t, err, "LLM_PROXY_CONTROL_TABLE")
	require.ErrorContains(t, err, "LLM_PROXY_EVENT_BUS")
}
