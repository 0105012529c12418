package llmproxy

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// SecretPrefix begins every token secret. "sk-" is what some clients insist on; secret scanners find the rest.
const SecretPrefix = "sk-llmp-"

// SecretLen is the length of a token secret in characters: the prefix and 36 bytes in unpadded base64url.
const SecretLen = len(SecretPrefix) + 48

// TokenHash is the SHA-256 of a whole token secret: all that is stored of it.
type TokenHash [sha256.Size]byte

// Token is a withering token: bound to a project, expiring, limited, revocable.
type Token struct {
	ID                 TokenID
	ProjectID          ProjectID
	Name               string
	CreatedAt          time.Time
	ExpiresAt          time.Time // at this moment it is expired
	Active             bool
	RevokedAt          time.Time // zero if it was not revoked
	MaxRequests        int64     // lifetime cap, 1..1e9; 0 means none
	RequestsPerHour    int64     // cap in each UTC clock hour, 1..1e9; 0 means none
	RequestCount       int64     // spends so far
	LastUsedAt         time.Time // zero if never
	WindowHour         int64     // hour since the Unix epoch that WindowCount belongs to
	WindowCount        int64     // spends in WindowHour
	RequestHeadersDrop []string  // headers of the caller that this token's requests do not carry on

	Epoch    int64 // the project's epoch when it was minted or last rotated
	Revision int64 // raised by each management change, never by a spend
}

// TokenStatus says what became of a token.
type TokenStatus string

// What becomes of tokens; of several the first one counts.
const (
	TokenRevoked   TokenStatus = "revoked"   // by itself or with its project
	TokenExpired   TokenStatus = "expired"   // its time is over
	TokenExhausted TokenStatus = "exhausted" // its lifetime cap is reached
	TokenActive    TokenStatus = "active"    // none of these
)

// Status is what a spend at now would find, but for the hourly window and the state of the project.
func (t *Token) Status(now time.Time) TokenStatus {
	switch {
	case !t.Active:
		return TokenRevoked
	case !now.Before(t.ExpiresAt):
		return TokenExpired
	case t.MaxRequests > 0 && t.RequestCount >= t.MaxRequests:
		return TokenExhausted
	}
	return TokenActive
}

// SpentInHour is how many spends count in the hour of that moment.
func (t *Token) SpentInHour(now time.Time) int64 {
	if t.WindowHour != HourOf(now) {
		return 0
	}
	return t.WindowCount
}

// Gate is a token's row as a spend is decided on: the token with its hourly window, and its hashes.
type Gate struct {
	Token
	Hash          TokenHash // of the current secret
	PreviousHash  TokenHash // of the secret before a rotation
	PreviousUntil time.Time // the previous secret is good before this moment; zero if there is none
}

// Refusal says why a spend at now with a secret of this hash is refused, or nil if it is not: [ErrNotFound] for another secret,
// then [ErrRevoked], [ErrExpired], [ErrExhausted] or a [*RateLimitError]. A store asks while nobody else
// can write the row, or asks for the reason after a conditional write was refused; a project that is gone, inactive or of a later epoch
// is [Project.Refusal]'s.
func (g *Gate) Refusal(hash TokenHash, now time.Time) error {
	current := subtle.ConstantTimeCompare(hash[:], g.Hash[:]) == 1
	previous := subtle.ConstantTimeCompare(hash[:], g.PreviousHash[:]) == 1 && now.Before(g.PreviousUntil)
	switch {
	case !current && !previous:
		return ErrNotFound
	case !g.Active:
		return ErrRevoked
	case !now.Before(g.ExpiresAt):
		return ErrExpired
	case g.MaxRequests > 0 && g.RequestCount >= g.MaxRequests:
		return ErrExhausted
	case g.RequestsPerHour > 0 && g.inWindow(now) && g.WindowCount >= g.RequestsPerHour:
		return &RateLimitError{RetryAfter: time.Unix((g.WindowHour+1)*3600, 0).Sub(now)}
	}
	return nil
}

// Count counts a spend at now that is not refused. One that is late counts in the window that has begun since: there is one window, and to
// go back would empty it. Times are kept in milliseconds.
func (g *Gate) Count(now time.Time) {
	g.RequestCount++
	g.LastUsedAt = time.UnixMilli(now.UnixMilli()).UTC()
	if !g.inWindow(now) {
		g.WindowHour, g.WindowCount = HourOf(now), 0
	}
	g.WindowCount++
}

// inWindow reports whether a spend at now counts in the window: in its own hour, or late, where the next one has begun already. A window
// further ahead is what a wrong clock left behind.
func (g *Gate) inWindow(now time.Time) bool {
	hour := HourOf(now)
	return g.WindowHour == hour || g.WindowHour == hour+1
}

// Refusal says why the project refuses a token minted at this epoch: [ErrRevoked] where it was deleted or has revoked all its
// tokens since, [ErrProjectInactive] where it is deactivated.
func (p *Project) Refusal(tokenEpoch int64) error {
	switch {
	case !p.DeletedAt.IsZero() || tokenEpoch < p.Epoch:
		return ErrRevoked
	case !p.Active:
		return ErrProjectInactive
	}
	return nil
}

// HourOf is the UTC clock hour of a moment, counted from the Unix epoch: the window that RequestsPerHour limits.
func HourOf(now time.Time) int64 { return now.Unix() / 3600 }

// NewTokenSecret makes a secret for the token: prefix, then base64url of its id (16 bytes), random bytes (16) and the CRC-32 (IEEE,
// big-endian) of prefix, id and random.
func NewTokenSecret(id TokenID) Secret {
	var raw [36]byte
	copy(raw[:16], id.UUID[:])
	_, _ = rand.Read(raw[16:32]) // never fails: crypto/rand ends the process instead
	binary.BigEndian.PutUint32(raw[32:], secretChecksum(raw[:32]))
	return NewSecret(SecretPrefix + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// ParseTokenSecret checks shape and checksum of a token secret and returns the id it names. Every secret has one spelling. It does
// not say that the token exists, and it allocates nothing.
func ParseTokenSecret(s string) (TokenID, bool) {
	if len(s) != SecretLen || s[:len(SecretPrefix)] != SecretPrefix {
		return TokenID{}, false
	}
	var text [48]byte // 48 characters are 36 bytes without a spare bit, so decoding is one to one
	var raw [36]byte
	copy(text[:], s[len(SecretPrefix):])
	for _, c := range text {
		if c == '\r' || c == '\n' { // the decoder passes over them
			return TokenID{}, false
		}
	}
	if n, err := base64.RawURLEncoding.Decode(raw[:], text[:]); err != nil || n != len(raw) {
		return TokenID{}, false
	}
	if binary.BigEndian.Uint32(raw[32:]) != secretChecksum(raw[:32]) {
		return TokenID{}, false
	}
	return TokenID{UUID(raw[:16])}, true
}

// HashTokenSecret is what a store keeps of a secret and compares with.
func HashTokenSecret(s string) TokenHash {
	var buf [SecretLen]byte // on the stack: this runs for every request
	if len(s) != len(buf) {
		return sha256.Sum256([]byte(s))
	}
	copy(buf[:], s)
	return sha256.Sum256(buf[:])
}

var prefixChecksum = crc32.ChecksumIEEE([]byte(SecretPrefix))

// secretChecksum goes on from the prefix's checksum. It does by hand what [crc32.Update] does, which would move its argument to the
// heap; for 32 bytes the table is as fast.
func secretChecksum(idAndRandom []byte) uint32 {
	crc := ^prefixChecksum
	for _, b := range idAndRandom {
		crc = crc32.IEEETable[byte(crc)^b] ^ crc>>8
	}
	return ^crc
}
