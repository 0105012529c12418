package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// changeKind is what a commit means to those who use the program, the weightiest last.
type changeKind int

const (
	kindUpkeep   changeKind = iota // nothing
	kindFix                        // what was wrong is right
	kindPlain                      // a sentence that does not say: it may well be something new
	kindFeature                    // something new
	kindBreaking                   // what worked may not work any more
)

var changeKinds = []string{"upkeep", "fix", "change", "feature", "breaking"}

// MarshalText implements [encoding.TextMarshaler].
func (k changeKind) MarshalText() ([]byte, error) { return []byte(changeKinds[k]), nil }

// change is a commit.
type change struct {
	Hash  string     `json:"hash"`
	Kind  changeKind `json:"kind"`
	Scope string     `json:"scope,omitempty"` // of a conventional subject
	Text  string     `json:"text"`            // the subject without kind and scope
}

// shortHash is how much of a commit's hash is shown.
const shortHash = 9

var (
	conventional = regexp.MustCompile(`^([a-z]+)(?:\(([^()]*)\))?(!)?: +(.+)$`)
	breakingNote = regexp.MustCompile(`(?m)^BREAKING[ -]CHANGE: `)
	// The first word of a plain subject often says what it is.
	newWords    = regexp.MustCompile(`(?i)^(add|adds|added|allow|allows|introduce|introduces|new|support|supports)\b`)
	fixWords    = regexp.MustCompile(`(?i)^(fix|fixes|fixed|correct|corrects|repair|repairs)\b`)
	upkeepWords = regexp.MustCompile(`(?i)^(format|formats|tests?|docs?|documents?|documentation|comments?|lint|typos?|ci)\b`)
)

// conventionalKinds are the kinds of conventional commits that are told apart.
var conventionalKinds = map[string]changeKind{
	"feat": kindFeature, "fix": kindFix, "perf": kindFix, "security": kindFix, "revert": kindPlain,
	"build": kindUpkeep, "chore": kindUpkeep, "ci": kindUpkeep, "docs": kindUpkeep, "refactor": kindUpkeep, "style": kindUpkeep, "test": kindUpkeep,
}

// newChange reads a commit's subject and the rest of its message.
func newChange(hash, subject, body string) change {
	c := change{Hash: hash, Kind: kindPlain, Text: subject}
	if m := conventional.FindStringSubmatch(subject); m != nil {
		if kind, known := conventionalKinds[m[1]]; known {
			c.Kind, c.Scope, c.Text = kind, m[2], m[4]
			if m[3] != "" {
				c.Kind = kindBreaking
			}
		}
	} else {
		switch {
		case newWords.MatchString(subject):
			c.Kind = kindFeature
		case fixWords.MatchString(subject):
			c.Kind = kindFix
		case upkeepWords.MatchString(subject):
			c.Kind = kindUpkeep
		}
	}
	if breakingNote.MatchString(body) {
		c.Kind = kindBreaking
	}
	return c
}

// repository is a git repository, asked by running git.
type repository struct{ dir string }

// git runs git and returns what it prints. Reading takes no lock and refreshes no index: nothing is written.
func (r *repository) git(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...) //nolint:gosec // words of this file, a version and a commit
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("git is not installed, or not on the path")
		}
		return "", fmt.Errorf("git %s: %s: %w", args[0], strings.TrimSpace(stderr.String()), err)
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}

// head is the commit that is checked out.
func (r *repository) head(ctx context.Context) (string, error) {
	head, err := r.git(ctx, "", "rev-parse", "--verify", "HEAD^{commit}")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoRepository, err)
	}
	return head, nil
}

// changes are what no commit has, one line each; "" if there are none.
func (r *repository) changes(ctx context.Context) (string, error) {
	return r.git(ctx, "", "status", "--porcelain")
}

// shallow reports whether the history is not complete.
func (r *repository) shallow(ctx context.Context) (bool, error) {
	answer, err := r.git(ctx, "", "rev-parse", "--is-shallow-repository")
	return answer == "true", err
}

// lastVersion is the highest version tag on the way to HEAD; "" if there is none.
func (r *repository) lastVersion(ctx context.Context) (string, error) {
	tags, err := r.git(ctx, "", "tag", "--merged", "HEAD", "--list", "v*")
	if err != nil {
		return "", err
	}
	versions := slices.DeleteFunc(strings.Fields(tags), func(tag string) bool { return semver.Canonical(tag) != tag })
	if len(versions) == 0 {
		return "", nil
	}
	return slices.MaxFunc(versions, semver.Compare), nil
}

// commits are those after a tag, or all; newest first. Merges say nothing of their own.
func (r *repository) commits(ctx context.Context, after string) ([]change, error) {
	const field, record = "\x1f", "\x1e"
	span := "HEAD"
	if after != "" {
		span = "refs/tags/" + after + "..HEAD"
	}
	log, err := r.git(ctx, "", "log", "--no-merges", "--no-color", "--format=%H%x1f%s%x1f%b%x1e", span)
	if err != nil {
		return nil, err
	}
	var changes []change
	for entry := range strings.SplitSeq(log, record) {
		parts := strings.SplitN(strings.TrimLeft(entry, "\n"), field, 3)
		if len(parts) == 3 {
			changes = append(changes, newChange(parts[0], parts[1], parts[2]))
		}
	}
	return changes, nil
}

// tag makes an annotated tag.
func (r *repository) tag(ctx context.Context, name, commit, message string) error {
	// Without this git takes headings for comments.
	_, err := r.git(ctx, message, "tag", "--annotate", "--cleanup=whitespace", "--file=-", name, commit)
	return err
}
