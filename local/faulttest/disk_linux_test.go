package faulttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// smallDisk is a file system of 2 MB.
type smallDisk struct{ dir string }

// newSmallDisk mounts one, or skips the test aloud where that is not allowed.
func newSmallDisk(t *testing.T) smallDisk {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		fmt.Fprintf(os.Stderr, "SKIPPED %s: no file system can be mounted here (%v); run it as root\n", t.Name(), err)
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return smallDisk{dir}
}

func (d smallDisk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves no byte of it free.
func (d smallDisk) fill(t *testing.T) {
	t.Helper()
	file, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer file.Close()
	for piece := make([]byte, 4096); err == nil; {
		_, err = file.Write(piece)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func (d smallDisk) free(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.filler()))
}

// status is what a server's own health says; inside is that of its loopback listener, with the reasons.
func (s *server) status() string { return s.healthAt(s.url).Status }

type health struct {
	Status  string
	Reasons []string
}

func (s *server) healthAt(origin string) health {
	s.h.t.Helper()
	var h health
	a := s.h.send(http.MethodGet, origin+"/health", "", "")
	require.NoError(s.h.t, a.err)
	require.NoError(s.h.t, json.Unmarshal([]byte(a.body), &h), a.body)
	return h
}

// metric is the value of a metric without labels.
func (s *server) metric(name string) int {
	s.h.t.Helper()
	a := s.h.send(http.MethodGet, s.metrics+"/metrics", "", "")
	require.NoError(s.h.t, a.err)
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(a.body)
	require.NotNil(s.h.t, found, name)
	value, err := strconv.ParseFloat(found[1], 64)
	require.NoError(s.h.t, err)
	return int(value)
}

func (s *server) becomes(status string) {
	s.h.t.Helper()
	require.Eventually(s.h.t, func() bool { return s.status() == status }, patience, 20*time.Millisecond, "health does not become %s", status)
}

// TestAFullDiskUnderTheDatabaseRefusesAndRecovers: a spend that cannot be stored is refused and the provider is not asked; reads go on;
// when there is space again the same process serves.
func TestAFullDiskUnderTheDatabaseRefusesAndRecovers(t *testing.T) {
	disk := newSmallDisk(t)
	h := newHouse(t, map[string]string{"LLM_PROXY_DATA_DIR": filepath.Join(disk.dir, "data")})
	id, token := h.mint(0, 0)
	s := h.start()
	defer s.kill() // before its disk goes
	defer h.closeManagement()
	answered, n := 0, 0
	ask := func() answer {
		n++
		a := h.send(http.MethodGet, s.url+"/v1/models/"+strconv.Itoa(n), token, "")
		if a.status == http.StatusOK {
			answered++
		}
		return a
	}
	require.Equal(t, http.StatusOK, ask().status)
	disk.fill(t)
	var refused answer
	require.Eventually(t, func() bool { refused = ask(); return refused.status != http.StatusOK }, patience, time.Millisecond, "the disk is full, and spends are stored")
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Equal(t, "store_unavailable", refused.code(), "never a bad token")
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	require.Len(t, h.upstream.executed(), answered, "the provider was asked for what was stored alone")
	require.Equal(t, http.StatusOK, h.send(http.MethodGet, s.url+"/health/ready", "", "").status, "reads go on")
	_, err := h.service.Token(t.Context(), id)
	require.NoError(t, err, "reads go on")

	disk.free(t)
	require.Eventually(t, func() bool { return ask().status == http.StatusOK }, patience, 10*time.Millisecond, "it recovers without a restart")
	s.becomes("ok")
	require.Len(t, h.upstream.executed(), answered)
	stored, err := h.service.Token(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, answered, stored.RequestCount, "each request that was served was counted, and no other")
	s.stop()
}

// TestAFullDiskUnderTheSpoolServesAndSaysSo: requests are served, health is degraded, what is gone is counted.
func TestAFullDiskUnderTheSpoolServesAndSaysSo(t *testing.T) {
	disk := newSmallDisk(t)
	h := newHouse(t, map[string]string{"LLM_PROXY_DATA_DIR": filepath.Join(disk.dir, "data"), "LLM_PROXY_DB": filepath.Join(t.TempDir(), "llm-proxy.db")})
	_, token := h.mint(0, 0)
	s := h.start()
	defer s.kill()
	disk.fill(t)
	for n := 0; s.status() == "ok"; n++ {
		require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/"+strconv.Itoa(n), token).status)
		require.Less(t, n, 10_000, "the disk is full, and events are kept")
	}
	failed := s.metric("llmproxy_events_failed_total")
	for n := range 10 {
		require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/"+strconv.Itoa(n), token).status, "a request is served whether or not its event can be kept")
	}
	require.Equal(t, failed+10, s.metric("llmproxy_events_failed_total"))
	require.Contains(t, strings.Join(s.healthAt(s.metrics).Reasons, " "), "no space left on device")
	require.Equal(t, 1, s.metric("llmproxy_spool_degraded"))

	disk.free(t)
	published := s.metric("llmproxy_events_published_total")
	require.Eventually(t, func() bool {
		return h.get(s.url+"/v1/models/0", token).status == http.StatusOK && s.metric("llmproxy_events_published_total") > published
	}, patience, 10*time.Millisecond)
	s.becomes("ok")
	s.stop()
}

// TestAFullDiskUnderTheEventLogKeepsEventsUntilThereIsSpace: they wait in the spool, and each gets its one line.
func TestAFullDiskUnderTheEventLogKeepsEventsUntilThereIsSpace(t *testing.T) {
	disk := newSmallDisk(t)
	h := newHouse(t, nil)
	_, token := h.mint(0, 0)
	log := filepath.Join(disk.dir, "events.jsonl")
	s := h.start("--file-event-log", log)
	defer s.kill()
	require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/0", token).status)
	require.Eventually(t, func() bool { return len(events(t, log)) == 1 }, patience, 10*time.Millisecond)
	disk.fill(t)
	n := 1
	for ; s.status() == "ok"; n++ {
		require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/"+strconv.Itoa(n), token).status)
		require.Less(t, n, 10_000, "the disk is full, and lines are written")
	}
	require.Contains(t, strings.Join(s.healthAt(s.metrics).Reasons, " "), "event log: ")
	require.Equal(t, 1, s.metric(`llmproxy_destination_failing\{destination="file"\}`))
	require.Positive(t, s.metric(`llmproxy_destination_retried_total\{destination="file"\}`))
	for range 50 {
		require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/"+strconv.Itoa(n), token).status)
		n++
	}
	disk.free(t)
	s.becomes("ok")
	require.Eventually(t, func() bool { return len(events(t, log)) == n }, patience, 20*time.Millisecond)
	s.stop()
	requireEachOnce(t, n, log)
}

// requireEachOnce checks that the event logs together have one line for each of the requests 0 to n-1.
func requireEachOnce(t *testing.T, n int, logs ...string) {
	t.Helper()
	found := byNumber(t, events(t, logs...))
	require.Len(t, found, n)
	for number, of := range found {
		require.Len(t, of, 1, "request %d", number)
	}
}

// TestAnEventLogThatOthersRotateLosesNothing: it is renamed again and again under load.
func TestAnEventLogThatOthersRotateLosesNothing(t *testing.T) {
	h := newHouse(t, nil)
	_, token := h.mint(0, 0)
	log := filepath.Join(h.data, "events.jsonl")
	s := h.start("--file-event-log", log)
	logs := []string{log}
	const perRotation, rotations = 200, 5
	for i := range rotations {
		inParallel(4, func(j int) {
			for k := range perRotation / 4 {
				n := i*perRotation + j*perRotation/4 + k
				require.Equal(t, http.StatusOK, h.get(s.url+"/v1/models/"+strconv.Itoa(n), token).status)
			}
		})
		away := filepath.Join(h.data, fmt.Sprintf("events-%d.jsonl", i))
		if err := os.Rename(log, away); !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
			logs = append(logs, away)
		}
	}
	s.stop()
	requireEachOnce(t, perRotation*rotations, logs...)
	require.Greater(t, len(logs), 2)
}
