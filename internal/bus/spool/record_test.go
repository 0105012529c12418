package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

const testSeed = 0x5eed

// patience is how long a test waits for what must come, on a slow and busy machine too.
const patience = time.Minute

// FuzzDecodeRecord decodes bytes whose checksums fit, so that only the decoder stands between them and the follower.
func FuzzDecodeRecord(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headerSize {
			return
		}
		data = append([]byte(nil), data...)
		copy(data, magic)
		binary.LittleEndian.PutUint32(data[8:], crc32.Update(testSeed, castagnoli, data[headerSize:]))
		binary.LittleEndian.PutUint32(data[4:], crc32.Update(testSeed, castagnoli, data[8:headerSize]))
		h, err := parseHeader(data, testSeed)
		if err != nil || h.length() > int64(len(data)) {
			return
		}
		r := record{h, data[headerSize:h.length()]}
		if b, err := r.begin(); err == nil {
			var d draft
			d.addBegin(testSeed, &b)
			again := decode(t, d.buf)
			got, err := again.begin()
			require.NoError(t, err)
			require.Equal(t, string(b.AppendJSON(nil)), string(got.AppendJSON(nil)))
		}
		if e, err := r.event(nil); err == nil {
			var d draft
			if err := d.setEvent(testSeed, e); err != nil {
				return // escaping made it too large
			}
			d.join()
			again := decode(t, d.buf)
			got, err := again.event(nil)
			require.NoError(t, err)
			require.Equal(t, string(e.AppendJSON(nil)), string(got.AppendJSON(nil)))
			require.Equal(t, e.UsageKind, got.UsageKind)
		}
	})
}

func decode(t *testing.T, data []byte) record {
	t.Helper()
	h, err := parseHeader(data, testSeed)
	require.NoError(t, err)
	require.EqualValues(t, len(data), h.length())
	return record{h, data[headerSize:]}
}

func TestBytesThatAreNoRecordAreNotDecoded(t *testing.T) {
	var d draft
	b := llmproxy.Begin{ID: llmproxy.NewEventID(time.Now()), Method: "GET", Path: "/v1/models"}
	d.addBegin(testSeed, &b)
	for i := range d.buf[:headerSize] {
		bad := append([]byte(nil), d.buf...)
		bad[i]++
		_, err := parseHeader(bad, testSeed)
		require.ErrorIs(t, err, errNoHeader, "byte %d", i)
	}
	_, err := parseHeader(d.buf, testSeed+1)
	require.ErrorIs(t, err, errNoHeader, "another writer's")

	long := append([]byte(nil), d.buf...)
	binary.LittleEndian.PutUint32(long[16:], maxRecord)
	binary.LittleEndian.PutUint32(long[4:], crc32.Update(testSeed, castagnoli, long[8:headerSize]))
	_, err = parseHeader(long, testSeed)
	require.ErrorIs(t, err, errNoHeader, "too long to be one")

	r := decode(t, d.buf)
	_, err = r.event(nil)
	require.Error(t, err, "a begin is no event")
}

// TestARecordThatWasTakenBackIsNotMixedWithTheNext: what was read of a record ahead of its turn may be gone when its turn comes.
func TestARecordThatWasTakenBackIsNotMixedWithTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	write := func(at int64, id llmproxy.EventID, request string) int64 {
		var d draft
		require.NoError(t, d.setEvent(testSeed, &llmproxy.Event{ID: id, Request: llmproxy.Message{Body: &llmproxy.Body{Head: []byte(request)}}}))
		d.join()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(at))
		_, err = f.WriteAt(d.buf, at)
		require.NoError(t, errors.Join(err, f.Close()))
		return at + int64(len(d.buf))
	}
	first, taken, second := llmproxy.NewEventID(time.Now()), llmproxy.NewEventID(time.Now()), llmproxy.NewEventID(time.Now())
	at := write(0, first, strings.Repeat("a", scanChunk*3/4))
	write(at, taken, strings.Repeat("b", scanChunk/2)) // the first chunk that is read has some of it
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	s := scanner{file: file, seed: testSeed}
	r, err := s.next()
	require.NoError(t, err)
	require.Equal(t, first, r.id)

	end := write(at, second, strings.Repeat("c", scanChunk*2))
	r, err = s.next()
	require.NoError(t, err)
	require.Equal(t, second, r.id)
	require.Equal(t, end, s.off)
	_, err = s.next()
	require.ErrorIs(t, err, io.EOF)
}

func TestAnEventTooLargeForARecordIsCountedAsFailed(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	huge := make([]byte, maxRecord/2)
	half := &llmproxy.Body{Head: huge}
	s.Publish(&llmproxy.Event{Request: llmproxy.Message{Body: half}, Response: llmproxy.Message{Body: half}})
	s.Publish(&llmproxy.Event{Path: string(huge), Request: llmproxy.Message{Body: half}})
	s.Publish(&llmproxy.Event{Path: string(huge) + string(huge)})
	s.Publish(&llmproxy.Event{UsageKind: string(huge[:1<<16])})
	require.EqualValues(t, 4, s.Stats().Failed)
	require.Contains(t, s.Stats().Degraded, "64 MiB")
	s.Publish(&llmproxy.Event{Request: llmproxy.Message{Body: &llmproxy.Body{Head: huge}}})
	require.EqualValues(t, 1, s.Stats().Published)
	require.Empty(t, s.Stats().Degraded)
	require.NoError(t, s.Close())
	f, err := Follow(s.cfg.Dir, "file", nil)
	require.NoError(t, err)
	events, err := f.Read(t.Context(), 1)
	require.NoError(t, err)
	require.Len(t, events[0].Request.Body.Head, len(huge))
	require.NoError(t, f.Close())
}

func TestAFollowerInTheSameProcessNeedNotLook(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	f, err := s.Follow("file")
	require.NoError(t, err)
	require.GreaterOrEqual(t, f.poll, time.Second, "a server that has nothing to do sleeps")
	f.poll = time.Hour
	time.AfterFunc(20*time.Millisecond, func() { s.Publish(&llmproxy.Event{Path: "/v1/models"}) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events, err := f.Read(ctx, 1)
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.NoError(t, f.Close())
	require.NoError(t, s.Close())
}

// TestAFollowerIsToldThatASegmentHasEnded: what came after it can be read only then, and may be the last event for long.
func TestAFollowerIsToldThatASegmentHasEnded(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), SegmentBytes: 1})
	require.NoError(t, err)
	f, err := s.Follow("file")
	require.NoError(t, err)
	f.poll, f.gather = time.Hour, 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const all = 20
	go func() {
		for range all {
			s.Publish(&llmproxy.Event{Path: "/v1/models"})
		}
	}()
	for read := 0; read < all; {
		events, err := f.Read(ctx, 1)
		require.NoError(t, err, "%d events were read", read)
		read += len(events)
	}
	require.NoError(t, f.Close())
	require.NoError(t, s.Close())
}

func TestWhatComesOneByOneIsReadTogether(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	f, err := s.Follow("file")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	publish := func() { s.Publish(&llmproxy.Event{Path: "/v1/models"}) }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	publish()
	publish()
	f.gather = time.Hour // nothing is gathered for, or the test ends here
	first, err := f.Read(ctx, 1)
	require.NoError(t, err)
	require.Len(t, first, 1)
	second, err := f.Read(ctx, 2)
	require.NoError(t, err, "the read before was full, so what it left is read at once")
	require.Len(t, second, 1)

	publish()
	short, cancelShort := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancelShort()
	_, err = f.Read(short, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded, "the read before left nothing, so more is gathered")
	publish()
	f.gather = time.Millisecond
	third, err := f.Read(ctx, 3)
	require.NoError(t, err)
	require.Len(t, third, 2)
}

// failing makes the spool's segment one that can neither be written nor cut, with half a record at its end.
func failing(t *testing.T, s *Spool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var d draft
	require.NoError(t, d.setEvent(s.seed, &llmproxy.Event{Path: "/torn"}))
	_, err := s.active.file.Write(d.buf[:len(d.buf)/2])
	require.NoError(t, err)
	readOnly, err := os.Open(s.active.path(s.cfg.Dir))
	require.NoError(t, err)
	require.NoError(t, s.active.file.Close())
	s.active.file = readOnly
}

func TestATornRecordThatCannotBeTakenBackIsSealedOff(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	open := llmproxy.Begin{ID: llmproxy.NewEventID(time.Now()), Path: "/open"}
	s.Begin(&open)
	s.Publish(&llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Path: "/before"})
	failing(t, s)
	s.Publish(&llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Path: "/failed"})
	require.EqualValues(t, 1, s.Stats().Failed)
	require.NotEmpty(t, s.Stats().Degraded)
	s.mu.Lock()
	s.takeBack() // as after a write that went halfway
	s.mu.Unlock()
	s.Publish(&llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Path: "/after"})
	require.Empty(t, s.Stats().Degraded)
	require.NoError(t, s.Close())

	f, err := Follow(dir, "file", nil)
	require.NoError(t, err)
	events, err := f.Read(t.Context(), 10)
	require.NoError(t, err)
	var paths []string
	for _, e := range events {
		paths = append(paths, e.Path)
	}
	require.Equal(t, []string{"/before", "/after", "/open"}, paths)
	require.Equal(t, llmproxy.Lost, events[2].Outcome)
	require.EqualValues(t, 1, f.Stats().Torn)
	require.NoError(t, f.Close())
}

// TestASegmentThatNoneFollowsYetIsNotSealed: the begins of living requests stand in it alone, and whoever comes after a kill looks for
// them in unsealed segments.
func TestASegmentThatNoneFollowsYetIsNotSealed(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	s.Begin(&llmproxy.Begin{ID: llmproxy.NewEventID(time.Now()), Path: "/open"})
	s.mu.Lock()
	s.retryAt, s.makeErr = time.Now().Add(time.Hour), errors.New("no space") // for a next one
	s.retire()
	s.mu.Unlock()
	for range 2 { // when the second one is taken, the first was dealt with
		signal(s.rotated)
		require.Eventually(t, func() bool { return len(s.rotated) == 0 }, patience, time.Millisecond)
	}
	unsealed := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "*.open"))
		require.NoError(t, err)
		return len(names)
	}
	require.Equal(t, 1, unsealed())

	s.mu.Lock()
	s.retryAt = time.Time{}
	s.mu.Unlock()
	s.Publish(&llmproxy.Event{ID: llmproxy.NewEventID(time.Now()), Path: "/after"})
	require.Eventually(t, func() bool { return unsealed() == 1 }, patience, time.Millisecond, "the next one has the begin too, and the first is sealed")
	require.NoError(t, s.Close())
	require.EqualValues(t, 1, s.Stats().Lost)
}

func TestASpoolThatCannotEndItsRequestsLeavesThemToTheNext(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	open := llmproxy.Begin{ID: llmproxy.NewEventID(time.Now()), Time: time.UnixMilli(1).UTC(), Path: "/open"}
	s.Begin(&open)
	failing(t, s)
	require.ErrorContains(t, s.Close(), "close spool")
	s, err = Open(Config{Dir: dir})
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Stats().Lost)
	require.NoError(t, s.Close())
	left, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestASyncThatFailsIsDegradedUntilOneSucceeds(t *testing.T) {
	for _, mode := range []SyncMode{SyncAlways, DefaultSync} {
		t.Run(mode.String(), func(t *testing.T) {
			s, err := Open(Config{Dir: t.TempDir(), Sync: mode})
			require.NoError(t, err)
			s.mu.Lock()
			whole := s.active.file
			r, w, err := os.Pipe() // can be written and not synced
			require.NoError(t, err)
			s.active.file = w
			s.mu.Unlock()
			s.Publish(&llmproxy.Event{Path: "/v1/models"})
			require.Eventually(t, func() bool { return s.Stats().Degraded != "" }, patience, time.Millisecond)
			require.Contains(t, s.Stats().Degraded, "durable")
			s.mu.Lock()
			s.active.file = whole
			s.mu.Unlock()
			require.NoError(t, r.Close())
			require.NoError(t, w.Close())
			require.Eventually(t, func() bool { return s.Stats().Degraded == "" }, patience, 10*time.Millisecond)
			require.NoError(t, s.Close())
		})
	}
}

// TestAPublishWaitsForTheDiskWhereItIsToldTo: what cannot be synced is known when Publish returns, or is not asked to be yet.
func TestAPublishWaitsForTheDiskWhereItIsToldTo(t *testing.T) {
	for mode, waits := range map[SyncMode]bool{SyncAlways: true, SyncMode(time.Hour): false, SyncNever: false} {
		t.Run(mode.String(), func(t *testing.T) {
			s, err := Open(Config{Dir: t.TempDir(), Sync: mode})
			require.NoError(t, err)
			s.mu.Lock()
			whole := s.active.file
			r, w, err := os.Pipe() // can be written and not synced
			require.NoError(t, err)
			s.active.file = w
			s.mu.Unlock()
			for range 50 { // a pipe holds them
				s.Publish(&llmproxy.Event{Path: "/v1/models"})
				require.Equal(t, waits, s.Stats().Degraded != "")
			}
			s.mu.Lock()
			s.active.file = whole
			s.mu.Unlock()
			require.NoError(t, r.Close())
			require.NoError(t, w.Close())
			require.NoError(t, s.Close())
		})
	}
}

func TestALockWhoseFileWasRemovedIsTakenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := tryLock(path)
	require.NoError(t, err)
	_, err = tryLock(path)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, os.Remove(path))
	gone, err := isAt(first, path)
	require.NoError(t, err)
	require.False(t, gone)
	second, err := tryLock(path)
	require.NoError(t, err, "the lock on a removed file means nothing")
	other, err := isAt(first, path)
	require.NoError(t, err)
	require.False(t, other)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
}

func TestASegmentSealedWhileItIsLookedForIsFound(t *testing.T) {
	dir := t.TempDir()
	g := newSegment(newWriter(), 1, time.Now())
	file, err := g.create(dir)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, g.seal(dir))
	require.NoError(t, g.seal(dir), "again")
	file, err = openSegment(dir, g)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	exists, err := segmentExists(dir, g.name)
	require.NoError(t, err)
	require.True(t, exists)
	both := g
	file, err = both.create(dir)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	for _, stranger := range []string{"notes.seg", "20261399T000000.000-0123456789abcdef-000001.seg", g.name + ".tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, stranger), nil, 0o600))
	}
	list, err := listSegments(dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].sealed)
}
