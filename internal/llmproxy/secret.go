package llmproxy

import (
	"fmt"
	"log/slog"
)

// redacted is what a secret shows of itself.
const redacted = "REDACTED"

// Secret is a value that must not be seen: a provider key, a token's secret, an operator's password. However it is printed,
// logged or encoded it shows "REDACTED"; only [Secret.Reveal] gives the value, so every place that needs it can be found.
type Secret struct {
	value *string // behind a pointer, since fmt prints fields by reflection where it is given a verb that does not fit
}

// NewSecret wraps a value that must not be seen.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value itself. It belongs into a header that leaves for the upstream, a file of mode 0600 or the one answer
// that shows a new token, and nowhere else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return redacted }

// Format implements [fmt.Formatter], so that no verb reaches the value by reflection.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements [encoding.TextMarshaler]; JSON and YAML encoders use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
