//go:build linux

package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// workflow is what this test knows of a GitHub workflow. Anything else in one fails it.
type workflow struct {
	Name        string            `yaml:"name"`
	On          trigger           `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Concurrency map[string]any    `yaml:"concurrency"`
	Jobs        map[string]job    `yaml:"jobs"`
}

type trigger struct {
	Dispatch struct {
		Inputs map[string]struct {
			Description string   `yaml:"description"`
			Type        string   `yaml:"type"`
			Options     []string `yaml:"options"`
			Required    bool     `yaml:"required"`
		} `yaml:"inputs"`
	} `yaml:"workflow_dispatch"`
}

type job struct {
	RunsOn         string            `yaml:"runs-on"`
	TimeoutMinutes int               `yaml:"timeout-minutes"`
	Environment    string            `yaml:"environment"`
	Permissions    map[string]string `yaml:"permissions"`
	Env            map[string]string `yaml:"env"`
	Steps          []step            `yaml:"steps"`
}

type step struct {
	Name string            `yaml:"name"`
	Uses string            `yaml:"uses"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
	Run  string            `yaml:"run"`
}

// runner runs the steps of a job as GitHub's does: in a clone, with an environment of their own.
type runner struct {
	t       *testing.T
	clone   string
	temp    string            // runner.temp
	context map[string]string // what expressions may ask for, by name
	env     map[string]string
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

// value is a text with what its expressions stand for.
func (r *runner) value(text string) string {
	r.t.Helper()
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		name := expression.FindStringSubmatch(found)[1]
		value, known := r.context[name]
		require.True(r.t, known, "nobody knows what %s is", found)
		return value
	})
}

func (r *runner) values(texts map[string]string) map[string]string {
	r.t.Helper()
	values := map[string]string{}
	for name, text := range texts {
		values[name] = r.value(text)
	}
	return values
}

// actions are what stands for the actions of others: what they leave behind is here already, or cannot be had.
var actions = map[string]func(r *runner, with map[string]string){
	"actions/checkout": func(r *runner, with map[string]string) {
		require.Equal(r.t, map[string]string{"persist-credentials": "false"}, with)
		r.checkout()
	},
	"actions/setup-go": func(r *runner, with map[string]string) {
		require.Equal(r.t, map[string]string{"go-version-file": "go.mod"}, with)
		r.has("go version", "go1.")
	},
	"actions/setup-node": func(r *runner, with map[string]string) {
		require.Equal(r.t, map[string]string{"node-version": "20", "package-manager-cache": "false"}, with)
		r.has("npm --version", "")
	},
	"actions/setup-python": func(r *runner, with map[string]string) {
		require.Equal(r.t, map[string]string{"python-version": "3.11"}, with)
		r.has("python3 --version", "Python 3.")
	},
}

// checkout brings what the repository has, with what is not committed yet.
func (r *runner) checkout() {
	r.t.Helper()
	list := exec.CommandContext(r.t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	files, err := list.Output()
	if err != nil {
		r.t.Skipf("SKIPPED: this is no clone of the repository: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		from, to := filepath.Join(root, name), filepath.Join(r.clone, name)
		info, err := os.Lstat(from)
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		require.NoError(r.t, err)
		require.NoError(r.t, os.MkdirAll(filepath.Dir(to), 0o755))
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(from)
			require.NoError(r.t, err)
			require.NoError(r.t, os.Symlink(target, to))
			continue
		}
		text, err := os.ReadFile(from)
		require.NoError(r.t, err)
		require.NoError(r.t, os.WriteFile(to, text, info.Mode().Perm()))
	}
}

func (r *runner) has(command, says string) {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "bash", "-c", command).CombinedOutput()
	if err != nil {
		r.t.Skipf("SKIPPED: %s: %v: %s", command, err, out)
	}
	require.Contains(r.t, string(out), says)
}

// run runs a step, and takes over what it leaves for those behind it.
func (r *runner) run(s step) {
	r.t.Helper()
	if s.Uses != "" {
		name, _, _ := strings.Cut(s.Uses, "@")
		require.Contains(r.t, actions, name, "this test does not know what the action stands for")
		actions[name](r, r.values(s.With))
		return
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), deployPatience)
	defer cancel()
	script, later, path := filepath.Join(r.temp, "step.sh"), filepath.Join(r.temp, "env"), filepath.Join(r.temp, "path")
	require.NoError(r.t, os.WriteFile(script, []byte(r.value(s.Run)), 0o600))
	for _, file := range []string{later, path} {
		require.NoError(r.t, os.WriteFile(file, nil, 0o600))
	}
	cmd := exec.CommandContext(ctx, "bash", "-e", script)
	cmd.Dir = r.clone
	for _, some := range []map[string]string{r.env, r.values(s.Env), {"GITHUB_ENV": later, "GITHUB_PATH": path}} {
		for name, value := range some {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s\n%s", s.Run, out)
	r.t.Logf("%s\n%s", strings.TrimSpace(s.Run), out[max(0, len(out)-2000):])
	left, err := os.ReadFile(later)
	require.NoError(r.t, err)
	require.Empty(r.t, left, "this test does not know how settings are left for later steps")
	paths, err := os.ReadFile(path)
	require.NoError(r.t, err)
	for line := range strings.Lines(string(paths)) {
		r.env["PATH"] = strings.TrimSpace(line) + ":" + r.env["PATH"]
	}
}

const (
	deployRole = "arn:aws:iam::000000000000:role/llm-proxy-deploy"
	runToken   = "fake-token-of-the-run"
	identity   = "fake-header.fake-claims.fake-signature"
)

// TestTheDeployWorkflowDeploys runs the steps of the workflow one after another, in a clean clone, with nothing but what GitHub would give
// them: the emulator is AWS, and a server of the test vouches for the run.
func TestTheDeployWorkflowDeploys(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, ".github/workflows/deploy.yml"))
	require.NoError(t, err)
	var w workflow
	require.NoError(t, yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&w))
	require.Len(t, w.Jobs, 1)
	deploy := w.Jobs["deploy"]
	require.Equal(t, "write", deploy.Permissions["id-token"], "GitHub vouches for the run")

	e := startEmulator(t)
	aws := startDoor(t, e.url)
	identities := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Authorization"), "bearer "+runToken) || r.URL.Query().Get("audience") != "sts.amazonaws.com" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"count": 1, "value": identity})
	}))
	t.Cleanup(identities.Close)

	r := &runner{t: t, clone: filepath.Join(t.TempDir(), "llm-proxy"), temp: t.TempDir()}
	r.context = map[string]string{
		"inputs.environment": "dev", "vars.AWS_REGION": "us-east-1", "vars.AWS_ROLE_ARN": deployRole, "github.run_id": "1234", "runner.temp": r.temp,
	}
	r.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": filepath.Join(r.temp, "home"), "RUNNER_TEMP": r.temp, "GITHUB_WORKSPACE": r.clone, "CI": "true",
		"ACTIONS_ID_TOKEN_REQUEST_URL": identities.URL + "/?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": runToken,
		// What was installed, downloaded and compiled here already need not be so again, and where AWS is.
		"GOCACHE": goEnv(t, "GOCACHE"), "GOMODCACHE": goEnv(t, "GOMODCACHE"), "GOARCH": runtime.GOARCH, "GOFLAGS": "-buildvcs=false", "AWS_ENDPOINT_URL": aws.URL,
	}
	installed := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(tool(t, "sam", "sam"))))) // llm-proxy in the cache, above aws/sam/bin
	require.NoError(t, os.MkdirAll(filepath.Join(r.env["HOME"], ".cache"), 0o755))
	require.NoError(t, os.Symlink(installed, filepath.Join(r.env["HOME"], ".cache", "llm-proxy")))
	for name, value := range r.values(deploy.Env) {
		r.env[name] = value
	}
	for _, s := range deploy.Steps {
		r.run(s)
		if strings.HasPrefix(s.Uses, "actions/checkout@") {
			r.emulate("dev")
		}
	}

	require.NoFileExists(t, filepath.Join(r.temp, "identity"), "the token that the run got is not left behind")
	assumed := 0
	for _, c := range aws.asked() {
		if c.action() == "AssumeRoleWithWebIdentity" {
			assumed++
			form, err := url.ParseQuery(c.body)
			require.NoError(t, err)
			require.Equal(t, []string{deployRole, "llm-proxy-1234", identity}, []string{form.Get("RoleArn"), form.Get("RoleSessionName"), form.Get("WebIdentityToken")})
		} else {
			require.True(t, strings.HasPrefix(c.credential, "ASIA"), "%s %s %s is asked with credentials of the role: %q", c.method, c.path, c.action(), c.credential)
		}
	}
	require.Positive(t, assumed)
	s := &stack{emulator: e, out: e.outputs("llm-proxy-dev")}
	s.token = e.secret(s.out["ManagementTokenSecret"], "management_token")
	require.NotEmpty(t, s.manage(http.MethodGet, "/manage/info", "", http.StatusOK).Get("version").Str)
	require.Contains(t, e.contents(e.physical("llm-proxy-dev", "SiteBucket")), "index.html", "the site is there")
	for _, key := range e.artifacts() {
		require.True(t, strings.HasPrefix(key, "llm-proxy-dev/"), "sam delete would leave %s behind", key)
	}
	config, err := os.ReadFile(filepath.Join(root, "samconfig.toml"))
	require.NoError(t, err)
	options := w.On.Dispatch.Inputs["environment"].Options
	require.Contains(t, options, "dev")
	for _, name := range options {
		require.Contains(t, string(config), "["+name+".deploy.parameters]", "there are settings for %s", name)
	}
}

// emulate tells the clone's settings of an environment that it is the emulator, on this machine, where it deploys.
func (r *runner) emulate(environment string) {
	r.t.Helper()
	path := filepath.Join(r.clone, "samconfig.toml")
	text, err := os.ReadFile(path)
	require.NoError(r.t, err)
	before, after, found := strings.Cut(string(text), "["+environment+".deploy.parameters]")
	require.True(r.t, found)
	changed := strings.Replace(after, `parameter_overrides = "`, `parameter_overrides = "Emulated=true Architecture=`+architecture+` `, 1)
	require.NotEqual(r.t, after, changed)
	require.NoError(r.t, os.WriteFile(path, []byte(before+"["+environment+".deploy.parameters]"+changed), 0o600))
}

// goEnv is one of the go command's settings.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}
