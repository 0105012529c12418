package llmproxy

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"
)

// UUID is 16 bytes that print as RFC 9562 has it: 8-4-4-4-12 lower-case hexadecimal digits.
type UUID [16]byte

// Ids of the three things that are looked up. Each is its own type, so that one cannot stand for another.
type (
	TokenID   struct{ UUID }
	ProjectID struct{ UUID }
	EventID   struct{ UUID }
)

// NewUUID mints a UUID of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits. The random part
// makes it unique, not secret.
func NewUUID(now time.Time) UUID {
	var u UUID
	ms := uint64(now.UnixMilli())
	hi, lo := rand.Uint64(), rand.Uint64() //nolint:gosec // unique, not secret; crypto/rand would cost each request a system call
	u[0], u[1], u[2], u[3], u[4], u[5] = byte(ms>>40), byte(ms>>32), byte(ms>>24), byte(ms>>16), byte(ms>>8), byte(ms)
	u[6], u[7] = 0x70|byte(hi>>8)&0x0f, byte(hi)
	for i := range 8 {
		u[8+i] = byte(lo >> (8 * i))
	}
	u[8] = 0x80 | u[8]&0x3f
	return u
}

// FirstID is below each id of that moment and later ones, and above those of earlier ones.
func FirstID(at time.Time) UUID {
	var u UUID
	ms := max(at.UnixMilli(), 0)
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	return u
}

// NewTokenID, NewProjectID and NewEventID mint the id of a new thing.
func NewTokenID(now time.Time) TokenID     { return TokenID{NewUUID(now)} }
func NewProjectID(now time.Time) ProjectID { return ProjectID{NewUUID(now)} }
func NewEventID(now time.Time) EventID     { return EventID{NewUUID(now)} }

// IsZero reports whether the id is unset.
func (u UUID) IsZero() bool { return u == UUID{} }

// Time is the moment of minting in a UUID of version 7, to the millisecond.
func (u UUID) Time() time.Time {
	ms := int64(u[0])<<40 | int64(u[1])<<32 | int64(u[2])<<24 | int64(u[3])<<16 | int64(u[4])<<8 | int64(u[5])
	return time.UnixMilli(ms).UTC()
}

// Append adds the 36 characters of the id to dst.
func (u UUID) Append(dst []byte) []byte {
	dst = hex.AppendEncode(dst, u[0:4])
	dst = hex.AppendEncode(append(dst, '-'), u[4:6])
	dst = hex.AppendEncode(append(dst, '-'), u[6:8])
	dst = hex.AppendEncode(append(dst, '-'), u[8:10])
	return hex.AppendEncode(append(dst, '-'), u[10:16])
}

// String implements [fmt.Stringer].
func (u UUID) String() string {
	var b [36]byte
	return string(u.Append(b[:0]))
}

// MarshalText implements [encoding.TextMarshaler].
func (u UUID) MarshalText() ([]byte, error) { return u.Append(make([]byte, 0, 36)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes the one spelling that String gives.
func (u *UUID) UnmarshalText(text []byte) error {
	parsed, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*u = parsed
	return nil
}

// ParseUUID reads the one spelling that [UUID.String] gives; another spelling of the same id is an error.
func ParseUUID(s string) (UUID, error) {
	u, ok := parseUUID(s)
	if !ok {
		return UUID{}, fmt.Errorf("%q is not an id of the form 8-4-4-4-12", s)
	}
	return u, nil
}

// parseUUID is ParseUUID for text of either kind, without an allocation.
func parseUUID[T string | []byte](s T) (u UUID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, false
	}
	i := 0
	for p := 0; p < 36; {
		if p == 8 || p == 13 || p == 18 || p == 23 {
			p++
			continue
		}
		hi, lo := hexValue(s[p]), hexValue(s[p+1])
		if hi > 15 || lo > 15 {
			return UUID{}, false
		}
		u[i] = hi<<4 | lo
		i, p = i+1, p+2
	}
	return u, true
}

// hexValue is the value of a lower-case hexadecimal digit, or 255.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// ParseTokenID and ParseProjectID read an id as [UUID.String] writes it.
func ParseTokenID(s string) (TokenID, error) { u, err := ParseUUID(s); return TokenID{u}, err }

func ParseProjectID(s string) (ProjectID, error) { u, err := ParseUUID(s); return ProjectID{u}, err }
func ParseEventID(s string) (EventID, error)     { u, err := ParseUUID(s); return EventID{u}, err }
