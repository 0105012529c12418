// Package rotate looks after the sealing secret of a stack: it derives the public key that management seals with, makes a new secret when
// that is asked for, and seals all provider keys anew. While it works every key opens: the proxy reads the current secret and the one
// before it.
package rotate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

// Secrets is what is asked of AWS Secrets Manager.
type Secrets interface {
	seal.SecretsManager
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

// Store has the projects. Its methods are those of management.
type Store interface {
	Projects(ctx context.Context, f llmproxy.ProjectFilter, page llmproxy.Page) (projects []llmproxy.Project, more bool, err error)
	UpdateProject(ctx context.Context, id llmproxy.ProjectID, change func(p *llmproxy.Project) (llmproxy.AuditEntry, error)) (llmproxy.Project, error)
}

// Config joins the parts of a [Keeper]. All of them are required but Log.
type Config struct {
	Secrets  Secrets
	SecretID string // name or ARN of the sealing secret
	Store    Store
	Log      *zap.Logger // nil logs nothing
}

// Keeper looks after a sealing secret.
type Keeper struct{ cfg Config }

// New returns a keeper. It does no I/O.
func New(cfg Config) *Keeper {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Keeper{cfg: cfg}
}

// PublicKey derives the public key of the current secret.
func (k *Keeper) PublicKey(ctx context.Context) (string, error) {
	out, err := k.cfg.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &k.cfg.SecretID})
	if err != nil {
		return "", fmt.Errorf("read the sealing secret: %w", err)
	}
	return seal.PublicKey(llmproxy.NewSecret(aws.ToString(out.SecretString)))
}

// Rotate makes a new sealing secret and seals all provider keys anew. It is for one purpose once, however often it is asked: what names
// the purpose, such as a stack and the version it asks for, and a repetition goes on where the one before it was broken off.
func (k *Keeper) Rotate(ctx context.Context, purpose string) error {
	// A secret keeps two versions, so whatever is still sealed to the older has to leave it first.
	if err := k.SealAll(ctx); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(purpose))
	version := fmt.Sprintf("%x", sum[:16]) // 32 characters at least
	_, err := k.cfg.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &k.cfg.SecretID, VersionId: &version})
	var none *types.ResourceNotFoundException
	switch {
	case err == nil: // made before
		return nil
	case !errors.As(err, &none):
		return fmt.Errorf("look for the new sealing secret: %w", err)
	}
	if _, err := k.cfg.Secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &k.cfg.SecretID, SecretString: aws.String(seal.NewSecret().Reveal()), ClientRequestToken: &version,
	}); err != nil {
		return fmt.Errorf("store the new sealing secret: %w", err)
	}
	return k.SealAll(ctx)
}

// pageSize is how many projects are listed at once.
const pageSize = 100

// errDone leaves a project as it is.
var errDone = errors.New("sealed to the current key already")

// SealAll seals the provider keys anew that are not sealed to the current key.
func (k *Keeper) SealAll(ctx context.Context) error {
	public, err := k.PublicKey(ctx)
	if err != nil {
		return err
	}
	sealer, err := seal.NewSealer(public)
	if err != nil {
		return err
	}
	opener := seal.NewOpener(seal.FromSecretsManager(k.cfg.Secrets, k.cfg.SecretID))
	var failed error
	sealed := 0
	for page := (llmproxy.Page{Limit: pageSize}); ; {
		projects, more, err := k.cfg.Store.Projects(ctx, llmproxy.ProjectFilter{}, page)
		if err != nil {
			return fmt.Errorf("list projects: %w", err)
		}
		for i := range projects {
			did, err := sealAnew(ctx, k.cfg.Store, opener, sealer, projects[i].ID)
			if err != nil {
				failed = errors.Join(failed, err) // the others are sealed all the same
			}
			if did {
				sealed++
			}
		}
		if !more {
			break
		}
		page.After = projects[len(projects)-1].ID.UUID
	}
	k.cfg.Log.Info("provider keys are sealed to the current key", zap.Int("sealed_anew", sealed), zap.Error(failed))
	return failed
}

// sealAnew seals a project's key to the current public key, and reports whether it had to.
func sealAnew(ctx context.Context, store Store, opener *seal.Opener, sealer *seal.Sealer, id llmproxy.ProjectID) (bool, error) {
	_, err := store.UpdateProject(ctx, id, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		if p.SealedKey == "" || sealer.Sealed(p.SealedKey) {
			return llmproxy.AuditEntry{}, errDone
		}
		key, err := opener.Open(ctx, p)
		if err != nil {
			return llmproxy.AuditEntry{}, err
		}
		if p.SealedKey, err = sealer.Seal(p.ID, p.Provider, key); err != nil {
			return llmproxy.AuditEntry{}, err
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		return llmproxy.AuditEntry{
			ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(now)}, Time: now, Action: "project.seal", Outcome: llmproxy.AuditDone,
			Actor: llmproxy.Actor{Name: "setup"}, ProjectID: p.ID,
		}, nil
	})
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errDone), errors.Is(err, llmproxy.ErrNotFound): // deleted meanwhile
		return false, nil
	}
	return false, fmt.Errorf("seal the key of project %s anew: %w", id, err)
}
