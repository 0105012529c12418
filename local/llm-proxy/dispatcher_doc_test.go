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
	page := string(b)
	for _, name := range dispatch.Names() {
		require.True(t, strings.Contains(page, "| `"+name+"` |"), name)
	}
	for field := range reflect.TypeFor[dispatcherSettings]().Fields() {
		name := field.Tag.Get("env")
		if flag := field.Tag.Get("flag"); flag != "" {
			name = "--" + flag
		}
		if name != "" {
			require.True(t, strings.Contains(page, name), "%s is not in docs/events.md", name)
		}
	}
}
