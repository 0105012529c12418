package seal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// SecretsManager is what is asked of AWS Secrets Manager.
type SecretsManager interface {
	GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Stages of a secret's versions.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// FromSecretsManager reads the sealing secret of that name or ARN: its current version, and the one before where there is one.
func FromSecretsManager(client SecretsManager, secretID string) Secrets {
	return func(ctx context.Context) ([]llmproxy.Secret, error) {
		newest, err := getSecret(ctx, client, secretID, current)
		if err != nil {
			return nil, err
		}
		before, err := getSecret(ctx, client, secretID, previous)
		var none *types.ResourceNotFoundException
		switch {
		case errors.As(err, &none): // never rotated
			return []llmproxy.Secret{newest}, nil
		case err != nil:
			return nil, err
		}
		return []llmproxy.Secret{newest, before}, nil
	}
}

// ReferencesIn reads the secrets that projects name, all of which begin with prefix: no project can name another secret of the account.
func ReferencesIn(client SecretsManager, prefix string) References {
	return func(ctx context.Context, name string) (llmproxy.Secret, error) {
		if !strings.HasPrefix(name, prefix) || name == prefix {
			return llmproxy.Secret{}, fmt.Errorf("only secrets whose names begin with %s can be referred to", prefix)
		}
		return getSecret(ctx, client, name, current)
	}
}

func getSecret(ctx context.Context, client SecretsManager, id, stage string) (llmproxy.Secret, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionStage: aws.String(stage)})
	if err != nil {
		return llmproxy.Secret{}, err
	}
	value := strings.TrimSpace(aws.ToString(out.SecretString))
	if value == "" {
		return llmproxy.Secret{}, fmt.Errorf("the secret's version %s has no text", stage)
	}
	return llmproxy.NewSecret(value), nil
}
