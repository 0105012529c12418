package provider

import (
	"flag"
	"fmt"
	"go/format"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write default.go and presets.go anew")

func TestTheDefaultIsWhatItsFilesSay(t *testing.T) {
	data, err := os.ReadFile("presets/providers.yaml")
	require.NoError(t, err)
	said, err := Parse("providers.yaml", data)
	require.NoError(t, err)
	if generated(t, "default.go", "import (\n\"net/url\"\n\"time\"\n)\n\nfunc defaultSet() *Set {\nreturn "+literal(reflect.ValueOf(said))+"\n}\n") {
		require.Equal(t, said, Default(), "and routes are the same too")
	}
}

func TestThePresetsAreWhatTheirFilesSay(t *testing.T) {
	var source strings.Builder
	presets := map[string]func() stanza{"openai": openaiPreset, "anthropic": anthropicPreset, "openai_compatible": openaiCompatiblePreset, "defaults": defaultsPreset}
	for _, name := range slices.Sorted(maps.Keys(presets)) {
		data, err := os.ReadFile("presets/" + name + ".yaml")
		require.NoError(t, err)
		var said stanza
		require.NoError(t, decode(data, &said))
		function := strings.ReplaceAll(name, "_compatible", "Compatible") + "Preset"
		fmt.Fprintf(&source, "func %s() stanza {\nreturn %s\n}\n\n", function, literal(reflect.ValueOf(said)))
	}
	generated(t, "presets.go", source.String())
}

// generated compares a file with what was made from presets/, or writes it. It reports whether that is what was compiled into this test.
func generated(t *testing.T, name, source string) bool {
	t.Helper()
	want, err := format.Source([]byte("// Code generated from presets/ by default_test.go. DO NOT EDIT.\n\npackage provider\n\n" + source))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(name, want, 0o600))
		return false
	}
	committed, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), string(committed), "%s is not what presets/ says: go generate ./internal/provider", name)
	return true
}

// literal writes a value as Go does. What is zero is left out, and so is what only the package itself can see: Default makes that.
func literal(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && v.Type() != reflect.TypeFor[*string]() {
		return "&" + literal(v.Elem())
	}
	kind := strings.NewReplacer("github.com/sofatutor/llm-proxy/internal/provider.", "", "provider.", "").Replace(v.Type().String())
	var fields []string
	switch v.Kind() {
	case reflect.Struct:
		if node := v.FieldByName("node"); node.IsValid() && !node.IsNil() { // a field of a file
			return kind + "{" + literal(v.FieldByName("value")) + ", ours}"
		}
		for field, value := range v.Fields() {
			if field.IsExported() && !value.IsZero() {
				fields = append(fields, field.Name+": "+literal(value))
			}
		}
		return kind + "{" + strings.Join(fields, ", ") + "}"
	case reflect.Map:
		for key, value := range v.Seq2() {
			fields = append(fields, literal(key)+": "+literal(value))
		}
		slices.Sort(fields)
		return kind + "{\n" + strings.Join(fields, ",\n") + ",\n}"
	case reflect.Slice:
		for _, value := range v.Seq2() {
			fields = append(fields, literal(value))
		}
		if of := v.Type().Elem().Kind(); of == reflect.Pointer || of == reflect.Struct {
			return kind + "{\n" + strings.Join(fields, ",\n") + ",\n}"
		}
		return kind + "{" + strings.Join(fields, ", ") + "}"
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() {
			return fmt.Sprintf("%d * time.Second", time.Duration(v.Int())/time.Second)
		}
		return strconv.FormatInt(v.Int(), 10)
	default:
		panic("a Set has something new: " + kind)
	}
}
