package provider_test

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

var update = flag.Bool("update", false, "write default.go anew")

func TestTheDefaultIsWhatItsFilesSay(t *testing.T) {
	data, err := os.ReadFile("presets/providers.yaml")
	require.NoError(t, err)
	said, err := provider.Parse("providers.yaml", data)
	require.NoError(t, err)
	source, err := format.Source([]byte("// Code generated from presets/ by default_test.go. DO NOT EDIT.\n\npackage provider\n\n" +
		"import (\n\"net/url\"\n\"time\"\n)\n\nfunc defaultSet() *Set {\nreturn " + literal(reflect.ValueOf(said)) + "\n}\n"))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile("default.go", source, 0o600))
		return // what is compiled into this test is still the old one
	}
	committed, err := os.ReadFile("default.go")
	require.NoError(t, err)
	require.Equal(t, string(source), string(committed), "default.go is not what presets/ says: go generate ./internal/provider")
	require.Equal(t, said, provider.Default(), "and routes are the same too")
}

// literal writes a value as Go does. What is zero is left out, and so is what only the package itself can see: Default makes that.
func literal(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && v.Type() != reflect.TypeFor[*string]() {
		return "&" + literal(v.Elem())
	}
	kind := strings.ReplaceAll(v.Type().String(), "provider.", "")
	var fields []string
	switch v.Kind() {
	case reflect.Struct:
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
		if v.Type().Elem().Kind() == reflect.Pointer {
			return kind + "{\n" + strings.Join(fields, ",\n") + ",\n}"
		}
		return kind + "{" + strings.Join(fields, ", ") + "}"
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		if d, ok := v.Interface().(time.Duration); ok {
			return fmt.Sprintf("%d * time.Second", d/time.Second)
		}
		return fmt.Sprintf("%#v", v.Interface())
	default:
		panic("a Set has something new: " + kind)
	}
}
