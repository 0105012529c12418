package llmproxy_test

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestTokenSecretNamesItsToken(t *testing.T) {
	id := llmproxy.NewTokenID(noon)
	secret := llmproxy.NewTokenSecret(id).Reveal()
	require.Len(t, secret, 56)
	require.True(t, strings.HasPrefix(secret, "sk-llmp-"))
	got, ok := llmproxy.ParseTokenSecret(secret)
	require.True(t, ok)
	require.Equal(t, id, got)
	raw, err := base64.RawURLEncoding.DecodeString(secret[8:])
	require.NoError(t, err)
	require.Equal(t, crc32.ChecksumIEEE(append([]byte("sk-llmp-"), raw[:32]...)), binary.BigEndian.Uint32(raw[32:]), "secret scanners can check it too")
	require.NotEqual(t, secret, llmproxy.NewTokenSecret(id).Reveal(), "two secrets of one token differ")
	require.NotEqual(t, llmproxy.HashTokenSecret(secret), llmproxy.HashTokenSecret(llmproxy.NewTokenSecret(id).Reveal()))
}

func TestTokenSecretHasOneSpelling(t *testing.T) {
	secret := llmproxy.NewTokenSecret(llmproxy.NewTokenID(noon)).Reveal()
	body := strings.TrimPrefix(secret, llmproxy.SecretPrefix)
	raw, err := base64.RawURLEncoding.DecodeString(body)
	require.NoError(t, err)
	cases := map[string]string{
		"empty":              "",
		"prefix alone":       llmproxy.SecretPrefix,
		"other prefix":       "sk-proj-" + body,
		"upper-case prefix":  "SK-LLMP-" + body,
		"one short":          secret[:55],
		"one long":           secret + "A",
		"leading space":      " " + secret[:55],
		"line feed inside":   secret[:20] + "\n" + secret[21:],
		"carriage return":    secret[:20] + "\r" + secret[21:],
		"padding":            secret[:55] + "=",
		"other alphabet":     llmproxy.SecretPrefix + strings.Repeat("+/", 24),
		"percent-encoded":    "sk%2dllmp-" + body,
		"checksum damaged":   llmproxy.SecretPrefix + base64.RawURLEncoding.EncodeToString(append(raw[:35:35], raw[35]^1)),
		"id damaged":         llmproxy.SecretPrefix + base64.RawURLEncoding.EncodeToString(append([]byte{raw[0] ^ 0x80}, raw[1:]...)),
		"zeros":              llmproxy.SecretPrefix + strings.Repeat("A", 48),
		"UTF-8":              llmproxy.SecretPrefix + strings.Repeat("é", 24),
		"a hundred kilobyte": strings.Repeat(secret, 2000),
	}
	for name, s := range cases {
		_, ok := llmproxy.ParseTokenSecret(s)
		require.False(t, ok, name)
	}
}

func TestEverySingleByteChangeOfASecretIsRefused(t *testing.T) {
	secret := []byte(llmproxy.NewTokenSecret(llmproxy.NewTokenID(noon)).Reveal())
	for i := range secret {
		for b := range 256 {
			if byte(b) == secret[i] {
				continue
			}
			changed := append([]byte(nil), secret...)
			changed[i] = byte(b)
			_, ok := llmproxy.ParseTokenSecret(string(changed))
			require.False(t, ok, "byte %d as %#x", i, b)
		}
	}
}

func TestParsingASecretAllocatesNothing(t *testing.T) {
	secret := llmproxy.NewTokenSecret(llmproxy.NewTokenID(noon)).Reveal()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := llmproxy.ParseTokenSecret(secret); !ok {
			t.Error("refused")
		}
		_ = llmproxy.HashTokenSecret(secret)
	}))
}

func FuzzParseTokenSecret(f *testing.F) {
	f.Add(llmproxy.NewTokenSecret(llmproxy.NewTokenID(noon)).Reveal())
	f.Add("")
	f.Add("sk-llmp-")
	f.Add("sk-llmp-" + strings.Repeat("A", 48))
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := llmproxy.ParseTokenSecret(s)
		if !ok {
			return
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(s[8:])
		if err != nil || len(raw) != 36 || string(raw[:16]) != string(id.UUID[:]) || base64.RawURLEncoding.EncodeToString(raw) != s[8:] {
			t.Fatalf("accepted %q as %s", s, id)
		}
	})
}

func TestGateRefusesInOrder(t *testing.T) {
	hash, other := llmproxy.HashTokenSecret("current"), llmproxy.HashTokenSecret("other")
	sound := llmproxy.Gate{
		Token: llmproxy.Token{Active: true, ExpiresAt: noon.Add(time.Hour), MaxRequests: 5, RequestCount: 4, RequestsPerHour: 3, WindowHour: llmproxy.HourOf(noon), WindowCount: 2},
		Hash:  hash,
	}
	cases := []struct {
		name   string
		change func(*llmproxy.Gate)
		hash   llmproxy.TokenHash
		want   error
	}{
		{"sound", func(*llmproxy.Gate) {}, hash, nil},
		{"another secret", func(*llmproxy.Gate) {}, other, llmproxy.ErrNotFound},
		{"another secret of a revoked token tells nothing", func(g *llmproxy.Gate) { g.Active = false }, other, llmproxy.ErrNotFound},
		{"previous secret in grace", func(g *llmproxy.Gate) { g.PreviousHash, g.PreviousUntil = other, noon.Add(1) }, other, nil},
		{"previous secret at the end of grace", func(g *llmproxy.Gate) { g.PreviousHash, g.PreviousUntil = other, noon }, other, llmproxy.ErrNotFound},
		{"no previous secret is the zero hash", func(*llmproxy.Gate) {}, llmproxy.TokenHash{}, llmproxy.ErrNotFound},
		{"revoked before expired", func(g *llmproxy.Gate) { g.Active, g.ExpiresAt = false, noon }, hash, llmproxy.ErrRevoked},
		{"expires now", func(g *llmproxy.Gate) { g.ExpiresAt = noon }, hash, llmproxy.ErrExpired},
		{"a nanosecond left", func(g *llmproxy.Gate) { g.ExpiresAt = noon.Add(1) }, hash, nil},
		{"exhausted", func(g *llmproxy.Gate) { g.RequestCount = 5 }, hash, llmproxy.ErrExhausted},
		{"beyond a lowered cap", func(g *llmproxy.Gate) { g.RequestCount = 9 }, hash, llmproxy.ErrExhausted},
		{"no cap", func(g *llmproxy.Gate) { g.MaxRequests, g.RequestCount = 0, 1<<40 }, hash, nil},
		{"window of an hour before", func(g *llmproxy.Gate) { g.WindowHour--; g.WindowCount = 3 }, hash, nil},
		{"window that a wrong clock left", func(g *llmproxy.Gate) { g.WindowHour += 2; g.WindowCount = 3 }, hash, nil},
		{"no hourly limit", func(g *llmproxy.Gate) { g.RequestsPerHour, g.WindowCount = 0, 1<<40 }, hash, nil},
	}
	for _, c := range cases {
		g := sound
		c.change(&g)
		require.ErrorIs(t, g.Refusal(c.hash, noon), c.want, c.name)
	}

	full := sound
	full.WindowCount = 3
	var limit *llmproxy.RateLimitError
	require.ErrorAs(t, full.Refusal(hash, noon.Add(59*time.Minute+59*time.Second)), &limit)
	require.Equal(t, time.Second, limit.RetryAfter)
	require.Equal(t, "hourly limit reached, next window in 1s", limit.Error())
	full.WindowHour++
	require.ErrorAs(t, full.Refusal(hash, noon.Add(59*time.Minute+59*time.Second)), &limit, "it is late: the next window has begun, and is full")
	require.Equal(t, time.Hour+time.Second, limit.RetryAfter)
}

func TestACountedSpendIsInOneWindow(t *testing.T) {
	hour := llmproxy.HourOf(noon)
	for _, c := range []struct {
		name              string
		window, count     int64
		wantWindow, wants int64
	}{
		{"its own", hour, 2, hour, 3},
		{"that of an hour before is over", hour - 1, 7, hour, 1},
		{"it is late, and counts where others do by now", hour + 1, 7, hour + 1, 8},
		{"one that a wrong clock left", hour + 2, 7, hour, 1},
		{"the first of all", 0, 0, hour, 1},
	} {
		g := llmproxy.Gate{Token: llmproxy.Token{RequestCount: 9, WindowHour: c.window, WindowCount: c.count}}
		g.Count(noon.Add(1500 * time.Microsecond))
		require.Equal(t, c.wantWindow, g.WindowHour, c.name)
		require.Equal(t, c.wants, g.WindowCount, c.name)
		require.EqualValues(t, 10, g.RequestCount)
		require.Equal(t, noon.Add(time.Millisecond), g.LastUsedAt, "as databases keep it")
	}
}

func TestProjectRefusesItsTokens(t *testing.T) {
	p := llmproxy.Project{Active: true, Epoch: 2}
	require.NoError(t, p.Refusal(2))
	require.ErrorIs(t, p.Refusal(1), llmproxy.ErrRevoked, "minted before a bulk revoke")
	p.Active = false
	require.ErrorIs(t, p.Refusal(2), llmproxy.ErrProjectInactive)
	p.DeletedAt = noon
	require.ErrorIs(t, p.Refusal(2), llmproxy.ErrRevoked, "a deleted project's tokens are revoked, not inactive")
}

func TestProjectEnablesGroups(t *testing.T) {
	p := llmproxy.Project{Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference}}
	require.True(t, p.Enabled(llmproxy.GroupInference))
	require.False(t, p.Enabled(llmproxy.GroupStored))
}
