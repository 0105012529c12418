package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePIDFileTellsOfAServerThatLives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.pid")
	_, err := findServer(path)
	require.ErrorIs(t, err, errNotRunning)

	pid, err := claimPIDFile(path)
	require.NoError(t, err)
	_, err = findServer(path)
	require.ErrorIs(t, err, errNotRunning, "it does not serve yet")
	require.ErrorContains(t, err, "starting")
	want := runningServer{PID: os.Getpid(), URL: "http://127.0.0.1:1", ShutdownMS: 1500}
	require.NoError(t, pid.announce(want))
	found, err := findServer(path)
	require.NoError(t, err)
	require.Equal(t, want, found)
	require.Equal(t, 1500*time.Millisecond, found.shutdown())

	second, err := claimPIDFile(path)
	require.NoError(t, err)
	require.Nil(t, second, "another server has it")
	require.NoError(t, second.announce(runningServer{PID: 1}))
	require.NoError(t, second.remove())
	found, err = findServer(path)
	require.NoError(t, err)
	require.Equal(t, want, found)

	require.NoError(t, pid.remove())
	require.NoFileExists(t, path)
	require.NoError(t, waitUntilGone(t.Context(), path, os.Getpid(), time.Minute))
}

// TestWhoeverLooksIsNotTakenForAServer: looking takes the lock for a moment, in which a server may start.
func TestWhoeverLooksIsNotTakenForAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.pid")
	require.NoError(t, os.WriteFile(path, []byte(`{"pid":1}`), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for ctx.Err() == nil {
			_, _ = findServer(path)
		}
	}()
	for range 20 {
		pid, err := claimPIDFile(path)
		require.NoError(t, err)
		require.NotNil(t, pid)
		require.NoError(t, pid.announce(runningServer{PID: 2}))
		found, err := findServer(path)
		require.NoError(t, err)
		require.Equal(t, 2, found.PID)
		require.NoError(t, pid.remove())
	}
	stop()
	<-looked
}

func TestAFileInUseThatIsNoPIDFileIsSaidSo(t *testing.T) {
	for _, content := range []string{"not ours", `{}`} {
		path := filepath.Join(t.TempDir(), "server.pid")
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { file.Close() })
		require.True(t, tryLock(file))
		_, err = file.WriteString(content)
		require.NoError(t, err)
		_, err = findServer(path)
		require.ErrorContains(t, err, "not as a server's PID file")
		require.NotErrorIs(t, err, errNotRunning)
	}
}
