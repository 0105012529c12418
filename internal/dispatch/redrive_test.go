package dispatch

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

// bury writes events into a file of dead letters, as a dispatcher does.
func bury(t *testing.T, path string, events ...*llmproxy.Event) {
	t.Helper()
	d := newDeadLetters(path, "webhook")
	d.start(fileMark{})
	var letters []deadLetter
	for _, e := range events {
		letters = append(letters, deadLetter{e, "status 500", 3})
	}
	require.NoError(t, d.add(letters))
	require.NoError(t, d.close())
}

func redriveConfig(t *testing.T, backend *stub) Config {
	t.Helper()
	dst, err := Open("webhook", Settings{Webhook: WebhookConfig{URL: llmproxy.NewSecret(backend.URL), Bodies: true}})
	require.NoError(t, err)
	return Config{Name: "webhook", Destination: dst, MaxAttempts: 2, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
}

func TestDeadLettersAreSentAgainAndThenGone(t *testing.T) {
	path := DeadLettersPath(t.TempDir(), "webhook")
	events := requests(5)
	events[3].Path = poisonPath
	bury(t, path, events...)
	backend := newStub(t, takesWebhooks)
	taken, dead, err := Redrive(t.Context(), redriveConfig(t, backend), path)
	require.NoError(t, err)
	require.EqualValues(t, 4, taken)
	require.EqualValues(t, 1, dead)
	require.Len(t, backend.ids(), 4)
	require.Contains(t, string(backend.body(t, 0)), `"body":`, "with the bodies it had")

	files, err := DeadLetterFiles(path)
	require.NoError(t, err)
	require.Len(t, files, 1, "what was sent is gone, what was refused again is there")
	left := letters(t, files[0])
	require.Len(t, left, 1)
	require.Equal(t, events[3].ID, left[0].Event.ID)
	require.Equal(t, "status 400: we want none of these", left[0].Reason)

	backend.take = func(http.ResponseWriter, *http.Request, []byte) []string { return nil } // it was mended
	taken, dead, err = Redrive(t.Context(), redriveConfig(t, backend), path)
	require.NoError(t, err)
	require.EqualValues(t, 1, taken)
	require.Zero(t, dead)
	files, err = DeadLetterFiles(path)
	require.NoError(t, err)
	require.Empty(t, files)

	taken, dead, err = Redrive(t.Context(), redriveConfig(t, backend), DeadLettersPath(t.TempDir(), "webhook"))
	require.NoError(t, err, "no dead letters are no error")
	require.Zero(t, taken+dead)
}

func TestARedriveThatIsInterruptedLosesNothing(t *testing.T) {
	path := DeadLettersPath(t.TempDir(), "webhook")
	bury(t, path, requests(3)...)
	backend := newStub(t, takesWebhooks)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	backend.mood = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(500)
		if n >= 4 { // those before have been heard of
			cancel()
		}
		return true
	}
	cfg := redriveConfig(t, backend)
	cfg.MaxAttempts = 0 // until it is interrupted
	_, _, err := Redrive(ctx, cfg, path)
	require.ErrorContains(t, err, "status 500")

	bury(t, path, request(7)) // the dispatcher goes on
	files, err := DeadLetterFiles(path)
	require.NoError(t, err)
	require.Len(t, files, 2)
	backend.mu.Lock()
	backend.mood = nil
	backend.mu.Unlock()
	taken, dead, err := Redrive(t.Context(), redriveConfig(t, backend), path)
	require.NoError(t, err)
	require.EqualValues(t, 4, taken)
	require.Zero(t, dead)
	require.Len(t, backend.ids(), 4)
	files, err = DeadLetterFiles(path)
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestDeadLettersThatCannotBeReadStay(t *testing.T) {
	for content, want := range map[string]string{
		"nonsense\n":                              "invalid character",
		`{"event":{"version":99}}` + "\n":         "this program reads version 1",
		`{"event":{"version":1,"id":"x"}}` + "\n": "dead letters are left in ",
	} {
		path := DeadLettersPath(t.TempDir(), "webhook")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, _, err := Redrive(t.Context(), redriveConfig(t, newStub(t, takesWebhooks)), path)
		require.ErrorContains(t, err, want)
		files, err := DeadLetterFiles(path)
		require.NoError(t, err)
		require.Len(t, files, 1)
	}
}

func TestALetterThatIsBeingWrittenIsNotRead(t *testing.T) {
	path := DeadLettersPath(t.TempDir(), "file")
	require.Equal(t, "dead-letters.jsonl", filepath.Base(path))
	require.NoError(t, os.WriteFile(path, []byte(`{"reason":"a","attempts":2}`+"\n"+`{"reason":"b`), 0o600))
	n := 0
	for letter, err := range ReadDeadLetters(path) {
		require.NoError(t, err)
		require.Equal(t, "a", letter.Reason)
		n++
	}
	require.Equal(t, 1, n)
	for _, err := range ReadDeadLetters(filepath.Join(path, "none")) {
		require.Error(t, err)
	}
}

func TestDeadLettersAreCountedWhereverTheyAre(t *testing.T) {
	path := DeadLettersPath(t.TempDir(), "webhook")
	c := NewLetterCount(path)
	count := func(want int64, why string) {
		t.Helper()
		n, err := c.Count()
		require.NoError(t, err)
		require.Equal(t, want, n, why)
	}
	count(0, "no file")
	bury(t, path, requests(5)...)
	count(5, "")
	bury(t, path, requests(6)[5:]...)
	count(6, "the file has grown")
	require.NoError(t, os.Rename(path, filepath.Join(filepath.Dir(path), "dead-letters-webhook.redrive-1.jsonl")))
	bury(t, path, requests(8)[6:]...)
	count(8, "some are being sent again")
	require.NoError(t, os.Remove(path))
	bury(t, path, requests(9)[8:]...)
	count(7, "another file under the name")
}
