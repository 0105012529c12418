package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/usage"
)

// schema is what docs/providers.schema.json uses of JSON Schema.
type schema struct {
	Schema        string             `json:"$schema"`
	Defs          map[string]*schema `json:"$defs"`
	Ref           string             `json:"$ref"`
	Title         string             `json:"title"`
	Description   string             `json:"description"`
	Default       any                `json:"default"`
	Type          string             `json:"type"`
	Required      []string           `json:"required"`
	Properties    map[string]*schema `json:"properties"`
	Additional    *schemaOrFalse     `json:"additionalProperties"`
	PropertyNames *schema            `json:"propertyNames"`
	MinProperties int                `json:"minProperties"`
	Items         *schema            `json:"items"`
	MinItems      int                `json:"minItems"`
	Enum          []any              `json:"enum"`
	Not           *schema            `json:"not"`
	Pattern       string             `json:"pattern"`
	MinLength     int                `json:"minLength"`
	Minimum       *float64           `json:"minimum"`
	Maximum       *float64           `json:"maximum"`
}

// schemaOrFalse is the value of additionalProperties: nil is false.
type schemaOrFalse struct{ *schema }

func (s *schemaOrFalse) UnmarshalJSON(data []byte) error {
	if string(data) == "false" {
		return nil
	}
	return json.Unmarshal(data, &s.schema)
}

func readSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/providers.schema.json")
	require.NoError(t, err)
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // a keyword that is not checked below
	var s schema
	require.NoError(t, d.Decode(&s))
	return &s
}

// resolve is the schema that s refers to, or s itself.
func (s *schema) resolve(root *schema) *schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return root.Defs[name]
	}
	return s
}

// problems says where a value is not as the schema has it.
func (s *schema) problems(root *schema, path string, v any) (found []string) {
	s = s.resolve(root)
	add := func(format string, args ...any) { found = append(found, path+": "+fmt.Sprintf(format, args...)) }
	isType := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		isType["object"] = true
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				add("%s is missing", name)
			}
		}
		if len(v) < s.MinProperties {
			add("it is empty")
		}
		for name, value := range v {
			if s.PropertyNames != nil {
				found = append(found, s.PropertyNames.problems(root, path+"."+name, name)...)
			}
			switch member := s.Properties[name]; {
			case member != nil:
				found = append(found, member.problems(root, path+"."+name, value)...)
			case s.Additional == nil: // anything
			case s.Additional.schema == nil:
				add("unknown %s", name)
			default:
				found = append(found, s.Additional.problems(root, path+"."+name, value)...)
			}
		}
	case []any:
		isType["array"] = true
		if len(v) < s.MinItems {
			add("it is empty")
		}
		for i, item := range v {
			found = append(found, s.Items.problems(root, fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	case string:
		isType["string"] = true
		if len(v) < s.MinLength || s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			add("%q", v)
		}
	case bool:
		isType["boolean"] = true
	case uint64:
		isType["integer"] = true
		if s.Minimum != nil && float64(v) < *s.Minimum || s.Maximum != nil && float64(v) > *s.Maximum {
			add("%d", v)
		}
	}
	if s.Type != "" && !isType[s.Type] {
		add("%v is no %s", v, s.Type)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		add("%v is none of %v", v, s.Enum)
	}
	if s.Not != nil && len(s.Not.problems(root, path, v)) == 0 {
		add("%v", v)
	}
	return found
}

// problemsOf are those of a file.
func problemsOf(t *testing.T, root *schema, file string) []string {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal([]byte(file), &v))
	return root.problems(root, "", v)
}

// TestTheSchemaKnowsEachFieldAndNoOther: the parser's own structs say which there are.
func TestTheSchemaKnowsEachFieldAndNoOther(t *testing.T) {
	root := readSchema(t)
	stanzaOf := root.Defs["provider"]
	endpointOf := stanzaOf.Properties["endpoints"].Items
	var compare func(path string, s *schema, of reflect.Type)
	compare = func(path string, s *schema, of reflect.Type) {
		require.NotNil(t, s.Additional, "%s: other fields are mistakes", path)
		require.Nil(t, s.Additional.schema, path)
		names := map[string]bool{}
		for i := range of.NumField() {
			f := of.Field(i)
			name := f.Tag.Get("yaml")
			names[name] = true
			require.Contains(t, s.Properties, name, path)
			if strings.HasSuffix(f.Type.Name(), "File") { // a part of its own
				compare(path+"."+name, s.Properties[name], f.Type)
			}
		}
		for name := range s.Properties {
			require.True(t, names[name], "%s.%s is no field", path, name)
		}
	}
	compare("", root, reflect.TypeFor[setFile]())
	compare("provider", stanzaOf, reflect.TypeFor[stanza]())
	compare("endpoint", endpointOf, reflect.TypeFor[endpointFile]())

	var kinds []any
	for _, kind := range usage.Kinds() {
		kinds = append(kinds, kind)
	}
	require.ElementsMatch(t, kinds, endpointOf.Properties["usage"].Enum)
	for _, name := range stanzaOf.Properties["preset"].Enum {
		_, err := preset(field[string]{name.(string), ours})
		require.NoError(t, err)
	}
}

// TestTheSchemaTellsTheDefaults that hold where neither a stanza nor its preset says otherwise.
func TestTheSchemaTellsTheDefaults(t *testing.T) {
	data, err := os.ReadFile("presets/defaults.yaml")
	require.NoError(t, err)
	var want map[string]any
	require.NoError(t, yaml.Unmarshal(data, &want))
	var told func(s *schema) any
	told = func(s *schema) any {
		if s.Default != nil || len(s.Properties) == 0 {
			return s.Default
		}
		parts := map[string]any{}
		for name, part := range s.Properties {
			if value := told(part); value != nil {
				parts[name] = value
			}
		}
		if len(parts) == 0 {
			return nil
		}
		return parts
	}
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := json.Marshal(told(readSchema(t).Defs["provider"]))
	require.NoError(t, err)
	require.JSONEq(t, string(wanted), string(got))
}

// TestTheSchemaAcceptsWhatTheProgramDoes: the presets, and the example of the documentation.
func TestTheSchemaAcceptsWhatTheProgramDoes(t *testing.T) {
	root := readSchema(t)
	for _, name := range []string{"openai", "anthropic", "openai_compatible", "defaults"} {
		data, err := os.ReadFile("presets/" + name + ".yaml")
		require.NoError(t, err)
		var v any
		require.NoError(t, yaml.Unmarshal(data, &v))
		require.Empty(t, root.Defs["provider"].problems(root, name, v))
	}
	data, err := os.ReadFile("presets/providers.yaml")
	require.NoError(t, err)
	require.Empty(t, problemsOf(t, root, string(data)))

	page, err := os.ReadFile("../../docs/providers.md")
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, examples)
	for _, example := range examples {
		_, err := Parse("docs/providers.md", []byte(example[1]))
		require.NoError(t, err)
		require.Empty(t, problemsOf(t, root, example[1]))
	}
}

// TestTheSchemaSeesMistakes that the program refuses too.
func TestTheSchemaSeesMistakes(t *testing.T) {
	root := readSchema(t)
	with := func(line string) string {
		return "default: a\nproviders:\n  a:\n    preset: openai_compatible\n    base_url: https://a.example\n    " + line + "\n"
	}
	require.Empty(t, problemsOf(t, root, with("private: true")))
	for _, file := range []string{
		"default: a\n",
		"default: a\nproviders: {}\n",
		"default: v1\nproviders:\n  v1: {preset: openai}\n",
		"default: A\nproviders:\n  A: {preset: openai}\n",
		"default: a\nproviders:\n  a: {preset: mistral}\n",
		"default: a\nproviders:\n  a: {preset: openai, base_url: a.example}\n",
		"default: a\nproviders:\n  a: {preset: openai, base_url: 'https://u:p@a.example'}\n",
		with("colour: red"),
		with("private: maybe"),
		with("path_prefix: v2"),
		with("auth: {header: My Key}"),
		with("auth: {scheme: a b}"),
		with("errors: google"),
		with("request_headers: {drop: ['X A']}"),
		with("request_headers: {set: {'X A': x}}"),
		with("response_headers: {drop: ['']}"),
		with("endpoints: [{path: /v1/x}]"),
		with("endpoints: [{methods: [GET]}]"),
		with("endpoints: [{path: /x, methods: [GET]}]"),
		with("endpoints: [{path: /v1/x/, methods: [GET]}]"),
		with("endpoints: [{path: /v1/x, methods: []}]"),
		with("endpoints: [{path: /v1/x, methods: [FETCH]}]"),
		with("endpoints: [{path: /v1/x, methods: [GET], usage: guess}]"),
		with("endpoints: [{path: /v1/x, methods: [GET], group: all}]"),
		with("endpoints: [{path: /v1/x, methods: [GET], request_bytes: 5MB}]"),
		with("endpoints: [{path: /v1/x, methods: [GET], cost: high}]"),
		with("timeouts: {idle: soon}"),
		with("timeouts: {total: 5s}"),
		with("limits: {connections_per_host: 0}"),
		with("limits: {request_bytes: 0B}"),
		with("cors: {allowed_origins: ['*']}"),
		with("retry: {attempts: 2}"),
		with("circuit_breaker: {failures: 0}"),
	} {
		require.NotEmpty(t, problemsOf(t, root, file), "%s", file)
		_, err := Parse("p.yaml", []byte(file))
		require.Error(t, err, "%s", file)
	}
}
