package seal

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Secrets gives the sealing secrets that may open something: the current one, and one before it while keys are sealed anew.
type Secrets func(ctx context.Context) ([]llmproxy.Secret, error)

// Static is for a secret that does not change while the process runs.
func Static(secret llmproxy.Secret) Secrets {
	return func(context.Context) ([]llmproxy.Secret, error) { return []llmproxy.Secret{secret}, nil }
}

// References reads the provider key that a project names instead of having one sealed.
type References func(ctx context.Context, name string) (llmproxy.Secret, error)

// Config joins the parts of an [Opener]. Only Secrets is required.
type Config struct {
	Secrets    Secrets
	References References       // nil: no project may name a secret
	Now        func() time.Time // nil: time.Now
	Log        *zap.Logger      // is told when old keys have to do; nil: nobody
}

// Opener opens sealed provider keys. Opened keys stay in memory, by ciphertext. It is safe for concurrent use.
type Opener struct {
	cfg     Config
	reading singleflight.Group // one read of each secret at a time, whoever waits for it

	mu       sync.RWMutex
	opened   map[row]opened
	keys     map[string]hpke.PrivateKey // of the sealing secrets, by id
	keysRead time.Time                  // when they were last read
	failed   time.Time                  // when reading them last failed, if it did after that
	failure  error
}

// row is what a key was sealed for: the same ciphertext in another row must not open.
type row struct {
	sealed   string
	ref      string
	project  llmproxy.ProjectID
	provider string
}

// opened is a provider key in memory.
type opened struct {
	key  llmproxy.Secret
	read time.Time // when the secret behind it was
}

const (
	// maxOpened is how many opened keys are remembered.
	maxOpened = 4096
	// askAgainAfter is how soon the sealing secrets are read again when a key id stays unknown, or when they could not be read.
	askAgainAfter = time.Second
	// fresh is how long what was read is used without reading it again.
	fresh = 5 * time.Minute
	// maxAge is how long it is used where it cannot be read again.
	maxAge = 15 * time.Minute
	// readPatience is how long one read may take.
	readPatience = 2 * time.Second
)

// NewOpener returns an opener of sealed keys. It asks for the secrets when it first needs them.
func NewOpener(secrets Secrets) *Opener { return New(Config{Secrets: secrets}) }

// New returns an opener. It reads nothing yet.
func New(cfg Config) *Opener {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Opener{cfg: cfg, opened: map[row]opened{}}
}

// Warm reads the sealing secrets, so that the first key need not wait for them. A failure is no more than that: Open tries again.
func (o *Opener) Warm(ctx context.Context) error {
	o.mu.RLock()
	read := o.keysRead
	o.mu.RUnlock()
	return o.readSecrets(ctx, read)
}

// Open returns the project's provider key. Errors wrap [llmproxy.ErrKeyUnavailable] and name the project.
func (o *Opener) Open(ctx context.Context, p *llmproxy.Project) (llmproxy.Secret, error) {
	r := row{p.SealedKey, p.KeyRef, p.ID, p.Provider}
	o.mu.RLock()
	kept, ok := o.opened[r]
	o.mu.RUnlock()
	now := o.cfg.Now()
	if ok && now.Sub(kept.read) < fresh {
		return kept.key, nil
	}
	key, read, err := o.open(ctx, r)
	if err != nil {
		if ok && now.Sub(kept.read) < maxAge {
			o.cfg.Log.Warn("a provider key could not be read anew, the one in memory has to do", zap.Stringer("project_id", p.ID), zap.Error(err))
			return kept.key, nil
		}
		return llmproxy.Secret{}, fmt.Errorf("open the provider key of project %s: %w: %w", p.ID, llmproxy.ErrKeyUnavailable, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.opened) >= maxOpened {
		clear(o.opened)
	}
	o.opened[r] = opened{key, read}
	return key, nil
}

// Forget drops what is remembered of the project's key.
func (o *Opener) Forget(p *llmproxy.Project) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.opened, row{p.SealedKey, p.KeyRef, p.ID, p.Provider})
}

// open returns a key and when the secret behind it was read.
func (o *Opener) open(ctx context.Context, r row) (llmproxy.Secret, time.Time, error) {
	if r.ref != "" {
		return o.openReference(ctx, r.ref)
	}
	if r.sealed == "" {
		return llmproxy.Secret{}, time.Time{}, errors.New("the project has none")
	}
	id, sealed, err := split(r.sealed)
	if err != nil {
		return llmproxy.Secret{}, time.Time{}, err
	}
	private, read, err := o.key(ctx, id)
	if err != nil {
		return llmproxy.Secret{}, time.Time{}, err
	}
	_, kdf, aead := suite()
	plain, err := hpke.Open(private, kdf, aead, info(r.project, r.provider), sealed)
	if err != nil {
		return llmproxy.Secret{}, time.Time{}, fmt.Errorf("the ciphertext is damaged or was sealed for another project or provider: %w", err)
	}
	return llmproxy.NewSecret(string(plain)), read, nil
}

func (o *Opener) openReference(ctx context.Context, ref string) (llmproxy.Secret, time.Time, error) {
	if o.cfg.References == nil {
		return llmproxy.Secret{}, time.Time{}, errors.New("it is a reference to a secret store, and this installation has none")
	}
	now := o.cfg.Now()
	key, err := o.once(ctx, "reference "+ref, func(ctx context.Context) (any, error) { return o.cfg.References(ctx, ref) })
	if err != nil {
		return llmproxy.Secret{}, time.Time{}, fmt.Errorf("read the secret it refers to: %w", err)
	}
	return key.(llmproxy.Secret), now, nil
}

// key is the private key of an id, and when it was read. An unknown one is looked for in the secrets as they now are; an old one has
// to do where they cannot be read.
func (o *Opener) key(ctx context.Context, id string) (hpke.PrivateKey, time.Time, error) {
	o.mu.RLock()
	private, read, failed, failure := o.keys[id], o.keysRead, o.failed, o.failure
	o.mu.RUnlock()
	now := o.cfg.Now()
	age := now.Sub(read)
	if private != nil && age < fresh {
		return private, read, nil
	}
	var err error
	switch {
	case failure != nil && now.Sub(failed) < askAgainAfter:
		err = failure
	case private == nil && age < askAgainAfter:
		return nil, read, unknownKey(id)
	default:
		err = o.readSecrets(ctx, read)
	}
	if err != nil {
		if private != nil && age < maxAge {
			o.cfg.Log.Warn("the sealing secret could not be read anew, the one in memory has to do", zap.Error(err))
			return private, read, nil
		}
		return nil, read, err
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if private = o.keys[id]; private == nil {
		return nil, o.keysRead, unknownKey(id)
	}
	return private, o.keysRead, nil
}

func unknownKey(id string) error {
	return fmt.Errorf("it was sealed to the key %s, which no sealing secret has", id)
}

// readSecrets reads the sealing secrets and derives their keys, if nobody has since they were read at a time.
func (o *Opener) readSecrets(ctx context.Context, last time.Time) error {
	_, err := o.once(ctx, "sealing", func(ctx context.Context) (any, error) {
		o.mu.RLock()
		read := o.keysRead
		o.mu.RUnlock()
		if !read.Equal(last) {
			return nil, nil
		}
		keys, err := o.deriveKeys(ctx)
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.failed, o.failure = o.cfg.Now(), err
			return nil, err
		}
		o.keys, o.keysRead, o.failure = keys, o.cfg.Now(), nil
		return nil, nil
	})
	return err
}

func (o *Opener) deriveKeys(ctx context.Context) (map[string]hpke.PrivateKey, error) {
	secrets, err := o.cfg.Secrets(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sealing secret: %w", err)
	}
	keys := make(map[string]hpke.PrivateKey, len(secrets))
	for _, secret := range secrets {
		private, err := keyPair(secret)
		if err != nil {
			return nil, err
		}
		keys[keyID(private.PublicKey())] = private
	}
	return keys, nil
}

// once lets one caller read for all who ask meanwhile. Whoever leaves does not end the reading for the others.
func (o *Opener) once(ctx context.Context, what string, read func(context.Context) (any, error)) (any, error) {
	done := o.reading.DoChan(what, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readPatience)
		defer cancel()
		return read(ctx)
	})
	select {
	case result := <-done:
		return result.Val, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
