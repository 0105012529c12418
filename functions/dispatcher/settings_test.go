package main

import (
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/functions/internal/effects"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

func TestEachSettingChangesSomething(t *testing.T) {
	aws := effects.Listen(t)
	for _, operation := range []string{"CreateLogGroup", "CreateLogStream", "PutLogEvents"} {
		aws.Answers[operation] = "{}"
	}
	aws.Answers["ChangeMessageVisibilityBatch"] = "{}"
	aws.Answers["SendMessage"] = `{"MessageId":"1"}`
	aws.Answers["PutEvents"] = `{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}`
	for _, operation := range []string{"PutItem", "TransactWriteItems"} {
		aws.Answers[operation] = "{}"
	}
	now := time.Now()
	event := func(change func(*llmproxy.Event)) string {
		e := &llmproxy.Event{
			ID: llmproxy.NewEventID(now), Time: now, Method: "POST", Path: "/v1/chat/completions", Provider: "openai", Status: 200, Outcome: llmproxy.Complete,
			Request:  llmproxy.Message{ContentType: "application/json", Bytes: 2, Body: &llmproxy.Body{Head: []byte(`{"model":"m","messages":[{"role":"user","content":"canary"}]}`), Size: 60}},
			Response: llmproxy.Message{ContentType: "application/json", Bytes: 2, Body: &llmproxy.Body{Head: []byte(`{"choices":[{"message":{"role":"assistant","content":"ok"}}]}`), Size: 60}},
		}
		change(e)
		return `{"detail":` + string(e.AppendJSON(nil)) + `}`
	}
	whole := event(func(*llmproxy.Event) {})
	deliver := func(t *testing.T, body string, environ ...string) string {
		usual := []string{"LLM_PROXY_QUEUE=" + aws.URL + "/1/usual-queue", "LLM_PROXY_DEAD_LETTERS=" + aws.URL + "/1/usual-dead", "LLM_PROXY_EVENT_BUCKET=usual-bodies"}
		d, err := join(append(usual, environ...))
		require.NoError(t, err)
		_, err = d.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1", Body: body}}})
		require.NoError(t, err)
		return aws.Heard()
	}
	// changes is the row of a setting whose value is heard by the destination.
	changes := func(value string, destination ...string) func(*testing.T) {
		return func(t *testing.T) {
			require.NotContains(t, deliver(t, whole, destination...), value)
			name := t.Name()[len("TestEachSettingChangesSomething/"):]
			require.Contains(t, deliver(t, whole, append(destination, name+"="+value)...), value)
		}
	}
	// leads is the row of a setting that names where to.
	leads := func(destination ...string) func(*testing.T) {
		return func(t *testing.T) {
			name := t.Name()[len("TestEachSettingChangesSomething/"):]
			require.Contains(t, deliver(t, whole, append(destination, name+"="+aws.URL+"/elsewhere")...), "/elsewhere")
		}
	}
	s3 := []string{"LLM_PROXY_DESTINATION=s3", "LLM_PROXY_S3_BUCKET=usual-bucket"}
	cloudwatch := []string{"LLM_PROXY_DESTINATION=cloudwatch", "LLM_PROXY_LOG_GROUP=usual-group"}
	helicone := []string{"LLM_PROXY_DESTINATION=helicone", "HELICONE_API_KEY=sk-fake-usual", "LLM_PROXY_HELICONE_URL=" + aws.URL}
	lunary := []string{"LLM_PROXY_DESTINATION=lunary", "LUNARY_PUBLIC_KEY=fake-usual", "LLM_PROXY_LUNARY_URL=" + aws.URL}
	webhook := []string{"LLM_PROXY_DESTINATION=webhook", "LLM_PROXY_WEBHOOK_URL=" + aws.URL}
	effects.Each[settings](t, map[string]func(*testing.T){
		"LLM_PROXY_DESTINATION": func(t *testing.T) {
			require.Contains(t, deliver(t, whole, s3...), "PUT /usual-bucket/events/")
			require.Contains(t, deliver(t, whole, webhook...), "POST /\n")
			_, err := join([]string{"LLM_PROXY_DESTINATION=none", "LLM_PROXY_QUEUE=x", "LLM_PROXY_DEAD_LETTERS=x", "LLM_PROXY_EVENT_BUCKET=x"})
			require.ErrorContains(t, err, "none")
		},
		"LLM_PROXY_QUEUE": func(t *testing.T) { // what fails is hidden there
			refused := append(webhook, "LLM_PROXY_WEBHOOK_URL=http://127.0.0.1:1")
			require.Contains(t, deliver(t, whole, refused...), "/1/usual-queue")
			require.Contains(t, deliver(t, whole, append(refused, "LLM_PROXY_QUEUE="+aws.URL+"/1/other-queue")...), "/1/other-queue")
		},
		"LLM_PROXY_DISPATCHER_PAUSE": func(t *testing.T) {
			refused := append(webhook, "LLM_PROXY_WEBHOOK_URL=http://127.0.0.1:1")
			require.Contains(t, deliver(t, whole, refused...), `"VisibilityTimeout":60`)
			require.Contains(t, deliver(t, whole, append(refused, "LLM_PROXY_DISPATCHER_PAUSE=7s")...), `"VisibilityTimeout":7`)
		},
		"LLM_PROXY_DESTINATION_SECRET": func(t *testing.T) {
			aws.Answers["GetSecretValue"] = `{"SecretString":"{\"LLM_PROXY_WEBHOOK_AUTHORIZATION\":\"Bearer fake-kept\"}"}`
			require.NotContains(t, deliver(t, whole, webhook...), "fake-kept")
			require.Contains(t, deliver(t, whole, append(webhook, "LLM_PROXY_DESTINATION_SECRET=other-secret")...), "fake-kept")
		},
		"LLM_PROXY_DEAD_LETTERS": func(t *testing.T) {
			require.Contains(t, deliver(t, "junk", s3...), "/1/usual-dead")
			require.Contains(t, deliver(t, "junk", append(s3, "LLM_PROXY_DEAD_LETTERS="+aws.URL+"/1/other-dead")...), "/1/other-dead")
		},
		"LLM_PROXY_EVENT_BUCKET": func(t *testing.T) {
			claimed := event(func(e *llmproxy.Event) { e.Request.Body = &llmproxy.Body{S3: "events/2026/11/22/x.json", Size: 9} })
			withBodies := append(s3, "LLM_PROXY_DISPATCHER_BODIES=true")
			require.Contains(t, deliver(t, claimed, withBodies...), "GET /usual-bodies/events/2026/11/22/x.json")
			require.Contains(t, deliver(t, claimed, append(withBodies, "LLM_PROXY_EVENT_BUCKET=other-bodies")...), "GET /other-bodies/events/2026/11/22/x.json")
		},
		"LLM_PROXY_DISPATCHER_BODIES": func(t *testing.T) {
			for _, destination := range [][]string{s3, cloudwatch, webhook} {
				require.NotContains(t, deliver(t, whole, destination...), "canary", destination)
				require.Contains(t, deliver(t, whole, append(destination, "LLM_PROXY_DISPATCHER_BODIES=true")...), "canary", destination)
			}
		},
		"LLM_PROXY_LOG_LEVEL": func(t *testing.T) {
			require.Contains(t, effects.Logged(t, func() { deliver(t, "junk", s3...) }), `"level":"warn"`)
			require.Empty(t, effects.Logged(t, func() { deliver(t, "junk", append(s3, "LLM_PROXY_LOG_LEVEL=error")...) }))
		},
		"LLM_PROXY_DELIVERY_NAMESPACE": func(t *testing.T) {
			require.Empty(t, effects.Printed(t, func() { deliver(t, whole, s3...) }))
			require.Contains(t, effects.Printed(t, func() { deliver(t, whole, append(s3, "LLM_PROXY_DELIVERY_NAMESPACE=Other/Space")...) }), "Other/Space")
		},
		"LLM_PROXY_S3_BUCKET":             changes("other-bucket", s3...),
		"LLM_PROXY_S3_PREFIX":             changes("other-prefix", s3...),
		"LLM_PROXY_LOG_GROUP":             changes("other-group", cloudwatch...),
		"LLM_PROXY_LOG_STREAM":            changes("other-stream", cloudwatch...),
		"LLM_PROXY_METRICS_NAMESPACE":     changes("OtherSpace", cloudwatch...),
		"HELICONE_API_KEY":                changes("sk-fake-other", helicone...),
		"LLM_PROXY_HELICONE_URL":          leads(helicone...),
		"LUNARY_PUBLIC_KEY":               changes("fake-other", lunary...),
		"LLM_PROXY_LUNARY_URL":            leads(lunary...),
		"LLM_PROXY_WEBHOOK_URL":           leads(webhook...),
		"LLM_PROXY_WEBHOOK_AUTHORIZATION": changes("Bearer fake-other", webhook...),
		"LLM_PROXY_WEBHOOK_AUDIT": func(t *testing.T) {
			entry := llmproxy.AuditEntry{
				ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(now)}, Time: now, Action: "project.create", Outcome: llmproxy.AuditDone, Actor: llmproxy.Actor{Name: "token"},
			}
			audit := `{"detail-type":"audit","detail":` + string(entry.AppendJSON(nil)) + `}`
			require.Empty(t, deliver(t, audit, webhook...))
			require.Contains(t, deliver(t, audit, append(webhook, "LLM_PROXY_WEBHOOK_AUDIT=true")...), "project.create")
		},
		"LLM_PROXY_WEBHOOK_SECRET": func(t *testing.T) {
			require.NotContains(t, deliver(t, whole, webhook...), "Webhook-Signature")
			require.Contains(t, deliver(t, whole, append(webhook, "LLM_PROXY_WEBHOOK_SECRET=fake-signing-secret")...), "Webhook-Signature")
		},
		"LLM_PROXY_LEDGER_TABLE": changes("other-table", "LLM_PROXY_DESTINATION=ledger", "LLM_PROXY_LEDGER_TABLE=usual-table"),
		"LLM_PROXY_TARGET_BUS":   changes("other-target", "LLM_PROXY_DESTINATION=eventbridge", "LLM_PROXY_TARGET_BUS=usual-target"),
	})
}
