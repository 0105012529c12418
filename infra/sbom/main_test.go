package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

const (
	root = "../.."
	lock = root + "/internal/admin/ui/package-lock.json"
)

// program builds the server as a release is built, but for what strips it.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "llm-proxy")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "./local/llm-proxy")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func write(t *testing.T, args ...string) (bom, []byte) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(args, &out))
	var b bom
	require.NoError(t, json.Unmarshal(out.Bytes(), &b))
	return b, out.Bytes()
}

// TestTheBillOfMaterialsIsCompleteAndTheSameTwice: it has each module that the compiler takes packages from, at the version and with the hash
// that go.mod and go.sum ask for, and each package of npm's lock file that is not for development alone.
func TestTheBillOfMaterialsIsCompleteAndTheSameTwice(t *testing.T) {
	binary := program(t)
	b, bytes := write(t, "-binary", binary, "-lock", lock, "-version", "v1.2.3")
	_, again := write(t, "-binary", binary, "-lock", lock, "-version", "v1.2.3")
	require.Equal(t, string(bytes), string(again))
	require.Equal(t, "CycloneDX 1.6", b.Format+" "+b.SpecVersion)
	require.Equal(t, "pkg:golang/github.com/sofatutor/llm-proxy@v1.2.3", b.Metadata.Component.Purl)

	found := map[string]component{}
	for _, c := range b.Components {
		require.NotContains(t, found, c.Ref, "once")
		require.Regexp(t, `^pkg:(golang|npm)/\S+@[^@\s]+$`, c.Purl)
		found[c.Ref] = c
	}
	require.Equal(t, b.Metadata.Component.Ref, b.Dependencies[0].Ref)
	require.Len(t, b.Dependencies[0].DependsOn, len(b.Components))

	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "./local/llm-proxy")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	listed, err := cmd.Output()
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", data, nil)
	require.NoError(t, err)
	required := map[string]string{}
	for _, r := range mod.Require {
		required[r.Mod.Path] = r.Mod.Version
	}
	want := map[string]bool{}
	for line := range strings.Lines(string(listed)) {
		path, version, isModule := strings.Cut(strings.TrimSpace(line), " ")
		if !isModule {
			continue
		}
		require.Equal(t, required[path], version, "%s stands in go.mod", path)
		ref := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
		want[ref] = true
		require.Contains(t, found, ref)
		require.Equal(t, "SHA-256", found[ref].Hashes[0].Algorithm, ref)
		require.Len(t, found[ref].Hashes[0].Content, 64, ref)
	}
	require.Greater(t, len(want), 30, "go list told of few modules")
	packages, fromDevelopment := lockFile(t)
	require.Greater(t, len(packages), 30)
	for ref := range packages {
		want[ref] = true
		require.Contains(t, found, ref)
		require.Equal(t, "SHA-512", found[ref].Hashes[0].Algorithm, ref)
	}
	for ref := range fromDevelopment {
		require.False(t, found[ref].Ref != "" && !packages[ref], "%s is for development alone", ref)
	}
	for ref := range found {
		require.True(t, want[ref] || strings.HasPrefix(ref, "pkg:golang/stdlib@1."), "%s: nothing asks for it", ref)
	}

	without, _ := write(t, "-binary", binary)
	require.Less(t, len(without.Components), len(b.Components), "a program without a site has no npm packages")
}

// lockFile reads the lock file in another way than the program does: what is for development alone apart from the rest.
func lockFile(t *testing.T) (packages, development map[string]bool) {
	t.Helper()
	data, err := os.ReadFile(lock)
	require.NoError(t, err)
	var tree struct{ Packages map[string]map[string]any }
	require.NoError(t, json.Unmarshal(data, &tree))
	packages, development = map[string]bool{}, map[string]bool{}
	for place, p := range tree.Packages {
		parts := strings.Split(place, "node_modules/")
		ref := "pkg:npm/" + strings.TrimSuffix(strings.Replace(parts[len(parts)-1], "@", "%40", 1), "/")
		switch {
		case place == "":
		case p["dev"] == true:
			development[ref+"@"+p["version"].(string)] = true
		default:
			packages[ref+"@"+p["version"].(string)] = true
		}
	}
	return packages, development
}

func TestWhatIsNoProgramOrNoLockFileIsAnError(t *testing.T) {
	require.ErrorContains(t, run([]string{"-binary", "main.go"}, &bytes.Buffer{}), "read build information")
	for text, wants := range map[string]string{
		"{": "unexpected end", `{"lockfileVersion":2}`: "version 2",
		`{"lockfileVersion":3,"packages":{"node_modules/x":{"version":"1.0.0","integrity":"sha1-AAAA"}}}`: `x: "sha1-AAAA" is no hash`,
		`{"lockfileVersion":3,"packages":{"node_modules/x":{"version":"1.0.0"}}}`:                         `x: "" is no hash`,
	} {
		_, err := fromLock([]byte(text))
		require.ErrorContains(t, err, wants)
	}
	_, err := module("x", "v1.0.0", "h2:AAAA")
	require.ErrorContains(t, err, `"h2:AAAA" is no sum`)
}
