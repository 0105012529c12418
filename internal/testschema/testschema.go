// Package testschema holds values against the JSON Schemas of docs. It is for tests alone.
package testschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Schema is what docs/*.schema.json use of JSON Schema.
type Schema struct {
	Schema      string             `json:"$schema"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Type        string             `json:"type"`
	Required    []string           `json:"required"`
	Properties  map[string]*Schema `json:"properties"`
	Additional  *Schema            `json:"additionalProperties"`
	Enum        []any              `json:"enum"`
	Pattern     string             `json:"pattern"`
	MinLength   int                `json:"minLength"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
}

// Read reads the schema in a file. One that says what is not looked at here fails the test.
func Read(t testing.TB, path string) *Schema {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var s Schema
	require.NoError(t, d.Decode(&s))
	return &s
}

// Problems says where a value is not as the schema has it, and notes in met what of the schema it has. What the schema does not describe is
// a problem too: it is for readers.
func (s *Schema) Problems(path string, v any, met map[string]bool) (found []string) {
	met[path] = true
	add := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		add("%v is none of %v", v, s.Enum)
	}
	switch v := v.(type) {
	case string:
		if s.Type != "string" || utf8.RuneCountInString(v) < s.MinLength || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			add("%q", v)
		}
	case bool:
		if s.Type != "boolean" {
			add("%v", v)
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || v != float64(int64(v))) || s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			add("%v", v)
		}
	case map[string]any:
		if s.Type != "object" {
			add("an object")
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				add("%s is missing", name)
			}
		}
		for name, member := range v {
			is := s.Properties[name]
			if is == nil {
				is = s.Additional
			}
			if is == nil {
				add("%s is not described", name)
				continue
			}
			found = append(found, is.Problems(path+"."+name, member, met)...)
		}
	default:
		add("%T", v)
	}
	return found
}

// Paths are the names of all that the schema describes.
func (s *Schema) Paths(path string) []string {
	all := []string{path}
	for name, member := range s.Properties {
		all = append(all, member.Paths(path+"."+name)...)
	}
	return all
}
