package secret

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// vault is Secrets Manager with one secret.
type vault struct {
	text  string
	err   error
	reads int
}

func (v *vault) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	v.reads++
	if *in.SecretId != "operators" {
		return nil, errors.New("no such secret")
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.text}, v.err
}

func length(text string) (int, error) {
	if text == "" {
		return 0, errors.New("it is empty")
	}
	return len(text), nil
}

func TestASecretIsReadAgainAfterFiveMinutes(t *testing.T) {
	now := time.Unix(0, 0)
	store := &vault{text: "four"}
	v := &Value[int]{Reader: store, ID: "operators", Make: length, Now: func() time.Time { return now }}
	for range 3 {
		got, err := v.Current(t.Context())
		require.NoError(t, err)
		require.Equal(t, 4, got)
	}
	require.Equal(t, 1, store.reads)
	store.text = "eleven more"
	now = now.Add(fresh - time.Second)
	got, err := v.Current(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, got)
	now = now.Add(time.Second)
	got, err = v.Current(t.Context())
	require.NoError(t, err)
	require.Equal(t, 11, got)
}

func TestASecretThatCannotBeReadIsAskedForOnceASecond(t *testing.T) {
	for name, store := range map[string]*vault{"down": {err: errors.New("throttled")}, "of no use": {text: ""}} {
		now := time.Unix(0, 0)
		v := &Value[int]{Reader: store, ID: "operators", Make: length, Now: func() time.Time { return now }}
		for range 3 {
			_, err := v.Current(t.Context())
			require.ErrorIs(t, err, llmproxy.ErrUnavailable, name)
			require.ErrorContains(t, err, "operators", name)
		}
		require.Equal(t, 1, store.reads, name)
		store.text, store.err = "four", nil
		now = now.Add(askAgain)
		got, err := v.Current(t.Context())
		require.NoError(t, err, name)
		require.Equal(t, 4, got, name)
	}
}
