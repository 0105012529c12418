package dynamolocal

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func startOrSkip(t *testing.T) *Server {
	t.Helper()
	s, err := Start(context.Background())
	if err != nil {
		t.Skipf("SKIPPED, DynamoDB Local is not tested here: %v", err)
	}
	return s
}

// requireSilence waits until nothing answers there any more.
func requireSilence(t *testing.T, url string) {
	t.Helper()
	require.Eventually(t, func() bool { return !answers(context.Background(), url) }, 20*time.Second, 20*time.Millisecond)
}

func TestItStartsAndEnds(t *testing.T) {
	s := startOrSkip(t)
	require.True(t, answers(context.Background(), s.URL))
	cfg := s.Config()
	require.Equal(t, s.URL, *cfg.BaseEndpoint)
	credentials, err := cfg.Credentials.Retrieve(context.Background())
	require.NoError(t, err)
	require.Equal(t, "fake", credentials.SecretAccessKey)
	require.NoError(t, s.Close())
	require.False(t, answers(context.Background(), s.URL))
}

// TestItEndsWithAProcessThatIsKilled: the test runs itself as that process.
func TestItEndsWithAProcessThatIsKilled(t *testing.T) {
	const marker = "DYNAMOLOCAL_TEST_CHILD"
	if os.Getenv(marker) != "" {
		s, err := Start(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("URL " + s.URL + "\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // killed long before
	}
	require.NoError(t, startOrSkip(t).Close())
	child := exec.Command(os.Args[0], "-test.run=^TestItEndsWithAProcessThatIsKilled$")
	child.Env = append(os.Environ(), marker+"=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line := make([]byte, 256)
	n, err := out.Read(line)
	require.NoError(t, err)
	url := strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "URL "))
	require.True(t, answers(context.Background(), url), url)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	requireSilence(t, url)
}

// onlyThese makes a PATH of nothing but the named programs and returns its folder.
func onlyThese(t *testing.T, programs ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range programs {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(folder, name)))
	}
	t.Setenv("PATH", folder)
	return folder
}

func TestWithoutJavaTheReasonIsTold(t *testing.T) {
	onlyThese(t, "env", "bash", "dirname", "sha256sum", "cut", "id")
	_, err := Start(context.Background())
	require.ErrorContains(t, err, "missing and not ours to install: default-jre-headless")
}

func TestOutsideTheProjectTheReasonIsTold(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Start(context.Background())
	require.ErrorContains(t, err, "this is not the project's folder")
}

func TestAnEngineThatEndsAtItsStartIsHeard(t *testing.T) {
	require.NoError(t, startOrSkip(t).Close()) // so that the jars are there
	folder := onlyThese(t, "env", "bash", "cat", "dirname", "sha256sum", "cut", "id")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "java"), []byte("#!/usr/bin/env bash\necho no memory at all\nexit 1\n"), 0o700))
	_, err := Start(context.Background())
	require.ErrorContains(t, err, "ended at its start: no memory at all")
}

func TestAnEngineThatDoesNotAnswerIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s := &Server{URL: "http://127.0.0.1:1", ended: make(chan struct{}), said: &tail{}}
	require.ErrorIs(t, s.waitUntilItAnswers(ctx), context.DeadlineExceeded)
}

func TestAnAnswerIsAnAnswerWhateverItSays(t *testing.T) {
	require.False(t, answers(context.Background(), "http://127.0.0.1:1"))
	require.False(t, answers(context.Background(), "no address"))
	s := startOrSkip(t)
	defer func() { require.NoError(t, s.Close()) }()
	response, err := http.Get(s.URL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.True(t, answers(context.Background(), s.URL))
}

func TestTheTailIsTheLastThatWasSaid(t *testing.T) {
	var said tail
	for range 1000 {
		_, err := said.Write([]byte("0123456789"))
		require.NoError(t, err)
	}
	_, err := said.Write([]byte("the end"))
	require.NoError(t, err)
	require.Len(t, said.String(), tailSize)
	require.True(t, strings.HasSuffix(said.String(), "789the end"))
}
