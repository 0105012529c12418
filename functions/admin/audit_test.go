//go:build unix

package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo/cloud"
)

// TestAChangeIsOnTheBusAfterItsAnswer: also what the function before it has stored, as it is asked for the first time.
func TestAChangeIsOnTheBusAfterItsAnswer(t *testing.T) {
	d := deploy(t)
	b := d.browser()
	require.Equal(t, http.StatusNoContent, b.fetch(http.MethodPost, "/admin/api/session", credentials(user, password)).status)
	require.Empty(t, d.account.Records(cloud.Audit), "who signs in waits for no bus")
	created := b.fetch(http.MethodPost, "/manage/projects", `{"name":"Team","api_key":"sk-fake-provider-key-1234"}`)
	require.Equal(t, http.StatusCreated, created.status, created.body.Raw)
	told := map[string]gjson.Result{}
	require.Eventually(t, func() bool {
		for _, r := range d.account.Records(cloud.Audit) {
			require.Equal(t, "events", r.By)
			told[gjson.GetBytes(r.JSON, "action").Str] = gjson.ParseBytes(r.JSON)
		}
		return told["project.create"].Exists()
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "admin:"+user, told["project.create"].Get("actor").Str)
	require.Equal(t, created.body.Get("project_id").Str, told["project.create"].Get("project_id").Str)
	require.Contains(t, told, "session.create", "the sign-in's is among them")
	require.NotContains(t, told["project.create"].Raw, "sk-fake")
}
