package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

const fakeToken = "fake-management-token-of-32-characters"

type vault struct {
	value string
	err   error
	reads int
}

func (v *vault) GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.reads++
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.value}, v.err
}

func request(credential string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/manage/info", nil)
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	return r
}

func TestTheTokenOfTheSecretAuthenticates(t *testing.T) {
	v := &vault{value: `{"management_token":"` + fakeToken + `"}`}
	o := newOperators(v, "operators")
	actor, err := o.Authenticate(request("Bearer " + fakeToken))
	require.NoError(t, err)
	require.Equal(t, "token", actor)
	_, err = o.Authenticate(request("Bearer " + fakeToken + "x"))
	require.Error(t, err)
	require.NotErrorIs(t, err, llmproxy.ErrUnavailable)
	require.Equal(t, 1, v.reads, "the secret is not read for each request")
}

func TestWhoComesWithoutACredentialCausesNoRead(t *testing.T) {
	v := &vault{}
	_, err := newOperators(v, "operators").Authenticate(request(""))
	require.ErrorIs(t, err, manage.ErrNoCredential)
	require.Zero(t, v.reads)
}

func TestWhereTheSecretCannotBeReadNobodyIsRefusedForGood(t *testing.T) {
	for name, v := range map[string]*vault{
		"down":      {err: errors.New("throttled")},
		"empty":     {},
		"no JSON":   {value: fakeToken},
		"no token":  {value: "{}"},
		"too short": {value: `{"management_token":"short"}`},
	} {
		_, err := newOperators(v, "operators").Authenticate(request("Bearer " + fakeToken))
		require.ErrorIs(t, err, llmproxy.ErrUnavailable, name)
		require.NotContains(t, err.Error(), fakeToken, name)
	}
}

func TestTheSettingsOfDevelopmentWin(t *testing.T) {
	a, err := (&settings{ManagementToken: fakeToken, OperatorsSecret: "operators"}).bearer(&vault{err: errors.New("never asked")})
	require.NoError(t, err)
	_, err = a.Authenticate(request("Bearer " + fakeToken))
	require.NoError(t, err)
	_, err = (&settings{}).bearer(nil)
	require.ErrorContains(t, err, "LLM_PROXY_OPERATORS_SECRET")
}

func TestAllThatIsMissingIsNamedAtOnce(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1") // as Lambda does
	_, _, err := join([]string{"LLM_PROXY_TOKENS_TABLE=", "LLM_PROXY_LOG_LEVEL=loud"})
	for _, name := range []string{"LLM_PROXY_TOKENS_TABLE", "LLM_PROXY_CONTROL_TABLE", "LLM_PROXY_EVENT_BUS", "LLM_PROXY_SEALING_PUBLIC_KEY", "LLM_PROXY_KEYS_PREFIX", "LogLevel"} {
		require.ErrorContains(t, err, name)
	}
	complete := []string{"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_KEYS_PREFIX=k/", "LLM_PROXY_EVENT_BUS=events", "MANAGEMENT_TOKEN=" + fakeToken, "AWS_REGION=us-east-1"}
	_, _, err = join(append(complete, "LLM_PROXY_SEALING_PUBLIC_KEY=junk"))
	require.ErrorContains(t, err, "sealing public key")
	_, _, err = join(append(complete, "LLM_PROXY_SEALING_PUBLIC_KEY=3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08", "LLM_PROXY_PROVIDERS=/not/there.yaml"))
	require.ErrorContains(t, err, "not/there.yaml")
	complete = append(complete, "LLM_PROXY_SEALING_PUBLIC_KEY=3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08")
	_, _, err = join(append(complete, "ADMIN_PASSWORD=short-one"))
	require.ErrorContains(t, err, "12 characters")
	for _, site := range []string{"ADMIN_PASSWORD=fake-password-1234", "LLM_PROXY_ADMIN_SECRET=admin"} {
		h, _, err := join(append(complete, site))
		require.NoError(t, err, site)
		h.Close()
	}
	h, _, err := join(complete)
	require.NoError(t, err)
	h.Close()
}

// TestACookieIsAskedAboutWhereThereIsASite: without one nobody reads a secret because of it.
func TestACookieIsAskedAboutWhereThereIsASite(t *testing.T) {
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1") // nobody: what is asked there fails
	for setting, want := range map[string]int{"LLM_PROXY_ADMIN_SECRET=": http.StatusUnauthorized, "LLM_PROXY_ADMIN_SECRET=admin": http.StatusServiceUnavailable} {
		h, _, err := join([]string{
			"LLM_PROXY_TOKENS_TABLE=t", "LLM_PROXY_EVENT_BUS=events", "LLM_PROXY_CONTROL_TABLE=c", "LLM_PROXY_KEYS_PREFIX=k/", "MANAGEMENT_TOKEN=" + fakeToken, "AWS_REGION=us-east-1",
			"LLM_PROXY_SEALING_PUBLIC_KEY=3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08", setting,
		})
		require.NoError(t, err)
		defer h.Close()
		r := request("")
		r.Header.Set("Cookie", "llmp_session=fake")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, setting)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, request("Bearer "+fakeToken))
		require.Equal(t, http.StatusOK, w.Code, "the management token works all the same: %s", w.Body)
	}
}
