package spool_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// childMain is a process under load until it is killed. It prints b and the id once a request is begun, and p once it is published.
func childMain(dir string) {
	s, err := spool.Open(spool.Config{Dir: dir, SegmentBytes: 64 << 10})
	if err != nil {
		panic(err)
	}
	say := func(what string, id llmproxy.EventID) {
		if _, err := fmt.Println(what, id); err != nil {
			panic(err)
		}
	}
	for range 8 {
		go func() {
			for {
				id := llmproxy.NewEventID(time.Now())
				s.Begin(begin(id))
				say("b", id)
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
				response := "answer"
				if rand.IntN(10) == 0 {
					response = body(60<<10, "long answer ")
				}
				s.Publish(event(id, "question", response))
				say("p", id)
			}
		}()
	}
	select {}
}

// killed runs a process until it has published something and a while longer, and returns what it said before it was killed: whole lines.
func killed(t *testing.T, dir string, after time.Duration) (begun, published []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SPOOL_TEST_CHILD="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill := func() {
		if err := cmd.Process.Kill(); err != nil {
			panic(err)
		}
	}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		if what, id, _ := strings.Cut(strings.TrimSpace(line), " "); what == "b" {
			begun = append(begun, id)
		} else {
			if len(published) == 0 { // the load is there, however long the process took to start
				time.AfterFunc(after, kill)
			}
			published = append(published, id)
		}
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	require.NotEmpty(t, published, "the process ended before it published anything")
	return begun, published
}

func TestAKilledProcessLosesNothingItPublishedAndItsOpenRequestsAreLostOnce(t *testing.T) {
	rounds := 3
	if os.Getenv("LLM_PROXY_TEST_FULL") != "" {
		rounds = 20
	}
	dir := t.TempDir()
	f := follow(t, dir, "file")
	found := map[string]llmproxy.Outcome{}
	for range rounds {
		var mu sync.Mutex
		var begun, published []string
		var processes sync.WaitGroup
		for range 2 { // at once in the same folder
			processes.Go(func() {
				b, p := killed(t, dir, 100*time.Millisecond+time.Duration(rand.IntN(200))*time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				begun, published = append(begun, b...), append(published, p...)
			})
		}
		processes.Wait()
		var starters sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs { // which find the dead ones at the same time
			starters.Go(func() { errs[i] = openAndClose(dir) })
		}
		starters.Wait()
		require.NoError(t, errors.Join(errs...))
		for _, e := range rest(t, f) {
			id := e.ID.String()
			require.Empty(t, found[id], "event %s twice", id)
			found[id] = e.Outcome
		}
		require.NoError(t, f.Commit(nil))
		for _, id := range published {
			require.Equal(t, llmproxy.Complete, found[id], "published %s", id)
		}
		lost := 0
		for _, id := range begun {
			require.NotEmpty(t, found[id], "begun %s", id)
			if found[id] == llmproxy.Lost {
				lost++
			}
		}
		require.LessOrEqual(t, lost, 16, "at most one request in each of 8 goroutines of 2 processes was open")
		require.Zero(t, f.Stats().Damaged)
	}
}

// snapshot copies the folder, as a kill at this moment would leave it: locks are not copied with their files.
func snapshot(t interface {
	require.TestingT
	Helper()
}, dir, to string,
) {
	t.Helper()
	for {
		require.NoError(t, os.RemoveAll(to))
		require.NoError(t, os.Mkdir(to, 0o700))
		err := os.CopyFS(to, os.DirFS(dir))
		if !errors.Is(err, fs.ErrNotExist) { // else one was sealed or removed while they were copied
			require.NoError(t, err)
			return
		}
	}
}

func TestARecoveryKilledAnywhereStillMakesEachRequestLostOnce(t *testing.T) {
	live, dead, done, again := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	s := open(t, spool.Config{Dir: live})
	want := map[llmproxy.EventID]bool{}
	for range 5 {
		id := newID()
		s.Begin(begin(id))
		want[id] = true
	}
	snapshot(t, live, dead)
	snapshot(t, dead, done)
	original := filepath.Base(oneFile(t, dead, ".open"))
	lock := filepath.Base(oneFile(t, dead, ".lock"))
	require.NoError(t, openAndClose(done))
	sealed := files(t, done, ".seg")
	require.Len(t, sealed, 2, "the segment of the dead process, and its lost ones")
	lost, err := os.ReadFile(sealed[1])
	require.NoError(t, err)
	lostName := strings.TrimSuffix(filepath.Base(sealed[1]), ".seg")

	check := func(t *testing.T) {
		require.NoError(t, openAndClose(again))
		require.Empty(t, files(t, again, ".open"))
		require.Empty(t, files(t, again, ".lock"))
		got := map[llmproxy.EventID]bool{}
		for _, e := range read(t, follow(t, again, "file"), 5) {
			require.Equal(t, llmproxy.Lost, e.Outcome)
			require.False(t, got[e.ID], "twice")
			got[e.ID] = true
		}
		require.Equal(t, want, got)
		f := follow(t, again, "other")
		require.Len(t, read(t, f, 5), 5)
		require.NoError(t, f.Commit(nil))
	}
	for cut := 0; cut <= len(lost); cut += max(1, len(lost)/60) {
		t.Run(fmt.Sprintf("having written %d bytes of %d", cut, len(lost)), func(t *testing.T) {
			snapshot(t, dead, again)
			require.NoError(t, os.WriteFile(filepath.Join(again, lostName+".open"), lost[:cut], 0o600))
			check(t)
		})
	}
	t.Run("between the two sealings", func(t *testing.T) {
		snapshot(t, done, again)
		require.NoError(t, os.Rename(filepath.Join(again, lostName+".seg"), filepath.Join(again, lostName+".open")))
		require.NoError(t, os.WriteFile(filepath.Join(again, lock), nil, 0o600))
		check(t)
	})
	t.Run("before the lock is removed", func(t *testing.T) {
		snapshot(t, done, again)
		require.NoError(t, os.WriteFile(filepath.Join(again, lock), nil, 0o600))
		check(t)
	})
	t.Run("with the lock file gone", func(t *testing.T) {
		snapshot(t, dead, again)
		require.NoError(t, os.Remove(filepath.Join(again, lock)))
		require.FileExists(t, filepath.Join(again, original))
		check(t)
	})
}

func openAndClose(dir string) error {
	s, err := spool.Open(spool.Config{Dir: dir})
	if err != nil {
		return err
	}
	return s.Close()
}

func TestARequestThatOutlivesItsSegmentIsStillKnownToBeOpen(t *testing.T) {
	dir, dead := t.TempDir(), t.TempDir()
	s := open(t, spool.Config{Dir: dir, SegmentBytes: 2 << 10})
	long := newID()
	s.Begin(begin(long))
	for range 20 {
		request(s)
	}
	require.Eventually(t, func() bool { return len(files(t, dir, ".open")) == 1 }, patience, time.Millisecond)
	snapshot(t, dir, dead)
	after := open(t, spool.Config{Dir: dead})
	require.EqualValues(t, 1, after.Stats().Lost)
	events := read(t, follow(t, dead, "file"), 21)
	require.Equal(t, begin(long).Lost(), events[20])

	s.Publish(event(long, "", ""))
	require.NoError(t, s.Close())
	require.Equal(t, long, read(t, follow(t, dir, "file"), 21)[20].ID)
	again := open(t, spool.Config{Dir: dir})
	require.Zero(t, again.Stats().Lost)
}

// TestWhateverHappensEachRequestHasOneEvent begins and ends requests, kills and restarts the process, reads and commits, in any order.
func TestWhateverHappensEachRequestHasOneEvent(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir := filepath.Join(root, "0")
		require.NoError(t, os.RemoveAll(dir))
		var s *spool.Spool
		var f *spool.Follower
		start := func() {
			var err error
			s, err = spool.Open(spool.Config{Dir: dir, SegmentBytes: 1500, Sync: spool.SyncNever})
			require.NoError(t, err)
			f, err = s.Follow("file")
			require.NoError(t, err)
			f.Gather(time.Microsecond)
		}
		stop := func() {
			require.NoError(t, f.Close())
			require.NoError(t, s.Close())
		}
		start()
		defer func() { stop() }()
		var running []llmproxy.EventID
		want := map[llmproxy.EventID]llmproxy.Outcome{}
		got := map[llmproxy.EventID]llmproxy.Outcome{} // committed
		var uncommitted []*llmproxy.Event
		take := func(events []*llmproxy.Event) {
			for _, e := range events {
				require.Empty(t, got[e.ID])
				require.Equal(t, want[e.ID], e.Outcome)
				got[e.ID] = e.Outcome
			}
		}
		lose := func() {
			for _, id := range running {
				want[id] = llmproxy.Lost
			}
			running, uncommitted = nil, nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				id := newID()
				s.Begin(begin(id))
				running = append(running, id)
			},
			"end": func(t *rapid.T) {
				if len(running) == 0 {
					t.Skip("no request is running")
				}
				i := rapid.IntRange(0, len(running)-1).Draw(t, "i")
				s.Publish(event(running[i], "", ""))
				want[running[i]] = llmproxy.Complete
				running = append(running[:i], running[i+1:]...)
			},
			"kill": func(t *rapid.T) {
				next := dir + "0"
				snapshot(t, dir, next)
				stop()
				require.NoError(t, os.RemoveAll(dir))
				dir = next
				lose()
				start()
			},
			"restart": func(t *rapid.T) {
				stop()
				lose()
				start()
			},
			"read": func(t *rapid.T) {
				if len(got)+len(uncommitted) < len(want) {
					events, err := f.Read(deadline(t), rapid.IntRange(1, 5).Draw(t, "max"))
					require.NoError(t, err)
					uncommitted = append(uncommitted, events...)
				}
			},
			"commit": func(t *rapid.T) {
				require.NoError(t, f.Commit([]byte{byte(len(got))}))
				take(uncommitted)
				uncommitted = nil
			},
		})
		take(uncommitted)
		for len(got) < len(want) {
			events, err := f.Read(deadline(t), 100)
			require.NoError(t, err)
			take(events)
		}
		require.Equal(t, want, got)
		require.Zero(t, f.Stats().Damaged)
	})
}
