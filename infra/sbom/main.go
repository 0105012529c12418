// Command sbom writes what a built program consists of, as CycloneDX 1.6 in JSON: the Go modules that are linked into it, as the binary itself
// tells them, and the npm packages that its admin site is bundled from, as the lock file names them. It asks nobody, and the same binary and
// lock file make the same bytes.
package main

import (
	"cmp"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	binary := flags.String("binary", "", "program, as go build made it")
	lock := flags.String("lock", "", "package-lock.json of the site in the program; none is a program without a site")
	version := flags.String("version", "", "of the program (default: as the binary tells it)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(*binary)
	if err != nil {
		return fmt.Errorf("read build information: %w", err)
	}
	b, err := fromBinary(info, cmp.Or(*version, info.Main.Version))
	if err != nil {
		return err
	}
	if *lock != "" {
		data, err := os.ReadFile(*lock)
		if err != nil {
			return fmt.Errorf("read lock file: %w", err)
		}
		packages, err := fromLock(data)
		if err != nil {
			return fmt.Errorf("%s: %w", *lock, err)
		}
		b.Components = append(b.Components, packages...)
	}
	b.finish()
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

// bom is a bill of materials, in the fields of CycloneDX that are used.
type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Purl     string    `json:"purl"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licenses []license `json:"licenses,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// license is an SPDX expression, which one name is too.
type license struct {
	Expression string `json:"expression"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// fromBinary lists the modules that are linked in, and Go's own library.
func fromBinary(info *debug.BuildInfo, version string) (*bom, error) {
	main, err := module(info.Main.Path, cmp.Or(version, "(devel)"), "")
	if err != nil {
		return nil, err
	}
	main.Type = "application"
	b := &bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Metadata: metadata{main}}
	library, err := module("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")
	if err != nil {
		return nil, err
	}
	b.Components = append(b.Components, library)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c, err := module(m.Path, m.Version, m.Sum)
		if err != nil {
			return nil, err
		}
		b.Components = append(b.Components, c)
	}
	return b, nil
}

// module is a Go module. The sum is that of go.sum: of a list of its files and their hashes.
func module(path, version, sum string) (component, error) {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	c := component{Type: "library", Ref: purl, Name: path, Version: version, Purl: purl}
	if sum == "" {
		return c, nil
	}
	encoded, isSHA256 := strings.CutPrefix(sum, "h1:")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !isSHA256 {
		return component{}, fmt.Errorf("%s: %q is no sum of a module", path, sum)
	}
	c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
	return c, nil
}

// fromLock lists the packages that a bundle can hold: all but those for development.
func fromLock(data []byte) ([]component, error) {
	var lock struct {
		Version  int `json:"lockfileVersion"`
		Packages map[string]struct {
			Version   string `json:"version"`
			Integrity string `json:"integrity"`
			License   string `json:"license"`
			Dev       bool   `json:"dev"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, err
	}
	if lock.Version != 3 {
		return nil, fmt.Errorf("lock files of version %d are not known", lock.Version)
	}
	var all []component
	for place, p := range lock.Packages {
		if place == "" || p.Dev {
			continue
		}
		name := place[strings.LastIndex(place, "node_modules/")+len("node_modules/"):]
		purl := "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version
		c := component{Type: "library", Ref: purl, Name: name, Version: p.Version, Purl: purl}
		encoded, isSHA512 := strings.CutPrefix(p.Integrity, "sha512-")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || !isSHA512 {
			return nil, fmt.Errorf("%s: %q is no hash of a package", name, p.Integrity)
		}
		c.Hashes = []hash{{"SHA-512", hex.EncodeToString(raw)}}
		if p.License != "" {
			c.Licenses = []license{{p.License}}
		}
		all = append(all, c)
	}
	return all, nil
}

// finish puts the components in their order, each once, under the program that needs them.
func (b *bom) finish() {
	slices.SortFunc(b.Components, func(x, y component) int { return strings.Compare(x.Ref, y.Ref) })
	b.Components = slices.CompactFunc(b.Components, func(x, y component) bool { return x.Ref == y.Ref })
	needs := dependency{Ref: b.Metadata.Component.Ref, DependsOn: []string{}}
	for _, c := range b.Components {
		needs.DependsOn = append(needs.DependsOn, c.Ref)
	}
	b.Dependencies = []dependency{needs}
}
