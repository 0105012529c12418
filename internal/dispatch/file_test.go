package dispatch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// lines are the lines of a log; each parses and the last is whole.
func lines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	if len(data) == 0 {
		return nil
	}
	require.Equal(t, byte('\n'), data[len(data)-1], "%s: its last line is torn", path)
	all := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for _, line := range all {
		require.True(t, json.Valid([]byte(line)), "%s: %q", path, line)
	}
	return all
}

// loggedIDs are the ids in all logs of a folder, rotated ones first.
func loggedIDs(t testing.TB, path string) []llmproxy.EventID {
	t.Helper()
	names, err := neighbours(path)
	require.NoError(t, err)
	var ids []llmproxy.EventID
	for _, name := range append(names, path) {
		for _, line := range lines(t, name) {
			id, err := llmproxy.ParseEventID(gjson.Get(line, "id").Str)
			require.NoError(t, err, line)
			ids = append(ids, id)
		}
	}
	return ids
}

func newLog(t testing.TB, cfg FileConfig) *File {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = filepath.Join(t.TempDir(), "events.jsonl")
	}
	f, err := NewFile(cfg)
	require.NoError(t, err)
	require.NoError(t, f.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func deliver(t testing.TB, f *File, events ...*llmproxy.Event) {
	t.Helper()
	require.Equal(t, make([]Result, len(events)), f.Deliver(t.Context(), events))
}

func TestALineOfTheLog(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	full := request(5)
	full.Model, full.Created = "gpt-4o", 1700000000
	full.Usage = &llmproxy.Usage{Input: number(3), Output: number(4), Total: number(7), Cached: number(1), Source: llmproxy.SourceUpstream}
	full.Timing.FirstByte = 200 * time.Millisecond
	full.Response.Headers = []llmproxy.Header{{Name: "x-request-id", Value: "r1"}}

	for _, c := range []struct {
		name   string
		event  *llmproxy.Event
		bodies bool
		want   string
	}{
		{
			"full", full, false,
			`{"timestamp":"2026-11-22T10:20:35.456Z","token":"02000000-0000-7000-8000-000000000000","project_id":"03000000-0000-7000-8000-000000000000",` +
				`"endpoint":"/v1/chat/completions","method":"POST","status_code":200,"duration_ms":1234,` +
				`"metadata":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"model":"gpt-4o","created":1700000000},` +
				`"id":"01000000-0000-7000-8000-000000000005","outcome":"complete","provider":"openai",` +
				`"stream":false,"timing":{"total_ms":1234,"first_byte_ms":200},"request":{"bytes":15,"content_type":"application/json"},` +
				`"response":{"bytes":106,"content_type":"application/json","headers":{"x-request-id":"r1"}},"model":"gpt-4o","created":1700000000,` +
				`"usage":{"input":3,"output":4,"total":7,"cached":1,"source":"upstream"}}`,
		},
		{
			"with bodies", full, true,
			`{"timestamp":"2026-11-22T10:20:35.456Z","token":"02000000-0000-7000-8000-000000000000","project_id":"03000000-0000-7000-8000-000000000000",` +
				`"endpoint":"/v1/chat/completions","method":"POST","status_code":200,"duration_ms":1234,` +
				`"metadata":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"model":"gpt-4o","created":1700000000},` +
				`"id":"01000000-0000-7000-8000-000000000005","outcome":"complete","provider":"openai",` +
				`"stream":false,"timing":{"total_ms":1234,"first_byte_ms":200},"request":{"bytes":15,"content_type":"application/json","body":{"text":"{\"model\":\"ask\"}","head_bytes":15,"truncated":false,"size":15}},` +
				`"response":{"bytes":106,"content_type":"application/json","headers":{"x-request-id":"r1"},"body":{"text":"{\"model\":\"gpt-4o\",\"created\":1700000000,\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}","head_bytes":106,"truncated":false,"size":106}},"model":"gpt-4o","created":1700000000,` +
				`"usage":{"input":3,"output":4,"total":7,"cached":1,"source":"upstream"}}`,
		},
		{
			"nothing known", &llmproxy.Event{ID: full.ID, Time: born, Outcome: llmproxy.Lost}, false,
			`{"timestamp":"2026-11-22T10:20:30.456Z","token":null,"project_id":null,"endpoint":null,"method":null,"status_code":null,"duration_ms":null,` +
				`"metadata":{"prompt_tokens":null,"completion_tokens":null,"total_tokens":null,"model":null,"created":1795342830},` +
				`"id":"01000000-0000-7000-8000-000000000005","outcome":"lost","provider":null,"stream":false,"timing":{},"request":{"bytes":0},"response":{"bytes":0}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newLog(t, FileConfig{Bodies: c.bodies})
			deliver(t, f, c.event)
			require.Equal(t, []string{c.want}, lines(t, f.cfg.Path))
			require.Equal(t, c.bodies, f.WantsBodies())
			info, err := os.Stat(f.cfg.Path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
		})
	}
}

func TestHostileTextMakesOneLineThatIsSafeToShow(t *testing.T) {
	hostile := "a\r\nb\x1b[31mc\u202ed\x00e\xff\xfef\u2028g\u0085h\"\\"
	e := request(0)
	e.Path, e.Method, e.Model, e.Provider, e.Code = hostile, hostile, hostile, hostile, hostile
	e.Response.ContentType, e.Response.Headers = hostile, []llmproxy.Header{{Name: hostile, Value: hostile}}
	e.Request.Body = &llmproxy.Body{Head: []byte(hostile), Size: int64(len(hostile))}
	f := newLog(t, FileConfig{Bodies: true})
	deliver(t, f, e, request(1))
	all := lines(t, f.cfg.Path)
	require.Len(t, all, 2, "as many lines as events")
	for _, r := range strings.Join(all, "") {
		require.False(t, r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u202e' || r == '\u2028', "%U is shown", r)
	}
	require.Equal(t, "a\r\nb\x1b[31mc\u202ed\x00e\uFFFD\uFFFDf\u2028g\u0085h\"\\", gjson.Get(all[0], "endpoint").Str)
}

func TestTheLogIsRotatedBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newLog(t, FileConfig{MaxBytes: 2000})
		for i := range 12 {
			deliver(t, f, request(2*i), request(2*i+1))
		}
		names, err := filepath.Glob(filepath.Join(filepath.Dir(f.cfg.Path), "*"))
		require.NoError(t, err)
		require.Greater(t, len(names), 4)
		require.Contains(t, names, strings.TrimSuffix(f.cfg.Path, ".jsonl")+"-20000101T000000.000Z.jsonl", "named after the time")
		require.Contains(t, names, strings.TrimSuffix(f.cfg.Path, ".jsonl")+"-20000101T000000.000Z-2.jsonl", "and told apart")
		require.ElementsMatch(t, idsOf(requests(24)), loggedIDs(t, f.cfg.Path))
		for _, name := range names {
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(4000))
		}
	})
	t.Run("never", func(t *testing.T) {
		f := newLog(t, FileConfig{MaxBytes: -1})
		for i := range 30 {
			deliver(t, f, request(i))
		}
		require.Len(t, lines(t, f.cfg.Path), 30)
	})
}

func TestTheLogIsBegunAnewWhenItIsMovedUnderUs(t *testing.T) {
	for name, move := range map[string]func(t *testing.T, path string){
		"renamed": func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".1")) },
		"renamed and made": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(path, path+".1"))
			require.NoError(t, os.WriteFile(path, nil, 0o600))
		},
		"removed": func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"copied and truncated": func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path+".1", data, 0o600))
			require.NoError(t, os.Truncate(path, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newLog(t, FileConfig{})
			deliver(t, f, request(0), request(1))
			move(t, f.cfg.Path)
			deliver(t, f, request(2))
			deliver(t, f, request(3))
			all := lines(t, f.cfg.Path)
			require.Len(t, all, 2)
			require.Equal(t, request(2).ID.String(), gjson.Get(all[0], "id").Str)
		})
	}
}

func TestALogThatCannotBeWrittenLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "later")
		f, err := NewFile(FileConfig{Path: filepath.Join(dir, "events.jsonl")})
		require.NoError(t, err)
		src := newSource(requests(3)...)
		r := run(t, Config{Source: src, Destination: f, MaxBackoff: time.Second})
		pass(10 * time.Second)
		require.True(t, r.Stats().Failing)
		require.Contains(t, r.Stats().LastError, "no such file or directory")
		require.NoError(t, os.Mkdir(dir, 0o700))
		pass(2 * time.Second)
		require.Equal(t, 3, src.committed())

		require.NoError(t, os.Rename(dir, dir+".away"))
		src.add(request(3))
		pass(10 * time.Second)
		require.True(t, r.Stats().Failing)
		require.Equal(t, 3, src.committed())
		require.NoError(t, os.Rename(dir+".away", dir))
		pass(2 * time.Second)
		require.False(t, r.Stats().Failing)
		require.NoError(t, r.stop())
		require.Equal(t, idsOf(requests(4)), loggedIDs(t, f.cfg.Path))
	})
}

func TestWhatIsNotALogIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"keys.txt": "precious", "notes.txt": "one\ntwo", "other.json": `{"timestamp`[:6] + "X"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		f, err := NewFile(FileConfig{Path: path})
		require.NoError(t, err)
		require.ErrorContains(t, f.Start(t.Context(), nil), "not ours")
		require.ErrorContains(t, f.Deliver(t.Context(), requests(1))[0].Err, "not ours")
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	long := filepath.Join(dir, "long")
	require.NoError(t, os.WriteFile(long, bytes.Repeat([]byte("x"), 5*maxLine), 0o600))
	f, err := NewFile(FileConfig{Path: long})
	require.NoError(t, err)
	require.ErrorContains(t, f.Start(t.Context(), nil), "too long to be ours")

	f, err = NewFile(FileConfig{Path: os.DevNull})
	require.NoError(t, err)
	require.ErrorContains(t, f.Start(t.Context(), nil), "not a regular file")
	require.ErrorContains(t, f.Start(t.Context(), []byte("{")), "note of the event log")
}

func TestALogWithLinesOfOthersIsContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	require.NoError(t, os.WriteFile(path, []byte("hello\n{}\n"), 0o644))
	f := newLog(t, FileConfig{Path: path})
	deliver(t, f, request(0))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(data), "hello\n{}\n{\"timestamp\""))
}

// failingDisk makes the next write of the open file fail, as a full disk does.
func failingDisk(t *testing.T, l *lineFile) {
	t.Helper()
	readOnly, err := os.Open(l.path)
	require.NoError(t, err)
	require.NoError(t, l.file.Close())
	l.file = readOnly
}

func TestAFailedWriteIsRepeatedWithoutARepeatedLine(t *testing.T) {
	f := newLog(t, FileConfig{})
	deliver(t, f, request(0))
	failingDisk(t, f.file)
	require.Error(t, f.Deliver(t.Context(), requests(3)[1:])[1].Err)
	deliver(t, f, requests(3)[1:]...)
	require.Equal(t, idsOf(requests(3)), loggedIDs(t, f.cfg.Path))

	// Some lines of the next batch and a part of one reached the disk, and could not be taken back.
	file, err := os.OpenFile(f.cfg.Path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = fmt.Fprintf(file, "%s\n%.50s", appendLine(nil, request(3), false), appendLine(nil, request(4), false))
	require.NoError(t, err)
	require.NoError(t, file.Close())
	deliver(t, f, requests(6)[3:]...)
	require.Equal(t, idsOf(requests(6)), loggedIDs(t, f.cfg.Path))
}

func TestALargeBatchIsWrittenInPieces(t *testing.T) {
	f := newLog(t, FileConfig{Bodies: true})
	events := requests(5)
	for _, e := range events {
		e.Response.Body = &llmproxy.Body{Head: bytes.Repeat([]byte{1}, 256<<10), Size: 256 << 10}
		e.Response.Body.Head[0] = 0xff // base64
		e.Request.Body = &llmproxy.Body{Head: bytes.Repeat([]byte{1}, 64<<10), Size: 64 << 10}
	}
	deliver(t, f, events...)
	require.Equal(t, idsOf(events), loggedIDs(t, f.cfg.Path))
	require.LessOrEqual(t, cap(f.file.buf), 4*writeBytes)
}

// BenchmarkFileLoop measures a whole loop into a file: usage, lines, sync, commit.
func BenchmarkFileLoop(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			src := newSource(requests(b.N)...)
			f, err := NewFile(FileConfig{Path: filepath.Join(b.TempDir(), "events.jsonl")})
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan struct{})
			src.onCommit = func() {
				if src.cursor == b.N {
					close(done)
				}
			}
			l := New(Config{Name: "file", Source: src, Destination: f, DeadLetters: filepath.Join(b.TempDir(), "dead.jsonl"), BatchSize: size})
			ended := make(chan error)
			ctx, cancel := context.WithCancel(b.Context())
			b.ReportAllocs()
			b.ResetTimer()
			go func() { ended <- l.Run(ctx) }()
			<-done
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
