package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/mod/semver"
)

// releaseFlags are those of release draft.
type releaseFlags struct {
	version string
	yes     bool
	json    bool
}

func newReleaseCommand() *cobra.Command {
	release := &cobra.Command{
		Use:   "release",
		Short: "Prepare a release of this repository",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f releaseFlags
	draft := &cobra.Command{
		Use:   "draft",
		Short: "Show the next version and its changelog; with --yes, tag it",
		Long: `Reads the commits since the last version tag of the git repository it is started
in, and shows the next version and a changelog. Subjects may be conventional
("feat: ...", "fix!: ...") or plain sentences. A breaking change raises the
first number (the second before 1.0.0), corrections and upkeep alone the third,
anything else the second.

It writes nothing. With --yes it makes an annotated tag with the changelog as
its message; pushing it is left to you. A tree with changes is refused, since
what was tagged would not be what is there.`,
		Example: `llm-proxy release draft
llm-proxy release draft --as v1.0.0 --yes && git push origin v1.0.0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return draftRelease(cmd.Context(), &repository{dir: "."}, &f, time.Now(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := draft.Flags()
	flags.StringVar(&f.version, "as", "", "version to take instead of the one that follows from the commits, such as v1.0.0")
	flags.BoolVar(&f.yes, "yes", false, "make the tag")
	flags.BoolVar(&f.json, "json", false, "print the draft as JSON")
	release.AddCommand(draft)
	return release
}

// firstVersion is that of a repository without a version tag.
const firstVersion = "v0.1.0"

// releaseDraft is what would be released.
type releaseDraft struct {
	Version  string   `json:"version"`
	Previous string   `json:"previous,omitempty"` // tag of the version before; empty for the first
	Commit   string   `json:"commit"`             // that would be tagged
	Commits  []change `json:"commits"`            // newest first
	Notes    string   `json:"notes"`              // the changelog in markdown
	Tagged   bool     `json:"tagged"`
}

func draftRelease(ctx context.Context, repo *repository, f *releaseFlags, now time.Time, out, talk io.Writer) error {
	d, err := newReleaseDraft(ctx, repo, f.version, now)
	if err != nil {
		return err
	}
	if f.yes {
		if err := repo.tag(ctx, d.Version, d.Commit, d.Version+"\n\n"+d.Notes); err != nil {
			return err
		}
		d.Tagged = true
	}
	if f.json {
		err = json.NewEncoder(out).Encode(d)
	} else {
		_, err = io.WriteString(out, printable(d.Notes))
	}
	since := "the first version"
	if d.Previous != "" {
		since = "after " + d.Previous
	}
	if d.Tagged {
		fmt.Fprintf(talk, "tagged %s as %s, %s; to publish it: git push origin %s\n", d.Commit[:shortHash], d.Version, since, d.Version)
	} else {
		fmt.Fprintf(talk, "would tag %s as %s, %s; nothing was written, --yes makes the tag\n", d.Commit[:shortHash], d.Version, since)
	}
	return err
}

// newReleaseDraft reads the repository.
func newReleaseDraft(ctx context.Context, repo *repository, as string, now time.Time) (*releaseDraft, error) {
	refuse := func(format string, args ...any) error {
		return &exitError{exitRefused, fmt.Errorf(format, args...)}
	}
	if as != "" && semver.Canonical(as) != as {
		return nil, usageError("--as: %q is not a version such as v1.2.3", as)
	}
	head, err := repo.head(ctx)
	if err != nil {
		return nil, err
	}
	if dirty, err := repo.changes(ctx); err != nil {
		return nil, err
	} else if dirty != "" {
		return nil, refuse("the tree has changes that no commit has; commit or remove them first:\n%s", dirty)
	}
	if shallow, err := repo.shallow(ctx); err != nil {
		return nil, err
	} else if shallow {
		return nil, refuse("this clone is shallow, tags and commits may be missing; complete it first: git fetch --unshallow --tags")
	}
	d := &releaseDraft{Commit: head}
	if d.Previous, err = repo.lastVersion(ctx); err != nil {
		return nil, err
	}
	if d.Commits, err = repo.commits(ctx, d.Previous); err != nil {
		return nil, err
	}
	if len(d.Commits) == 0 {
		return nil, refuse("there is nothing to release: no commit since %s", d.Previous)
	}
	d.Version = nextVersion(d.Previous, d.Commits)
	if as != "" {
		if semver.Compare(as, d.Previous) <= 0 {
			return nil, usageError("--as: %s does not come after %s", as, d.Previous)
		}
		d.Version = as
	}
	d.Notes = releaseNotes(d.Version, d.Commits, now)
	return d, nil
}

// nextVersion is the one after previous that the weightiest change asks for.
func nextVersion(previous string, changes []change) string {
	if previous == "" {
		return firstVersion
	}
	prerelease := semver.Prerelease(previous)
	core := strings.TrimSuffix(previous, prerelease)
	if prerelease != "" {
		return core // what was tried is released
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(core, "v%d.%d.%d", &major, &minor, &patch); err != nil {
		return firstVersion // a canonical version has three numbers
	}
	weight := kindUpkeep
	for _, c := range changes {
		weight = max(weight, c.Kind)
	}
	switch {
	case weight == kindBreaking && major > 0:
		return fmt.Sprintf("v%d.0.0", major+1)
	case weight == kindBreaking, weight == kindFeature, weight == kindPlain:
		return fmt.Sprintf("v%d.%d.0", major, minor+1)
	}
	return fmt.Sprintf("v%d.%d.%d", major, minor, patch+1)
}

// releaseNotes is the changelog of a version.
func releaseNotes(version string, changes []change, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s - %s\n", version, now.UTC().Format(time.DateOnly))
	for _, group := range []struct {
		kind changeKind
		name string
	}{{kindBreaking, "Breaking changes"}, {kindFeature, "New"}, {kindPlain, "Changes"}, {kindFix, "Fixes"}, {kindUpkeep, "Upkeep"}} {
		first := true
		for _, c := range changes {
			if c.Kind != group.kind {
				continue
			}
			if first {
				fmt.Fprintf(&b, "\n### %s\n\n", group.name)
				first = false
			}
			scope := ""
			if c.Scope != "" {
				scope = "**" + c.Scope + "**: "
			}
			fmt.Fprintf(&b, "- %s%s (%s)\n", scope, c.Text, c.Hash[:shortHash])
		}
	}
	return b.String()
}

// errNoRepository: the command was not started in one.
var errNoRepository = errors.New("this is no git repository with a commit in it")
