package seal

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// minSecret is the least length of a sealing secret in bytes.
const minSecret = 32

// version begins every ciphertext.
const version = "v1."

// NewSecret makes a sealing secret: 32 random bytes in base64url.
func NewSecret() llmproxy.Secret {
	var b [minSecret]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return llmproxy.NewSecret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// The HPKE suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
func suite() (hpke.KEM, hpke.KDF, hpke.AEAD) {
	return hpke.DHKEM(ecdh.X25519()), hpke.HKDFSHA256(), hpke.AES256GCM()
}

// keyPair derives the key pair of a sealing secret (RFC 9180, section 7.1.3).
func keyPair(secret llmproxy.Secret) (hpke.PrivateKey, error) {
	if len(secret.Reveal()) < minSecret {
		return nil, fmt.Errorf("the sealing secret has %d bytes, it must have at least %d", len(secret.Reveal()), minSecret)
	}
	kem, _, _ := suite()
	return kem.DeriveKeyPair([]byte(secret.Reveal()))
}

// PublicKey derives the public key that goes with a sealing secret, in base64url.
func PublicKey(secret llmproxy.Secret) (string, error) {
	private, err := keyPair(secret)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(private.PublicKey().Bytes()), nil
}

// keyID names a public key: the first 8 bytes of its SHA-256.
func keyID(public hpke.PublicKey) string {
	sum := sha256.Sum256(public.Bytes())
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// info binds a ciphertext to its purpose, project and provider.
func info(project llmproxy.ProjectID, provider string) []byte {
	return bytes.Join([][]byte{[]byte("llm-proxy/v1/provider-key"), []byte(project.String()), []byte(provider)}, []byte{0})
}

// Sealer seals provider keys. It cannot open them.
type Sealer struct {
	public hpke.PublicKey
	id     string
}

// NewSealer takes a public key as [PublicKey] gives it.
func NewSealer(publicKey string) (*Sealer, error) {
	raw, err := base64.RawURLEncoding.DecodeString(publicKey)
	if err != nil {
		return nil, fmt.Errorf("sealing public key: %w", err)
	}
	kem, _, _ := suite()
	public, err := kem.NewPublicKey(raw)
	if err != nil {
		return nil, fmt.Errorf("sealing public key: %w", err)
	}
	return &Sealer{public: public, id: keyID(public)}, nil
}

// Seal returns the ciphertext of a provider key: "v1.", the id of the public key, ".", and encapsulated key with ciphertext, both in
// base64url. It opens for this project and provider only.
func (s *Sealer) Seal(project llmproxy.ProjectID, provider string, key llmproxy.Secret) (string, error) {
	_, kdf, aead := suite()
	sealed, err := hpke.Seal(s.public, kdf, aead, info(project, provider), []byte(key.Reveal()))
	if err != nil {
		return "", fmt.Errorf("seal the provider key of project %s: %w", project, err)
	}
	return version + s.id + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Sealed reports whether a ciphertext was sealed to this key.
func (s *Sealer) Sealed(ciphertext string) bool {
	id, _, err := split(ciphertext)
	return err == nil && id == s.id
}

// split takes a ciphertext apart.
func split(ciphertext string) (id string, sealed []byte, err error) {
	rest, ok := strings.CutPrefix(ciphertext, version)
	if !ok {
		return "", nil, errors.New("not a ciphertext of this version")
	}
	id, encoded, ok := strings.Cut(rest, ".")
	if !ok {
		return "", nil, errors.New("the ciphertext is damaged")
	}
	sealed, err = base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return "", nil, errors.New("the ciphertext is damaged")
	}
	return id, sealed, nil
}
