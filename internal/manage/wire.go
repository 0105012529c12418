package manage

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// The types of the wire. They are not the nouns: what is written here is promised to clients, whatever becomes of the nouns.

// optional is a member that may be absent, null or a value.
type optional[T any] struct {
	Set   bool // it was there
	Null  bool // as null
	Value T    // the zero value unless there is one
}

// UnmarshalJSON implements [json.Unmarshaler]; it is called for null too, and again for a member that stands twice: the last one counts.
func (o *optional[T]) UnmarshalJSON(data []byte) error {
	*o = optional[T]{Set: true, Null: string(data) == "null"}
	return json.Unmarshal(data, &o.Value)
}

// Schema implements [huma.SchemaProvider].
func (o optional[T]) Schema(r huma.Registry) *huma.Schema {
	s := *r.Schema(reflect.TypeFor[T](), false, "")
	s.Nullable = true
	if len(s.Enum) > 0 {
		s.Enum = append(slices.Clone(s.Enum), nil)
	}
	return &s
}

// cleared is what to change a field to, where null clears it; nil leaves it.
func (o *optional[T]) cleared() *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}

// given is what to change a field to that cannot be null; nil leaves it.
func (o *optional[T]) given(problems *FieldErrors, field string) *T {
	if o.Null {
		problems.add(field, "cannot be null")
		return nil
	}
	return o.cleared()
}

// secretText is a secret on its way in. It has no way out.
type secretText struct{ llmproxy.Secret }

// UnmarshalJSON implements [json.Unmarshaler].
func (s *secretText) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	s.Secret = llmproxy.NewSecret(text)
	return nil
}

// Schema implements [huma.SchemaProvider].
func (secretText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "password", WriteOnly: true}
}

// whole is an integer, however JSON spells it: 60, 60.0, 6e1.
type whole int64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *whole) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 { // the schema has said so before
		return errors.New("is no integer")
	}
	*n = whole(f)
	return nil
}

// Schema implements [huma.SchemaProvider].
func (whole) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
}

// captureName is a [llmproxy.Capture] that is said.
type captureName string

// Schema implements [huma.SchemaProvider].
func (captureName) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: []any{string(llmproxy.CaptureFull), string(llmproxy.CaptureMetadata)}}
}

// limitOf is a cap on the wire: null is none.
func limitOf(o optional[whole]) *Limit {
	if !o.Set {
		return nil
	}
	return &Limit{N: int64(o.Value), None: o.Null}
}

// limitNumber is a cap as it goes out: null is none.
func limitNumber(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// schemaName calls the schema of wireProject Project.
func schemaName(t reflect.Type, hint string) string {
	return strings.TrimPrefix(huma.DefaultSchemaNamer(t, hint), "Wire")
}
