package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gitRepo is a repository for a test, apart from the person's own configuration.
type gitRepo struct {
	repository
	t *testing.T
}

func newGitRepo(t *testing.T, subjects ...string) *gitRepo {
	t.Helper()
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": os.DevNull, "GIT_CONFIG_SYSTEM": os.DevNull, "GIT_DIR": "", "GIT_WORK_TREE": "", "GIT_INDEX_FILE": "",
		"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
	} {
		t.Setenv(name, value)
		if value == "" {
			require.NoError(t, os.Unsetenv(name))
		}
	}
	r := &gitRepo{repository{t.TempDir()}, t}
	r.run("init", "--quiet", "--initial-branch=main")
	for _, s := range subjects {
		r.commit(s)
	}
	return r
}

func (r *gitRepo) run(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

func (r *gitRepo) commit(message string) { r.run("commit", "--quiet", "--allow-empty", "-m", message) }

var aDay = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func (r *gitRepo) draft(as string) (*releaseDraft, error) {
	return newReleaseDraft(r.t.Context(), &r.repository, as, aDay)
}

func TestTheNextVersionFollowsFromTheCommits(t *testing.T) {
	for _, c := range []struct {
		tag, want string
		subjects  []string
	}{
		{"v1.2.3", "v1.2.4", []string{"fix: a leak"}},
		{"v1.2.3", "v1.2.4", []string{"docs: a word", "chore(deps): newer", "Format", "Fix the leak"}},
		{"v1.2.3", "v1.3.0", []string{"fix: a leak", "feat(proxy): streams"}},
		{"v1.2.3", "v1.3.0", []string{"Add streams"}},
		{"v1.2.3", "v1.3.0", []string{"A request that is cut says so"}},
		{"v1.2.3", "v2.0.0", []string{"feat!: another API"}},
		{"v1.2.3", "v2.0.0", []string{"fix: a leak\n\nBREAKING CHANGE: the flag is gone"}},
		{"v1.2.3", "v2.0.0", []string{"The flag is gone\n\nBREAKING-CHANGE: use the other one"}},
		{"v0.4.1", "v0.5.0", []string{"feat!: another API"}},
		{"v0.4.1", "v0.4.2", []string{"perf: faster"}},
		{"v1.0.0-rc.1", "v1.0.0", []string{"feat: one more"}},
		{"v9.99.9", "v9.99.10", []string{"fix: count"}},
	} {
		r := newGitRepo(t, "the beginning")
		r.run("tag", c.tag)
		for _, s := range c.subjects {
			r.commit(s)
		}
		d, err := r.draft("")
		require.NoError(t, err)
		require.Equal(t, c.want, d.Version, "%s and then %q", c.tag, c.subjects)
		require.Equal(t, c.tag, d.Previous)
		require.Len(t, d.Commits, len(c.subjects))
	}
}

func TestARepositoryWithoutATagHasItsFirstVersion(t *testing.T) {
	r := newGitRepo(t, "one", "feat: two")
	d, err := r.draft("")
	require.NoError(t, err)
	require.Equal(t, firstVersion, d.Version)
	require.Empty(t, d.Previous)
	require.Len(t, d.Commits, 2)
}

func TestOnlyVersionTagsOnTheWayToHeadCount(t *testing.T) {
	r := newGitRepo(t, "one")
	r.run("tag", "v0.9.0")
	r.run("tag", "v0.10.0")
	r.run("tag", "v1")
	r.run("tag", "vNext")
	r.run("tag", "release-7")
	r.run("switch", "--quiet", "-c", "other")
	r.commit("fix: elsewhere")
	r.run("tag", "v5.0.0")
	r.run("switch", "--quiet", "main")
	r.commit("fix: here")
	d, err := r.draft("")
	require.NoError(t, err)
	require.Equal(t, "v0.10.0", d.Previous, "0.10 comes after 0.9, and the other branch is not this one")
	require.Equal(t, "v0.10.1", d.Version)
}

func TestTheChangelogIsGrouped(t *testing.T) {
	r := newGitRepo(t, "docs: how to", "fix(store): a leak", "A sentence that does not say", "feat: streams", "feat(api)!: another form")
	r.run("switch", "--quiet", "-c", "side", "HEAD~1")
	r.commit("Add a side")
	r.run("switch", "--quiet", "main")
	r.run("merge", "--quiet", "--no-ff", "-m", "Merge branch side", "side")
	d, err := r.draft("")
	require.NoError(t, err)
	hash := func(text string) string {
		for _, c := range d.Commits {
			if c.Text == text {
				return c.Hash[:shortHash]
			}
		}
		t.Fatalf("no commit %q", text)
		return ""
	}
	require.Equal(t, `## v0.1.0 - 2026-11-24

### Breaking changes

- **api**: another form (`+hash("another form")+`)

### New

- Add a side (`+hash("Add a side")+`)
- streams (`+hash("streams")+`)

### Changes

- A sentence that does not say (`+hash("A sentence that does not say")+`)

### Fixes

- **store**: a leak (`+hash("a leak")+`)

### Upkeep

- how to (`+hash("how to")+`)
`, d.Notes, "merges say nothing of their own")
}

// snapshot is every file of a repository with its content.
func snapshot(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		files[path] = string(data)
		return nil
	}))
	return files
}

func TestADraftWritesNothing(t *testing.T) {
	r := newGitRepo(t, "one")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "file"), []byte("x"), 0o600))
	r.run("add", "file")
	r.commit("feat: two")
	// A touched file would make git status refresh its index.
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(r.dir, "file"), later, later))
	before := snapshot(t, r.dir)
	var out, talk bytes.Buffer
	require.NoError(t, draftRelease(t.Context(), &r.repository, &releaseFlags{}, aDay, &out, &talk))
	require.Equal(t, before, snapshot(t, r.dir))
	require.Contains(t, out.String(), "## v0.1.0")
	require.Contains(t, talk.String(), "would tag "+r.run("rev-parse", "HEAD")[:shortHash]+" as v0.1.0, the first version; nothing was written")
}

func TestYesMakesAnAnnotatedTagWithTheChangelog(t *testing.T) {
	r := newGitRepo(t, "feat: one")
	var out, talk bytes.Buffer
	require.NoError(t, draftRelease(t.Context(), &r.repository, &releaseFlags{yes: true, json: true}, aDay, &out, &talk))
	var d struct {
		Version string
		Tagged  bool
		Commits []struct{ Kind, Text string }
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	require.Equal(t, "v0.1.0", d.Version)
	require.True(t, d.Tagged)
	require.Equal(t, "feature", d.Commits[0].Kind)
	require.Equal(t, "tag", r.run("cat-file", "-t", "v0.1.0"))
	require.Equal(t, r.run("rev-parse", "HEAD"), r.run("rev-parse", "v0.1.0^{commit}"))
	require.Contains(t, r.run("tag", "-l", "--format=%(contents)", "v0.1.0"), "### New\n\n- one (")
	require.Contains(t, talk.String(), "git push origin v0.1.0")

	_, err := r.draft("")
	require.Equal(t, exitRefused, exitCode(err), "there is nothing since")
	require.ErrorContains(t, err, "no commit since v0.1.0")
}

func TestATreeWithChangesIsRefused(t *testing.T) {
	r := newGitRepo(t, "feat: one")
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "new.txt"), nil, 0o600))
	err := draftRelease(t.Context(), &r.repository, &releaseFlags{yes: true}, aDay, &bytes.Buffer{}, &bytes.Buffer{})
	require.Equal(t, exitRefused, exitCode(err))
	require.ErrorContains(t, err, "new.txt")
	require.Empty(t, r.run("tag"))
}

func TestAVersionOfOnesOwnComesAfterTheLast(t *testing.T) {
	r := newGitRepo(t, "one")
	r.run("tag", "v1.2.0")
	r.commit("fix: two")
	d, err := r.draft("v2.0.0")
	require.NoError(t, err)
	require.Equal(t, "v2.0.0", d.Version)
	for _, as := range []string{"v1.2.0", "v1.1.9", "2.0.0", "v2", "v2.0.0+build"} {
		_, err := r.draft(as)
		require.Equal(t, exitUsage, exitCode(err), as)
	}
}

func TestAShallowCloneIsRefused(t *testing.T) {
	r := newGitRepo(t, "one", "two")
	clone := &gitRepo{repository{filepath.Join(t.TempDir(), "clone")}, t}
	r.run("clone", "--quiet", "--depth=1", "file://"+r.dir, clone.dir)
	_, err := clone.draft("")
	require.Equal(t, exitRefused, exitCode(err))
	require.ErrorContains(t, err, "git fetch --unshallow")
}

func TestWithoutARepositoryThereIsNothingToDraft(t *testing.T) {
	newGitRepo(t) // for its environment
	t.Setenv("GIT_CEILING_DIRECTORIES", "/")
	_, err := newReleaseDraft(t.Context(), &repository{t.TempDir()}, "", aDay)
	require.ErrorIs(t, err, errNoRepository)
	_, err = newReleaseDraft(t.Context(), &newGitRepo(t).repository, "", aDay)
	require.ErrorIs(t, err, errNoRepository, "one without a commit has nothing to tag")
}
