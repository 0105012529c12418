//go:build unix

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// base is what the Dockerfile builds on or from, in the argument that names it, and what stands in where that cannot be fetched.
type base struct {
	argument string
	fill     func(a *archive) // with programs of this machine
	settings []string         // ENV of the image
}

var bases = []base{
	{"NODE", nodeFiles, []string{"PATH=/usr/bin", "NODE_EXTRA_CA_CERTS=/" + certificates}},
	{"GO", goFiles, []string{"PATH=/usr/local/go/bin:/usr/bin", "GOPATH=/go", "GOTOOLCHAIN=local"}},
	{"BASE", func(*archive) {}, nil},
}

const certificates = "etc/ssl/certs/ca-certificates.crt"

// nodeFiles are Node, npm, and what the script that builds the site calls beside them.
func nodeFiles(a *archive) {
	a.programs("node", "sh", "bash", "cat", "cp", "cut", "dirname", "env", "find", "ln", "mkdir", "mktemp", "mv", "rm", "sha256sum", "sort", "uname", "xargs")
	npm := a.find("npm") // is npm/bin/npm-cli.js
	a.tree(filepath.Dir(filepath.Dir(npm)), "usr/lib/node_modules/npm", nil)
	a.link("usr/bin/npm", "/usr/lib/node_modules/npm/bin/"+filepath.Base(npm))
}

// goFiles are the toolchain, which brings the standard library as source.
func goFiles(a *archive) {
	a.programs("sh", "cp", "mkdir")
	a.tree(goEnv(a.t, "GOROOT")[0], "usr/local/go", func(path string) bool {
		top, _, _ := strings.Cut(path, "/")
		return top == "api" || top == "doc" || top == "misc" || top == "test" || strings.Contains(path, "/testdata")
	})
}

// buildArguments fetches the bases, and makes what cannot be fetched. They name what was made, and how the build gets at what this machine
// has already of packages and of what they compile to: an engine that was started here reaches nothing else.
func (d *docker) buildArguments() (arguments []string) {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, "Dockerfile"))
	require.NoError(d.t, err)
	made := map[string]bool{}
	for _, b := range bases {
		named := regexp.MustCompile(`(?m)^ARG ` + b.argument + `=(\S+)$`).FindSubmatch(text)
		require.NotNil(d.t, named, "the Dockerfile has no argument %s", b.argument)
		if d.try(nil, "pull", "--quiet", string(named[1])) == nil {
			continue
		}
		d.t.Logf("%s cannot be fetched: what this machine has of it stands in", named[1])
		name := "llm-proxy-test-" + strings.ToLower(b.argument)
		d.makeBase(name, b)
		arguments, made[b.argument] = append(arguments, "--build-arg", b.argument+"="+name), true
	}
	if made["NODE"] {
		cache, err := exec.CommandContext(d.t.Context(), "npm", "config", "get", "cache").Output()
		require.NoError(d.t, err)
		if packages := filepath.Join(strings.TrimSpace(string(cache)), "_cacache"); exists(packages) {
			d.seed("llm-proxy-test-node", packages, "/root/.npm", "_cacache")
		}
	}
	if made["GO"] {
		d.seed("llm-proxy-test-go", neededCache(d.t), "/root/.cache/go-build", "")
		modules := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(goEnv(d.t, "GOMODCACHE")[0], "cache", "download"))))
		d.t.Cleanup(modules.Close)
		arguments = append(arguments, "--build-arg", "GOPROXY="+modules.URL)
	}
	if len(made) > 0 {
		arguments = append(arguments, "--network", "host")
	}
	return arguments
}

// neededCache is what the go command finds of the program's packages in its cache, which has them after this.
func neededCache(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, environment := range [][]string{nil, {"GOCACHEPROG=" + self, seedDir + "=" + dir, cacheDir + "=" + goEnv(t, "GOCACHE")[0]}} {
		buildServer(t, filepath.Join(t.TempDir(), "llm-proxy"), "dev", environment...)
	}
	return dir
}

// seed puts files into the folder that builds keep under this path.
func (d *docker) seed(image, from, cache, folder string) {
	d.t.Helper()
	text := fmt.Sprintf("FROM %s\nRUN --mount=type=cache,target=%s --mount=type=bind,target=/seed mkdir -p %[2]s/%s && cp -R /seed/. %[2]s/%[3]s\n", image, cache, folder)
	require.NoError(d.t, d.try(strings.NewReader(text), "build", "--quiet", "--file", "-", from))
}

// makeBase makes an image of this machine's files.
func (d *docker) makeBase(name string, b base) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "base.tar")
	file, err := os.Create(path)
	require.NoError(d.t, err)
	defer file.Close()
	a := &archive{t: d.t, w: tar.NewWriter(file), has: map[string]bool{}}
	a.add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	a.link("bin", "usr/bin")
	root := "root:x:0:0:root:/root:/bin/sh\n"
	a.add(&tar.Header{Name: "etc/passwd", Mode: 0o644, Size: int64(len(root))}, strings.NewReader(root))
	a.file("/"+certificates, certificates)
	b.fill(a)
	require.NoError(d.t, a.w.Close())
	arguments := []string{"import"}
	for _, setting := range b.settings {
		arguments = append(arguments, "--change", "ENV "+setting)
	}
	d.run(append(arguments, path, name)...)
	d.t.Cleanup(func() { require.NoError(d.t, d.try(nil, "rmi", "--force", name)) })
}

// archive is a file system that is being written.
type archive struct {
	t   *testing.T
	w   *tar.Writer
	has map[string]bool
}

func (a *archive) add(h *tar.Header, content io.Reader) {
	a.t.Helper()
	if a.has[h.Name] {
		return
	}
	a.has[h.Name] = true
	require.NoError(a.t, a.w.WriteHeader(h))
	if content != nil {
		_, err := io.Copy(a.w, content)
		require.NoError(a.t, err)
	}
}

func (a *archive) link(name, to string) {
	a.t.Helper()
	a.add(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, nil)
}

// file adds a file of this machine, or what a link leads to.
func (a *archive) file(path, name string) {
	a.t.Helper()
	f, err := os.Open(path)
	require.NoError(a.t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(a.t, err)
	a.add(&tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size()}, f)
}

// tree adds a folder of this machine.
func (a *archive) tree(from, name string, leaveOut func(path string) bool) {
	a.t.Helper()
	require.NoError(a.t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case leaveOut != nil && leaveOut(within):
			if entry.IsDir() {
				return fs.SkipDir
			}
		case entry.Type() == fs.ModeSymlink:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			a.link(filepath.Join(name, within), to)
		case entry.Type().IsRegular():
			a.file(path, filepath.Join(name, within))
		}
		return nil
	}))
}

// find is where a program is, behind all links.
func (a *archive) find(program string) string {
	a.t.Helper()
	path, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrNotFound) {
		a.t.Skipf("SKIPPED: the base of the image that has %s can neither be fetched nor be made: %v", program, err)
	}
	require.NoError(a.t, err)
	path, err = filepath.EvalSymlinks(path)
	require.NoError(a.t, err)
	return path
}

// library is a line of ldd.
var library = regexp.MustCompile(`(?m)^\s+(?:\S+ => )?(/\S+) \(0x`)

// libc are the parts of the C library that a program may load when it runs.
var libc = []string{"libdl.so.2", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1"}

// programs adds programs of this machine, each with its libraries.
func (a *archive) programs(names ...string) {
	a.t.Helper()
	for _, name := range names {
		path := a.find(name)
		a.file(path, "usr/bin/"+name)
		needs, _ := exec.CommandContext(a.t.Context(), "ldd", path).Output() // fails on what needs none
		for _, found := range library.FindAllSubmatch(needs, -1) {
			path := string(found[1])
			a.file(path, strings.TrimPrefix(path, "/"))
			if filepath.Base(path) != "libc.so.6" {
				continue
			}
			for _, part := range libc {
				if part = filepath.Join(filepath.Dir(path), part); exists(part) {
					a.file(part, strings.TrimPrefix(part, "/"))
				}
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
