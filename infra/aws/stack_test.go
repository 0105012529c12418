//go:build linux

package aws

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
)

// How long the parts may take on a busy machine.
const (
	startPatience  = time.Minute
	deployPatience = 15 * time.Minute
	patience       = 2 * time.Minute
)

// emulator is a running ministack.
type emulator struct {
	t    *testing.T
	url  string
	host string // 127.0.0.1:port
	log  string // path
	env  []string
	door *door // through which its functions call it

	built string // folder of what is deployed
}

// startEmulator starts the stand-in for AWS with an environment of its own, which its functions inherit: nothing of ours may help them.
func startEmulator(t *testing.T) *emulator {
	t.Helper()
	program := tool(t, "ministack", "ministack")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, port, err := net.SplitHostPort(host)
	require.NoError(t, err)
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "ministack.log"))
	require.NoError(t, err)
	e := &emulator{t: t, url: "http://" + host, host: host, log: log.Name()}
	e.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "AWS_ENDPOINT_URL=" + e.url,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
	}
	cmd := exec.Command(program) // the cleanup ends it with all it has started
	e.door = startDoor(t, e.url)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(slices.Clone(e.env), "AWS_ENDPOINT_URL="+e.door.URL, "GATEWAY_PORT="+port), log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and the functions
		_ = cmd.Wait()                                      // killed
		if t.Failed() {
			if said, err := os.ReadFile(e.log); err == nil {
				t.Logf("the emulator said:\n%s", said[max(0, len(said)-8000):])
			}
		}
	})
	e.await("the emulator", startPatience, func() error {
		_, err := e.ask(http.MethodGet, e.host, "/_ministack/health", "", "")
		return err
	})
	return e
}

// await tries until it succeeds.
func (e *emulator) await(what string, patience time.Duration, try func() error) {
	e.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		require.True(e.t, time.Now().Before(deadline), "%s: %v", what, err)
		time.Sleep(200 * time.Millisecond)
	}
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends a request to one of the hosts that the emulator plays.
func (e *emulator) ask(method, host, path, bearer, body string, demo ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(e.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, e.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	if demo != nil {
		r.Header.Set("X-Demo", strings.Join(demo, ", "))
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return answer{resp.StatusCode, readAll(resp), resp.Header}, nil
}

// sam runs the SAM command line against the emulator.
func (e *emulator) sam(args ...string) string {
	e.t.Helper()
	return e.samAt(e.url, args...)
}

// samAt lets it find the emulator at a door.
func (e *emulator) samAt(url string, args ...string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), deployPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(e.t, "sam", "sam"), args...)
	cmd.Dir = root
	cmd.Env = append(offline(), "GOARCH="+runtime.GOARCH, "AWS_ENDPOINT_URL="+url, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
	out, err := cmd.CombinedOutput()
	require.NoError(e.t, err, "sam %q:\n%s", args, out)
	return string(out)
}

// config is how the SDK reaches the emulator.
func (e *emulator) config() aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &e.url, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

// architecture is this machine's, as Lambda calls it.
var architecture = map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]

// build builds the functions, once for all tests of a run, and returns the folder.
var build = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "llm-proxy-build-") })

// buildOnce lets one test build for all.
var buildOnce sync.Once

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // it is in the folder for temporary files
	}
	os.Exit(code)
}

// buildStack builds the functions, if that has not been done, and gives the test the folder as its own.
func (e *emulator) buildStack() {
	e.t.Helper()
	dir, err := build()
	require.NoError(e.t, err)
	buildOnce.Do(func() { e.sam("build", "--build-dir", dir, "--parameter-overrides", "Architecture="+architecture) })
	e.built = filepath.Join(e.t.TempDir(), "build")
	require.NoError(e.t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(e.built, within), 0o755)
		}
		return os.Link(path, filepath.Join(e.built, within))
	}))
}

// deployer builds the stack and returns what deploys it, with parameters beside those that the tests need, and tells its outputs.
func (e *emulator) deployer(upstream string) func(parameters ...string) map[string]string {
	e.t.Helper()
	e.buildStack()
	providers := filepath.Join(e.t.TempDir(), "providers.yaml")
	require.NoError(e.t, os.WriteFile(providers, fmt.Appendf(nil, "default: openai\nproviders:\n  openai:\n    preset: openai\n    base_url: %s\n", upstream), 0o600))
	return func(parameters ...string) map[string]string {
		overrides := append([]string{"Emulated=true", "Retention=Delete", "RequestBodies=true", "Architecture=" + architecture, "ProvidersFile=" + providers}, parameters...)
		e.sam(append([]string{
			"deploy", "--template-file", filepath.Join(e.built, "template.yaml"), "--stack-name", stackName, "--resolve-s3", "--s3-prefix", stackName, "--no-confirm-changeset",
			"--no-fail-on-empty-changeset", "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides",
		}, overrides...)...)
		return e.outputs(stackName)
	}
}

const stackName = "llm-proxy-test"

// TestTheStackDeploysAndWorks builds the functions, deploys the template as it is and follows a request from the function URL to the
// bucket. The admin site comes with an update, another one with the next, and goes with the stack.
func TestTheStackDeploysAndWorks(t *testing.T) {
	t.Parallel()
	upstream := demo.Serve(t, demo.ChunkDelay(50*time.Millisecond)) // streams take long enough to be seen as such
	e := startEmulator(t)
	deploy := e.deployer(upstream.URL)
	out := deploy("AdminSite=false")
	require.NotContains(t, out, "AdminUrl")
	require.Empty(t, e.physical(stackName, "Site"))
	s := &stack{emulator: e, out: out, token: e.secret(out["ManagementTokenSecret"], "management_token")}
	token, id := s.mint()

	first := s.chat(token)
	require.Equal(t, http.StatusOK, first.status, first.body)
	require.Equal(t, []string{"/v1/chat/completions"}, upstream.Paths())
	require.Equal(t, "Bearer sk-fake-provider-key-1234", upstream.Requests()[0].Header.Get("Authorization"), "the key was sealed by one function and opened by another")
	requestID := first.header.Get("X-Llm-Proxy-Request-Id")
	record := s.record(requestID)
	require.Equal(t, "complete", record.Get("outcome").Str)
	require.Equal(t, id, record.Get("token_id").Str)
	require.Positive(t, record.Get("usage.total").Int())

	s.verify(filepath.Join(e.built, "Proxy", "bootstrap"))

	steps := s.chat(s.followNextSteps())
	require.Equal(t, http.StatusOK, steps.status, steps.body)

	// A new sealing secret: the key still opens, and nobody has set it anew.
	asked := len(upstream.Requests())
	e.buildSetup(firstSite)
	s.out = deploy("SealingKeyVersion=2", "LogDays=7", "AdminSite=true")
	site := e.physical(stackName, "SiteBucket")
	require.NotEmpty(t, site)
	e.checkSite(site, firstSite)
	s.checkSignIn()
	info := s.manage(http.MethodGet, "/manage/info", "", http.StatusOK)
	require.Equal(t, s.out["BaseUrl"], info.Get("base_url").Str, "what the site tells callers to use")
	require.EqualValues(t, 7, info.Get("retention.log_days").Int())
	require.NotEmpty(t, s.manage(http.MethodGet, "/manage/audit?action=project.seal", "", http.StatusOK).Array(), "the project's key was sealed anew")
	second := s.chat(token)
	require.Equal(t, http.StatusOK, second.status, second.body)
	require.Len(t, upstream.Requests(), asked+1)
	s.record(second.header.Get("X-Llm-Proxy-Request-Id"))

	s.manage(http.MethodDelete, "/manage/tokens/"+id, "", http.StatusNoContent)
	refused := s.chat(token)
	require.Equal(t, http.StatusUnauthorized, refused.status, refused.body)
	require.Equal(t, "token_revoked", gjson.Get(refused.body, "error.code").Str)
	require.Len(t, upstream.Requests(), asked+1, "a refused request never reaches the upstream")
	require.Equal(t, "refused", s.record(refused.header.Get("X-Llm-Proxy-Request-Id")).Get("outcome").Str)

	e.buildSetup(secondSite)
	deploy("SealingKeyVersion=2", "LogDays=7", "AdminSite=true")
	e.checkSite(site, secondSite)
	require.NotContains(t, e.contents(site), "assets/test-1.js", "what is no longer in the site goes")

	// The emulator would delete a full bucket, which CloudFormation does not: so it is seen that setup has emptied it before.
	events := out["EventBucketName"]
	e.fill(events, "requests/", 1010) // a page of a listing has 1,000
	e.fill(site, "assets/", 20)
	kept := map[string]int{events: e.versions(events), site: e.versions(site)}
	deployed := e.artifacts()
	require.NotEmpty(t, deployed, "the functions' code was uploaded")
	e.samDelete(stackName)
	for bucket, n := range kept {
		require.Equal(t, n, e.door.objectsDeleted(bucket), "what setup has deleted of %s", bucket)
	}
	require.Empty(t, e.artifacts(), "and what sam has uploaded")
	require.Empty(t, e.tables(), "nothing is left")
	require.Empty(t, e.contents(out["EventBucketName"]))
	require.Empty(t, e.contents(site))
}
