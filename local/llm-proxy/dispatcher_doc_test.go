package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/dispatch"
)

func TestEachDestinationAndItsSettingsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	var missing []string
	want := func(text string) {
		if !strings.Contains(string(b), text) {
			missing = append(missing, text)
		}
	}
	for _, name := range dispatch.Names() {
		want("| `" + name + "` |")
	}
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		if flag := field.Tag.Get("flag"); flag != "" {
			want("--" + flag)
		} else {
			want(field.Tag.Get("env"))
		}
	}
	require.Empty(t, missing, "not in docs/events.md")
}
