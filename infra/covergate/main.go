// Command covergate reads a coverage profile and fails when too little of the code was run: a floor for everything together and one
// for each package, so that a well tested package cannot hide one that is not.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/cover"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "covergate:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("covergate", flag.ContinueOnError)
	file := flags.String("profile", "coverage.out", "profile that go test wrote")
	total := flags.Float64("total", 90, "percent of all statements that must have run")
	each := flags.Float64("package", 80, "percent of each package's statements that must have run")
	generated := flags.String("generated", "", "comma-separated `patterns` of file names that are generated and do not count")
	if err := flags.Parse(args); err != nil {
		return err
	}
	profiles, err := cover.ParseProfiles(*file)
	if err != nil {
		return fmt.Errorf("read profile: %w", err)
	}
	packages, err := count(profiles, strings.Split(*generated, ","))
	if err != nil {
		return err
	}
	return judge(packages, *total, *each, out)
}

// statements of a package or of all: how many there are, and how many of them ran.
type statements struct{ all, ran int }

func (s statements) percent() float64 {
	if s.all == 0 {
		return 100
	}
	return 100 * float64(s.ran) / float64(s.all)
}

// count sums the profile's statements by package. The profile has each block once, also when several test binaries ran it.
func count(profiles []*cover.Profile, generated []string) (map[string]statements, error) {
	packages := map[string]statements{}
	for _, profile := range profiles {
		skip, err := matchesAny(generated, path.Base(profile.FileName))
		if err != nil {
			return nil, err
		}
		if skip {
			continue
		}
		name := path.Dir(profile.FileName)
		sum := packages[name]
		for _, block := range profile.Blocks {
			sum.all += block.NumStmt
			if block.Count > 0 {
				sum.ran += block.NumStmt
			}
		}
		packages[name] = sum
	}
	return packages, nil
}

func matchesAny(patterns []string, name string) (bool, error) {
	for _, pattern := range patterns {
		matched, err := path.Match(pattern, name)
		if err != nil {
			return false, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if matched {
			return true, nil
		}
	}
	return false, nil
}

// judge prints a line for each package and returns an error that names those below the floor.
func judge(packages map[string]statements, total, each float64, out io.Writer) error {
	if len(packages) == 0 {
		return errors.New("the profile holds no code")
	}
	var sum statements
	var low []string
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		p := packages[name]
		sum.all += p.all
		sum.ran += p.ran
		mark := ""
		if p.percent() < each {
			mark = fmt.Sprintf("  below %.0f", each)
			low = append(low, name)
		}
		fmt.Fprintf(out, "%6.1f %%  %5d of %5d  %s%s\n", p.percent(), p.ran, p.all, name, mark)
	}
	fmt.Fprintf(out, "%6.1f %%  %5d of %5d  all\n", sum.percent(), sum.ran, sum.all)
	if sum.percent() < total {
		low = append(low, fmt.Sprintf("all together (%.1f %%, wanted %.0f %%)", sum.percent(), total))
	}
	if low != nil {
		return fmt.Errorf("too little covered: %s", strings.Join(low, ", "))
	}
	return nil
}
