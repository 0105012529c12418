package dispatch

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestS3ObjectsAreLinesByTheHour(t *testing.T) {
	objects := map[string][]string{}
	backend := newStub(t, func(w http.ResponseWriter, r *http.Request, body []byte) []string {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return badRequest(w, err.Error())
		}
		lines, err := io.ReadAll(z)
		if err != nil {
			return badRequest(w, err.Error())
		}
		objects[r.URL.Path] = strings.Split(strings.TrimSuffix(string(lines), "\n"), "\n")
		return nil
	})
	events := requests(3)
	events[1].Time = events[1].Time.Add(time.Hour).In(time.FixedZone("", 3600))
	s := Settings{S3: S3Config{Bucket: "archive", AWS: onAWS(backend.URL), PathStyle: true}}
	require.Equal(t, make([]Result, 3), handOver(t, "s3", s, events...))
	require.Len(t, objects, 2)
	for path, lines := range objects {
		require.Regexp(t, `^/archive/events/dt=2026-11-22/hour=1[01]/[0-9a-f]{24}\.jsonl\.gz$`, path)
		if strings.Contains(path, "hour=10") {
			require.Equal(t, []string{string(events[0].AppendMeta(nil)), string(events[2].AppendMeta(nil))}, lines)
		} else {
			require.Equal(t, []string{string(events[1].AppendMeta(nil))}, lines)
		}
	}
	require.Equal(t, make([]Result, 3), handOver(t, "s3", s, events...))
	require.Len(t, objects, 2, "the same batch writes the same objects")
}
