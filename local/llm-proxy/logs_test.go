package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

func TestLogLinesAreOneObjectEachWhateverIsLogged(t *testing.T) {
	out := &lockedBuffer{}
	log, closeLog := newLogger(&settings{}, out)
	hostile := "a\r\nb\x1b[31m\u202e\u061c\u2028\x00\xff é"
	log.Info(hostile, zap.String("name", hostile))
	httpLog(log).Printf("http: %s", hostile)
	require.NoError(t, closeLog())
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.True(t, json.Valid([]byte(line)), line)
		for _, raw := range []string{"\r", "\x1b", "\x00", "\u202e", "\u061c", "\u2028", "\xff"} {
			require.NotContains(t, line, raw)
		}
	}
	require.Contains(t, lines[1], `"level":"warn"`)
	var line struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	require.Equal(t, strings.ToValidUTF8(hostile, "\ufffd"), line.Name, "nothing of it is gone")
}

func TestALogFileIsRotatedAndForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm-proxy.log")
	file := rotated(path, 1)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 2000 {
		_, err := file.Write(line)
		require.NoError(t, err)
	}
	require.NoError(t, file.Close())
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "llm-proxy*.log"))
	require.NoError(t, err)
	require.Len(t, names, 2)
	total := int64(0)
	for _, name := range names {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.LessOrEqual(t, info.Size(), int64(1<<20))
		total += info.Size()
	}
	require.EqualValues(t, 2000*1024, total)
}
