package seal

import (
	"context"
	"crypto/hpke"
	"fmt"
	"sync"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// Secrets gives the sealing secrets that may open something: the current one, and one before it while keys are sealed anew.
type Secrets func(ctx context.Context) ([]llmproxy.Secret, error)

// Static is for a secret that does not change while the process runs.
func Static(secret llmproxy.Secret) Secrets {
	return func(context.Context) ([]llmproxy.Secret, error) { return []llmproxy.Secret{secret}, nil }
}

// Opener opens sealed provider keys. Opened keys stay in memory, by ciphertext. It is safe for concurrent use.
type Opener struct {
	secrets Secrets

	mu     sync.RWMutex
	opened map[row]llmproxy.Secret

	keysMu sync.Mutex // also lets one caller at a time ask for the secrets
	keys   map[string]hpke.PrivateKey
	asked  time.Time // when the secrets were asked for last
}

// row is what a key was sealed for: the same ciphertext in another row must not open.
type row struct {
	sealed   string
	project  llmproxy.ProjectID
	provider string
}

// maxOpened is how many opened keys are remembered.
const maxOpened = 4096

// askAgainAfter is how soon the secrets are asked for again when a key id stays unknown.
const askAgainAfter = time.Second

// NewOpener returns an opener. It asks for the secrets when it first needs them.
func NewOpener(secrets Secrets) *Opener {
	return &Opener{secrets: secrets, opened: map[row]llmproxy.Secret{}}
}

// Open returns the project's provider key. Errors wrap [llmproxy.ErrKeyUnavailable] and name the project.
func (o *Opener) Open(ctx context.Context, p *llmproxy.Project) (llmproxy.Secret, error) {
	r := row{p.SealedKey, p.ID, p.Provider}
	o.mu.RLock()
	key, ok := o.opened[r]
	o.mu.RUnlock()
	if ok {
		return key, nil
	}
	key, err := o.open(ctx, r, p.KeyRef)
	if err != nil {
		return llmproxy.Secret{}, fmt.Errorf("open the provider key of project %s: %w: %w", p.ID, llmproxy.ErrKeyUnavailable, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.opened) >= maxOpened {
		clear(o.opened)
	}
	o.opened[r] = key
	return key, nil
}

// Forget drops what is remembered of the project's key.
func (o *Opener) Forget(p *llmproxy.Project) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.opened, row{p.SealedKey, p.ID, p.Provider})
}

func (o *Opener) open(ctx context.Context, r row, ref string) (llmproxy.Secret, error) {
	switch {
	case ref != "":
		return llmproxy.Secret{}, fmt.Errorf("it is a reference to a secret store, and this installation has none")
	case r.sealed == "":
		return llmproxy.Secret{}, fmt.Errorf("the project has none")
	}
	id, sealed, err := split(r.sealed)
	if err != nil {
		return llmproxy.Secret{}, err
	}
	private, err := o.key(ctx, id)
	if err != nil {
		return llmproxy.Secret{}, err
	}
	_, kdf, aead := suite()
	plain, err := hpke.Open(private, kdf, aead, info(r.project, r.provider), sealed)
	if err != nil {
		return llmproxy.Secret{}, fmt.Errorf("the ciphertext is damaged or was sealed for another project or provider: %w", err)
	}
	return llmproxy.NewSecret(string(plain)), nil
}

// key is the private key of an id. An unknown one is looked for in the secrets as they now are.
func (o *Opener) key(ctx context.Context, id string) (hpke.PrivateKey, error) {
	o.keysMu.Lock()
	defer o.keysMu.Unlock()
	if private, ok := o.keys[id]; ok {
		return private, nil
	}
	if time.Since(o.asked) < askAgainAfter {
		return nil, fmt.Errorf("it was sealed to the key %s, which no sealing secret has", id)
	}
	secrets, err := o.secrets(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sealing secret: %w", err)
	}
	o.asked = time.Now()
	o.keys = make(map[string]hpke.PrivateKey, len(secrets))
	for _, secret := range secrets {
		private, err := keyPair(secret)
		if err != nil {
			return nil, err
		}
		o.keys[keyID(private.PublicKey())] = private
	}
	if private, ok := o.keys[id]; ok {
		return private, nil
	}
	return nil, fmt.Errorf("it was sealed to the key %s, which no sealing secret has", id)
}
