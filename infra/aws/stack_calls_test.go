//go:build linux

package aws

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func readAll(r *http.Response) string {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return "the answer broke off: " + err.Error()
	}
	return string(text)
}

// cloudFormation calls its API, which is a form and XML.
func (e *emulator) cloudFormation(action, stack string) answer {
	e.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-15"}, "StackName": {stack}}
	r, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.url, strings.NewReader(form.Encode()))
	require.NoError(e.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261122/us-east-1/cloudformation/aws4_request, SignedHeaders=host, Signature=fake")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(e.t, err)
	defer func() { _ = resp.Body.Close() }()
	return answer{resp.StatusCode, readAll(resp), resp.Header}
}

// outputs are those of a stack.
func (e *emulator) outputs(stack string) map[string]string {
	e.t.Helper()
	a := e.cloudFormation("DescribeStacks", stack)
	require.Equal(e.t, http.StatusOK, a.status, a.body)
	out := map[string]string{}
	for _, member := range strings.Split(a.body, "<OutputKey>")[1:] {
		key, rest, _ := strings.Cut(member, "</OutputKey>")
		_, rest, _ = strings.Cut(rest, "<OutputValue>")
		out[key], _, _ = strings.Cut(rest, "</OutputValue>")
	}
	require.NotEmpty(e.t, out, a.body)
	return out
}

// samDelete deletes a stack as its owner does.
func (e *emulator) samDelete(stack string) {
	e.t.Helper()
	d := startDoor(e.t, e.url)
	said := e.samAt(d.URL, "delete", "--stack-name", stack, "--region", "us-east-1", "--no-prompts")
	require.Contains(e.t, said, "Deleted successfully")
	require.True(e.t, slices.ContainsFunc(d.asked(), func(c call) bool { return c.action() == "DeleteStack" }))
	gone := e.cloudFormation("DescribeStacks", stack)
	require.True(e.t, gone.status != http.StatusOK || strings.Contains(gone.body, "DELETE_COMPLETE"), gone.body)
}

// artifacts are what deployments have uploaded.
func (e *emulator) artifacts() (keys []string) {
	e.t.Helper()
	buckets, err := s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true }).ListBuckets(e.t.Context(), &s3.ListBucketsInput{})
	require.NoError(e.t, err)
	for _, b := range buckets.Buckets {
		if strings.HasPrefix(*b.Name, "aws-sam-cli-managed-default") {
			keys = append(keys, e.contents(*b.Name)...)
		}
	}
	return keys
}

func (e *emulator) secret(id, key string) string {
	e.t.Helper()
	out, err := secretsmanager.NewFromConfig(e.config()).GetSecretValue(e.t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
	require.NoError(e.t, err)
	var values map[string]string
	require.NoError(e.t, json.Unmarshal([]byte(*out.SecretString), &values))
	require.NotEmpty(e.t, values[key])
	return values[key]
}

func (e *emulator) tables() []string {
	e.t.Helper()
	out, err := dynamodb.NewFromConfig(e.config()).ListTables(e.t.Context(), &dynamodb.ListTablesInput{})
	require.NoError(e.t, err)
	return out.TableNames
}

// contents are the keys in a bucket, none if it is gone.
func (e *emulator) contents(bucket string) (keys []string) {
	e.t.Helper()
	client := s3.NewFromConfig(e.config(), func(o *s3.Options) { o.UsePathStyle = true })
	out, err := client.ListObjectsV2(e.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	var failed smithy.APIError
	if errors.As(err, &failed) && failed.ErrorCode() == "NoSuchBucket" {
		return nil
	}
	require.NoError(e.t, err)
	for _, o := range out.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// stack is the deployed one.
type stack struct {
	*emulator
	out   map[string]string
	token string // of management
}

// manage calls the management API.
func (s *stack) manage(method, path, body string, status int) gjson.Result {
	s.t.Helper()
	api, _, _ := strings.Cut(strings.TrimPrefix(s.out["ManageUrl"], "https://"), ".")
	a, err := s.ask(method, api+".execute-api.localhost:"+strings.TrimPrefix(s.host, "127.0.0.1:"), path, s.token, body)
	require.NoError(s.t, err)
	require.Equal(s.t, status, a.status, "%s %s: %s", method, path, a.body)
	return gjson.Parse(a.body)
}

// mint makes a project and a token of it.
func (s *stack) mint() (token, id string) {
	s.t.Helper()
	project := s.manage(http.MethodPost, "/manage/projects", `{"name":"first","api_key":"sk-fake-provider-key-1234"}`, http.StatusCreated).Get("project_id").Str
	minted := s.manage(http.MethodPost, "/manage/tokens", `{"project_id":"`+project+`","duration_minutes":60}`, http.StatusCreated)
	return minted.Get("token").Str, minted.Get("id").Str
}

// chat asks the function URL; demo is how the upstream is to misbehave.
func (s *stack) chat(token string, demo ...string) answer {
	s.t.Helper()
	base, err := url.Parse(s.out["BaseUrl"])
	require.NoError(s.t, err)
	a, err := s.ask(http.MethodPost, base.Host, base.Path+"/chat/completions", token, `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}`, demo...)
	require.NoError(s.t, err)
	return a
}

// chatID asks the function URL and returns the request's id.
func (s *stack) chatID(token string, demo ...string) string {
	s.t.Helper()
	a := s.chat(token, demo...)
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	return a.header.Get("X-Llm-Proxy-Request-Id")
}

// physical is what AWS calls a resource of the stack.
func (s *stack) physical(resource string) string {
	s.t.Helper()
	a := s.cloudFormation("DescribeStackResources", stackName)
	require.Equal(s.t, http.StatusOK, a.status, a.body)
	for _, member := range strings.Split(a.body, "<member>") {
		if !strings.Contains(member, "<LogicalResourceId>"+resource+"</LogicalResourceId>") {
			continue
		}
		_, rest, _ := strings.Cut(member, "<PhysicalResourceId>")
		id, _, _ := strings.Cut(rest, "</PhysicalResourceId>")
		return id
	}
	require.Fail(s.t, "the stack has no resource "+resource, a.body)
	return ""
}

// record waits for the record of a request in the bucket.
func (s *stack) record(id string) (record gjson.Result) {
	s.t.Helper()
	require.NotEmpty(s.t, id)
	client := s3.NewFromConfig(s.config(), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := s.out["EventBucketName"]
	s.await("the record of "+id, patience, func() error {
		objects, err := client.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: sdk.String("requests/")})
		if err != nil {
			return err
		}
		for _, o := range objects.Contents {
			object, err := client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				return err
			}
			z, err := gzip.NewReader(object.Body)
			if err != nil {
				return err
			}
			lines, err := io.ReadAll(z)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(lines)) {
				if gjson.Get(line, "id").Str == id {
					record = gjson.Parse(line)
					return nil
				}
			}
		}
		return fmt.Errorf("it is in none of %d objects", len(objects.Contents))
	})
	return record
}
