package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

// cloud is how a server reaches the AWS account of its stack.
type cloud struct{ config aws.Config }

// openCloud finds region and credentials as the AWS CLI does. It is nil for a server that keeps everything on its machine. Nothing is
// asked over the network yet.
func openCloud(ctx context.Context, s *settings) (*cloud, error) {
	if s.Store != storeDynamoDB && s.Bus != busEventBridge && s.LedgerTable == "" {
		return nil, nil
	}
	c, err := awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return &cloud{config: c}, nil
}

// region is that of the stack; empty without one.
func (c *cloud) region() string {
	if c == nil {
		return ""
	}
	return c.config.Region
}

// keyring works with the stack's sealing secret. It begins to read it, and does not wait for it.
func (c *cloud) keyring(ctx context.Context, s *settings, log *zap.Logger, closers *closers) keyring {
	client := secretsmanager.NewFromConfig(c.config)
	secrets := seal.FromSecretsManager(client, s.SealingSecret)
	keys := seal.Config{Secrets: secrets, Log: log}
	if s.KeysPrefix != "" {
		keys.References = seal.ReferencesIn(client, s.KeysPrefix)
	}
	opener := seal.New(keys)
	closers.run(ctx, func(ctx context.Context) {
		if err := opener.Warm(ctx); err != nil && ctx.Err() == nil {
			log.Warn("the sealing secret cannot be read yet, it is tried again when a key is needed", zap.Error(err))
		}
	})
	return keyring{sealer: &secretSealer{secrets}, opener: opener}
}

// secretSealer seals with the newest version of a secret. It reads the secret each time: provider keys are set rarely, and one that was
// sealed with a version that has just been replaced would be lost at the next replacement.
type secretSealer struct{ secrets seal.Secrets }

// sealPatience is how long reading the secret may take.
const sealPatience = 5 * time.Second

// Seal implements [manage.Sealer].
func (s *secretSealer) Seal(project llmproxy.ProjectID, provider string, key llmproxy.Secret) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sealPatience)
	defer cancel()
	all, err := s.secrets(ctx)
	if err != nil {
		return "", fmt.Errorf("read the sealing secret: %w: %w", llmproxy.ErrUnavailable, err)
	}
	public, err := seal.PublicKey(all[0])
	if err != nil {
		return "", fmt.Errorf("the sealing secret: %w", err)
	}
	sealer, err := seal.NewSealer(public)
	if err != nil {
		return "", err
	}
	return sealer.Seal(project, provider, key)
}
