package seal_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/proxy"
	"github.com/sofatutor/llm-proxy/internal/seal"
)

var _ proxy.Keys = (*seal.Opener)(nil)

var ctx = context.Background()

const key = "sk-fake-Qx7Zk2Lw9Vb4Nc8Hj3Ty6Rd-wxyz"

func sealerFor(t testing.TB, secret llmproxy.Secret) *seal.Sealer {
	t.Helper()
	public, err := seal.PublicKey(secret)
	require.NoError(t, err)
	s, err := seal.NewSealer(public)
	require.NoError(t, err)
	return s
}

func sealed(t testing.TB, secret llmproxy.Secret) *llmproxy.Project {
	t.Helper()
	p := &llmproxy.Project{ID: llmproxy.NewProjectID(time.Now()), Provider: "openai"}
	var err error
	p.SealedKey, err = sealerFor(t, secret).Seal(p.ID, p.Provider, llmproxy.NewSecret(key))
	require.NoError(t, err)
	return p
}

func TestSealedKeyOpensInItsOwnRowAlone(t *testing.T) {
	secret := seal.NewSecret()
	p := sealed(t, secret)
	opener := seal.NewOpener(seal.Static(secret))
	for range 2 {
		got, err := opener.Open(ctx, p)
		require.NoError(t, err)
		require.Equal(t, key, got.Reveal())
	}
	swapped := map[string]func(*llmproxy.Project){
		"another project":   func(p *llmproxy.Project) { p.ID = llmproxy.NewProjectID(time.Now()) },
		"another provider":  func(p *llmproxy.Project) { p.Provider = "anthropic" },
		"damaged":           func(p *llmproxy.Project) { p.SealedKey = p.SealedKey[:len(p.SealedKey)-2] + "AA" },
		"cut":               func(p *llmproxy.Project) { p.SealedKey = p.SealedKey[:40] },
		"not base64":        func(p *llmproxy.Project) { p.SealedKey = p.SealedKey[:30] + "%" },
		"no second dot":     func(p *llmproxy.Project) { p.SealedKey = "v1.abc" },
		"another version":   func(p *llmproxy.Project) { p.SealedKey = "v2" + p.SealedKey[2:] },
		"sealed to another": func(p *llmproxy.Project) { p.SealedKey = sealed(t, seal.NewSecret()).SealedKey },
		"none":              func(p *llmproxy.Project) { p.SealedKey = "" },
		"a reference":       func(p *llmproxy.Project) { p.KeyRef, p.SealedKey = "stack/keys/x", "" },
	}
	for name, change := range swapped {
		q := *p
		change(&q)
		_, err := opener.Open(ctx, &q)
		require.ErrorIs(t, err, llmproxy.ErrKeyUnavailable, name)
		require.Contains(t, err.Error(), q.ID.String(), name)
		for i := 0; i+8 <= len(key); i++ {
			require.NotContains(t, err.Error(), key[i:i+8], name)
		}
		if len(q.SealedKey) > 50 {
			require.NotContains(t, err.Error(), q.SealedKey[20:50], name)
		}
	}
}

func TestCiphertextHasTheDocumentedForm(t *testing.T) {
	secret := llmproxy.NewSecret(strings.Repeat("fake", 8))
	p := sealed(t, secret)
	parts := strings.Split(p.SealedKey, ".")
	require.Len(t, parts, 3)
	require.Equal(t, "v1", parts[0])
	id, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.Len(t, id, 8)
	body, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	require.Len(t, body, 32+len(key)+16, "encapsulated key, ciphertext, tag")
	require.NotEqual(t, p.SealedKey, sealed(t, secret).SealedKey)
	public, err := seal.PublicKey(secret)
	require.NoError(t, err)
	require.Equal(t, "dNuYXE6YJgmVpP9Mb7Fn_Ehr0IcFTaXGSD69AA93kX4", public, "frozen: a change here loses every sealed key")
}

func TestWeakOrDamagedSecretsAreRefused(t *testing.T) {
	_, err := seal.PublicKey(llmproxy.NewSecret("short"))
	require.ErrorContains(t, err, "at least 32")
	require.NotContains(t, err.Error(), "short")
	_, err = seal.NewSealer("%")
	require.Error(t, err)
	_, err = seal.NewSealer("AAAA")
	require.Error(t, err)
	p := sealed(t, seal.NewSecret())
	_, err = seal.NewOpener(seal.Static(llmproxy.NewSecret("short"))).Open(ctx, p)
	require.ErrorIs(t, err, llmproxy.ErrKeyUnavailable)
}

func TestSecretsAreAskedForOnceAndAgainForAnUnknownKey(t *testing.T) {
	first, second := seal.NewSecret(), seal.NewSecret()
	now := []llmproxy.Secret{first}
	asked := 0
	var mu sync.Mutex
	opener := seal.NewOpener(func(context.Context) ([]llmproxy.Secret, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if now == nil {
			return nil, errors.New("the secret store is down")
		}
		return now, nil
	})
	p := sealed(t, first)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := opener.Open(ctx, p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, asked)

	q := sealed(t, second)
	_, err := opener.Open(ctx, q)
	require.ErrorIs(t, err, llmproxy.ErrKeyUnavailable)
	mu.Lock()
	now = nil
	mu.Unlock()
	require.Eventually(t, func() bool { _, err := opener.Open(ctx, q); return strings.Contains(fmt.Sprint(err), "is down") }, time.Minute, 50*time.Millisecond)
	_, err = opener.Open(ctx, p)
	require.NoError(t, err, "what was opened stays so")
	mu.Lock()
	now = []llmproxy.Secret{second, first}
	mu.Unlock()
	require.Eventually(t, func() bool { _, err := opener.Open(ctx, q); return err == nil }, time.Minute, 50*time.Millisecond, "without a restart")
	opener.Forget(p)
	_, err = opener.Open(ctx, p)
	require.NoError(t, err, "the one before still opens")
}

func BenchmarkOpenFromMemory(b *testing.B) {
	secret := seal.NewSecret()
	p := sealed(b, secret)
	opener := seal.NewOpener(seal.Static(secret))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := opener.Open(ctx, p); err != nil {
			b.Fatal(err)
		}
	}
}
