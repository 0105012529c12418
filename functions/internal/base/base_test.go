package base

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"
)

func TestAWSIsWhereTheEnvironmentSays(t *testing.T) {
	asked := map[string]*http.Request{}
	serve := func(name string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked[name] = r
			w.WriteHeader(http.StatusBadRequest)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEFAKEFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_SESSION_TOKEN": "fake-session",
		"AWS_ENDPOINT_URL": serve("usual"), "AWS_ENDPOINT_URL_DYNAMODB": serve("tables"),
	} {
		t.Setenv(name, value)
	}
	cfg, err := AWS()
	require.NoError(t, err)
	require.True(t, PathStyle(cfg))
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	_, err = eventbridge.NewFromConfig(cfg).ListEventBuses(t.Context(), nil)
	require.Error(t, err)
	_, err = dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil)
	require.Error(t, err)
	for name, service := range map[string]string{"usual": "events", "tables": "dynamodb"} {
		require.NotNil(t, asked[name], name)
		require.Contains(t, asked[name].Header.Get("Authorization"), "AKIAFAKEFAKEFAKEFAKE/")
		require.Contains(t, asked[name].Header.Get("Authorization"), "/eu-central-1/"+service+"/")
		require.Equal(t, "fake-session", asked[name].Header.Get("X-Amz-Security-Token"))
	}

	t.Setenv("AWS_REGION", "")
	_, err = AWS()
	require.ErrorContains(t, err, "AWS_REGION is not set")
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-1")
	t.Setenv("AWS_ENDPOINT_URL", "")
	cfg, err = AWS()
	require.NoError(t, err)
	require.Equal(t, "eu-west-1", cfg.Region)
	require.False(t, PathStyle(cfg), "on AWS the bucket is a host")
}

func TestSettingsThatAreMissingOrWrongAreNamedInOneError(t *testing.T) {
	type settings struct {
		A string        `env:"A,notEmpty"`
		B string        `env:"B,notEmpty"`
		L zapcore.Level `env:"L" envDefault:"info"`
	}
	_, err := Settings[settings]([]string{"L=loud"})
	for _, word := range []string{`"A"`, `"B"`, "loud"} {
		require.ErrorContains(t, err, word)
	}
	s, err := Settings[settings]([]string{"A=1", "B=2"})
	require.NoError(t, err)
	require.Equal(t, settings{A: "1", B: "2"}, s)
}

func TestTheLogTakesWhatIsSevereEnough(t *testing.T) {
	log, err := Log(zapcore.WarnLevel)
	require.NoError(t, err)
	require.False(t, log.Core().Enabled(zapcore.InfoLevel))
	require.True(t, log.Core().Enabled(zapcore.WarnLevel))
}

func TestProvidersAreBuiltInOrThoseOfAFile(t *testing.T) {
	set, err := Providers("")
	require.NoError(t, err)
	require.Equal(t, "openai", set.Default)
	_, err = Providers("/none.yaml")
	require.ErrorContains(t, err, "/none.yaml")
	require.True(t, strings.HasPrefix(set.Providers["openai"].BaseURL.String(), "https://"))
}
