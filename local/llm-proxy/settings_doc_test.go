package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write generated documents anew")

const settingsDocument = "../../docs/settings.md"

func TestSettingsAreDocumented(t *testing.T) {
	want := documentSettings()
	if *update {
		require.NoError(t, os.WriteFile(settingsDocument, []byte(want), 0o644))
	}
	have, err := os.ReadFile(settingsDocument)
	require.NoError(t, err)
	require.Equal(t, want, string(have), "run make generate")
}

// documentSettings is docs/settings.md.
func documentSettings() string {
	var w strings.Builder
	w.WriteString(`# Settings

<!-- Generated from local/llm-proxy/settings.go by make generate. -->

Settings of ` + "`llm-proxy server`" + `, and of ` + "`llm-proxy setup`" + ` where they concern it. A flag wins over the environment, the environment over the
default. What cannot be taken is named before anything starts, all of it at once.

| environment | flag | default | |
|---|---|---|---|
`)
	for field := range reflect.TypeFor[settings]().Fields() {
		name := field.Tag.Get("env")
		if name == "" {
			continue
		}
		code := func(s string) string {
			if s == "" {
				return ""
			}
			return "`" + s + "`"
		}
		flag := field.Tag.Get("flag")
		if flag != "" {
			flag = "--" + flag
		}
		help := field.Tag.Get("help")
		if field.Tag.Get("secret") != "" {
			help += "; never a flag, since others can read a process's arguments"
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s |\n", name, code(flag), code(field.Tag.Get("envDefault")), strings.ReplaceAll(help, "|", `\|`))
	}
	w.WriteString(`
The file with the installation's own secrets, ` + "`keys.json`" + ` in the data folder (mode 0600), is made by ` + "`setup`" + ` or the first start: the sealing
secret that opens the provider keys, and, by ` + "`setup`" + ` and ` + "`--demo`" + `, management token and admin password. What is set in the environment wins
over it.
`)
	return w.String()
}

func TestEachSettingSaysWhatItIsFor(t *testing.T) {
	for field := range reflect.TypeFor[settings]().Fields() {
		if field.IsExported() {
			require.NotEmpty(t, field.Tag.Get("env"), field.Name)
			require.NotEmpty(t, field.Tag.Get("help"), field.Name)
		}
	}
}
