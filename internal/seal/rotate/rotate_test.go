package rotate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/seal/rotate"
	"github.com/sofatutor/llm-proxy/internal/store/sqlite"
)

// vault keeps the versions of one secret as Secrets Manager does: two of them have a stage.
type vault struct {
	values []string // oldest first
	ids    []string
	putErr error
}

func (v *vault) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	at := len(v.values) - 1
	switch {
	case in.VersionId != nil:
		for at = len(v.ids) - 1; at >= 0 && v.ids[at] != *in.VersionId; at-- { //nolint:revive // looks for it
		}
	case aws.ToString(in.VersionStage) == "AWSPREVIOUS":
		at--
	}
	if at < 0 {
		return nil, &types.ResourceNotFoundException{}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &v.values[at]}, nil
}

func (v *vault) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	if v.putErr != nil {
		return nil, v.putErr
	}
	v.values, v.ids = append(v.values, *in.SecretString), append(v.ids, *in.ClientRequestToken)
	return &secretsmanager.PutSecretValueOutput{}, nil
}

// rig is a keeper with a vault and a store.
type rig struct {
	*rotate.Keeper
	t     *testing.T
	vault *vault
	store *sqlite.Store
}

func start(t *testing.T) *rig {
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/db"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	v := &vault{values: []string{"fake-sealing-secret-of-more-than-32-bytes"}, ids: []string{"first"}}
	return &rig{Keeper: rotate.New(rotate.Config{Secrets: v, SecretID: "sealing", Store: store}), t: t, vault: v, store: store}
}

// add stores a project with a key, sealed to the current public key.
func (r *rig) add(key string) llmproxy.ProjectID {
	public, err := r.PublicKey(r.t.Context())
	require.NoError(r.t, err)
	sealer, err := seal.NewSealer(public)
	require.NoError(r.t, err)
	now := time.Now()
	p := llmproxy.Project{ID: llmproxy.NewProjectID(now), Name: "p", Provider: "openai", CreatedAt: now, UpdatedAt: now, Revision: 1}
	if key != "" {
		p.SealedKey, err = sealer.Seal(p.ID, p.Provider, llmproxy.NewSecret(key))
		require.NoError(r.t, err)
	} else {
		p.KeyRef = "stack/keys/a"
	}
	require.NoError(r.t, r.store.CreateProject(r.t.Context(), p, llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(now)}, Time: now, Action: "project.create"}))
	return p.ID
}

// open opens a project's key as the proxy does.
func (r *rig) open(id llmproxy.ProjectID) (string, llmproxy.Project) {
	p, err := r.store.Project(r.t.Context(), id)
	require.NoError(r.t, err)
	key, err := seal.NewOpener(seal.FromSecretsManager(r.vault, "sealing")).Open(r.t.Context(), &p)
	require.NoError(r.t, err)
	return key.Reveal(), p
}

func TestEveryKeyOpensAfterRotations(t *testing.T) {
	r := start(t)
	var ids []llmproxy.ProjectID
	for range 101 {
		ids = append(ids, r.add("sk-fake-1"))
	}
	before, err := r.PublicKey(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.Rotate(t.Context(), "stack version 2"))
	require.NoError(t, r.Rotate(t.Context(), "stack version 3"))
	require.Len(t, r.vault.values, 3)
	after, err := r.PublicKey(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	sealer, err := seal.NewSealer(after)
	require.NoError(t, err)
	for _, id := range ids {
		key, p := r.open(id)
		require.Equal(t, "sk-fake-1", key)
		require.True(t, sealer.Sealed(p.SealedKey))
	}
	entries, _, err := r.store.Audit(t.Context(), llmproxy.AuditFilter{Action: "project.seal"}, llmproxy.Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "setup", entries[0].Actor.Name)
}

func TestARotationHappensOnceHoweverOftenItIsAsked(t *testing.T) {
	r := start(t)
	id := r.add("sk-fake-1")
	require.NoError(t, r.Rotate(t.Context(), "stack version 2"))
	_, p := r.open(id)
	require.NoError(t, r.Rotate(t.Context(), "stack version 2"))
	require.Len(t, r.vault.values, 2)
	_, again := r.open(id)
	require.Equal(t, p.Revision, again.Revision, "what is sealed to the current key stays as it is")
}

func TestARotationThatWasBrokenOffGoesOn(t *testing.T) {
	r := start(t)
	id := r.add("sk-fake-1")
	r.vault.putErr = errors.New("throttled")
	require.ErrorContains(t, r.Rotate(t.Context(), "v2"), "store the new sealing secret: throttled")
	r.vault.putErr = nil
	require.NoError(t, r.Rotate(t.Context(), "v2"))

	// A key that was sealed to the old one by a function that had not heard of the new one.
	late := r.add("sk-fake-2")
	require.NoError(t, r.Rotate(t.Context(), "v3"))
	require.NoError(t, r.Rotate(t.Context(), "v4"))
	for id, want := range map[llmproxy.ProjectID]string{id: "sk-fake-1", late: "sk-fake-2"} {
		key, _ := r.open(id)
		require.Equal(t, want, key)
	}
}

func TestProjectsThatNameASecretAreLeftAlone(t *testing.T) {
	r := start(t)
	id := r.add("")
	require.NoError(t, r.Rotate(t.Context(), "v2"))
	p, err := r.store.Project(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, p.SealedKey)
	require.Equal(t, int64(1), p.Revision)
}

func TestAKeyThatDoesNotOpenStopsTheRotationAndHarmsNoOther(t *testing.T) {
	r := start(t)
	good, bad := r.add("sk-fake-1"), r.add("sk-fake-2")
	_, err := r.store.UpdateProject(t.Context(), bad, func(p *llmproxy.Project) (llmproxy.AuditEntry, error) {
		p.SealedKey = "v1.unknown.AAAA"
		return llmproxy.AuditEntry{ID: llmproxy.AuditID{UUID: llmproxy.NewUUID(time.Now())}, Time: time.Now(), Action: "damage"}, nil
	})
	require.NoError(t, err)
	require.ErrorContains(t, r.Rotate(t.Context(), "v2"), bad.String())
	require.Len(t, r.vault.values, 1, "no new secret, or the damaged key could never be opened again")
	key, _ := r.open(good)
	require.Equal(t, "sk-fake-1", key)
}

func TestASecretThatIsNotThereIsAnError(t *testing.T) {
	r := start(t)
	r.vault.values, r.vault.ids = nil, nil
	_, err := r.PublicKey(t.Context())
	require.ErrorContains(t, err, "read the sealing secret")
	require.Error(t, r.Rotate(t.Context(), "v2"))
}
