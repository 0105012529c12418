package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/stretchr/testify/require"
)

// bucket plays S3 with one bucket, two versions to a page.
type bucket struct {
	mu      sync.Mutex
	objects []string
	refuses bool
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.URL.Path != "/events" && r.URL.Path != "/events/":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Error><Code>NoSuchBucket</Code></Error>`)
	case r.URL.Query().Has("versions"):
		_, _ = fmt.Fprintf(w, `<ListVersionsResult><IsTruncated>%t</IsTruncated><NextKeyMarker>x</NextKeyMarker><NextVersionIdMarker>x</NextVersionIdMarker>`, len(b.objects) > 2)
		for i, key := range b.objects[:min(2, len(b.objects))] {
			kind := []string{"Version", "DeleteMarker"}[i%2]
			_, _ = fmt.Fprintf(w, `<%[1]s><Key>%[2]s</Key><VersionId>v</VersionId></%[1]s>`, kind, key)
		}
		_, _ = io.WriteString(w, `</ListVersionsResult>`)
	case r.Method == http.MethodPost && b.refuses:
		_, _ = io.WriteString(w, `<DeleteResult><Error><Key>a</Key><Message>not this one</Message></Error></DeleteResult>`)
	case r.Method == http.MethodPost:
		var in struct {
			Object []struct {
				Key       string
				VersionID string `xml:"VersionId"`
			}
		}
		if err := xml.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, o := range in.Object {
			if o.VersionID == "v" {
				b.objects = slices.DeleteFunc(b.objects, func(key string) bool { return key == o.Key })
			}
		}
		_, _ = io.WriteString(w, `<DeleteResult/>`)
	}
}

func TestTheBucketIsEmptiedWithTheStackWhereRetentionSaysSo(t *testing.T) {
	b := &bucket{objects: []string{"a", "b", "c", "d", "e"}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake",
	} {
		t.Setenv(name, value)
	}
	set := resource([]string{"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_SEALING_SECRET=sealing"}, nil)
	ask := func(kind cfn.RequestType, retention, name string) error {
		id, _, err := set(t.Context(), cfn.Event{
			RequestType: kind, ResourceType: "Custom::Contents", PhysicalResourceID: contentsID, ResourceProperties: map[string]any{"Bucket": name, "Retention": retention},
		})
		require.Equal(t, contentsID, id)
		return err
	}
	require.NoError(t, ask(cfn.RequestCreate, "Delete", "events"))
	require.NoError(t, ask(cfn.RequestUpdate, "Delete", "events"))
	require.NoError(t, ask(cfn.RequestDelete, "Retain", "events"))
	require.Len(t, b.objects, 5)
	b.refuses = true
	require.ErrorContains(t, ask(cfn.RequestDelete, "Delete", "events"), "delete a in events: not this one")
	b.refuses = false
	require.NoError(t, ask(cfn.RequestDelete, "Delete", "events"))
	require.Empty(t, b.objects)
	require.NoError(t, ask(cfn.RequestDelete, "Delete", "gone"), "a bucket that is gone is empty")
	require.ErrorContains(t, ask(cfn.RequestDelete, "Delete", ""), "Bucket")
}
