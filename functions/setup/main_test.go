package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

const fakeSecret = "fake-sealing-secret-of-more-than-32-bytes"

// cloud plays Secrets Manager, and DynamoDB without a project.
type cloud struct {
	mu     sync.Mutex
	values map[string]string // by version
	newest string
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch r.Header.Get("X-Amz-Target") {
	case "secretsmanager.GetSecretValue":
		version := gjson.GetBytes(body, "VersionId").Str
		if version == "" {
			version = c.newest
		}
		value, ok := c.values[version]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": value})
	case "secretsmanager.PutSecretValue":
		c.newest = gjson.GetBytes(body, "ClientRequestToken").Str
		c.values[c.newest] = gjson.GetBytes(body, "SecretString").Str
		_, _ = io.WriteString(w, `{}`)
	case "DynamoDB_20120810.Query":
		_, _ = io.WriteString(w, `{"Items":[],"Count":0,"ScannedCount":0}`)
	default:
		http.Error(w, r.Header.Get("X-Amz-Target"), http.StatusNotImplemented)
	}
}

func start(t *testing.T) (*cloud, cfn.CustomResourceFunction) {
	c := &cloud{values: map[string]string{"first": fakeSecret}, newest: "first"}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	return c, resource([]string{"LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_SEALING_SECRET=sealing"}, nil)
}

func version(v any) map[string]any { return map[string]any{"SealingKeyVersion": v} }

func TestTheLifeOfTheResource(t *testing.T) {
	c, set := start(t)
	want, err := seal.PublicKey(llmproxy.NewSecret(fakeSecret))
	require.NoError(t, err)
	id, data, err := set(t.Context(), cfn.Event{RequestType: cfn.RequestCreate, StackID: "stack", ResourceProperties: version("1")})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"PublicKey": want}, data)

	update := func(from, to string) string {
		again, data, err := set(t.Context(), cfn.Event{
			RequestType: cfn.RequestUpdate, StackID: "stack", PhysicalResourceID: id, ResourceProperties: version(to), OldResourceProperties: version(from),
		})
		require.NoError(t, err)
		require.Equal(t, id, again, "another id would be another resource")
		return data["PublicKey"].(string)
	}
	require.Equal(t, want, update("1", "1"))
	raised := update("1", "2")
	require.NotEqual(t, want, raised)
	require.Equal(t, raised, update("1", "2"), "a repetition changes nothing")
	require.Equal(t, raised, update("2", "1"), "and neither does a rollback")
	require.Len(t, c.values, 2)

	gone, _, err := set(t.Context(), cfn.Event{RequestType: cfn.RequestDelete, PhysicalResourceID: id})
	require.NoError(t, err)
	require.Equal(t, id, gone)
}

func TestWhatCannotBeDoneIsTold(t *testing.T) {
	_, set := start(t)
	for _, wrong := range []any{nil, "", "none", "0"} {
		_, _, err := set(t.Context(), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: version(wrong)})
		require.ErrorContains(t, err, "SealingKeyVersion")
	}
	unset := resource(nil, nil)
	_, _, err := unset(t.Context(), cfn.Event{RequestType: cfn.RequestCreate, ResourceProperties: version("1")})
	for _, name := range []string{"LLM_PROXY_CONTROL_TABLE", "LLM_PROXY_SEALING_SECRET"} {
		require.ErrorContains(t, err, name)
	}
	_, _, err = unset(t.Context(), cfn.Event{RequestType: cfn.RequestDelete})
	require.NoError(t, err, "a stack that never came up can be deleted")
}
