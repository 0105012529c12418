package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// listed is a server with more requests and audit entries than a page holds, behind a front that can refuse.
type listed struct {
	*testServer
	refuse func(n int64) bool // the n-th call from now on, counted from 1
	calls  atomic.Int64
}

const manyRequests = 130

func startListed(t *testing.T) *listed {
	t.Helper()
	l := &listed{testServer: start(t, map[string]string{"MANAGEMENT_TOKEN": operatorToken})}
	for i := range manyRequests {
		if i%2 == 0 {
			l.send(http.MethodGet, "/v1/models", "")
			status, _ := l.manage("projects", fmt.Sprintf(`{"name":"=made(%d)","provider":"demo","api_key":"sk-fake-0123456789"}`, i))
			require.Equal(t, http.StatusCreated, status)
			continue
		}
		model := []string{"gpt-4o", "=gpt(1)"}[i/2%2]
		l.send(http.MethodPost, "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hello"}]}`)
	}
	eventually(l.testServer, "ledger", func(d gjson.Result) bool { return d.Get("delivered").Int() == manyRequests }, "the ledger has all requests")
	to, err := url.Parse(l.url)
	require.NoError(t, err)
	behind := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.refuse != nil && l.refuse(l.calls.Add(1)) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv(envManageURL, front.URL)
	t.Setenv(envManageToken, operatorToken)
	before := exportPause
	exportPause = time.Millisecond
	t.Cleanup(func() { exportPause = before })
	return l
}

// whole is what the API itself exports.
func (l *listed) whole(listing, format string) string {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.url+"/manage/"+listing+"?format="+format, nil)
	require.NoError(l.t, err)
	req.Header.Set("Authorization", "Bearer "+operatorToken)
	res, err := http.DefaultClient.Do(req)
	require.NoError(l.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(l.t, err)
	require.Equal(l.t, http.StatusOK, res.StatusCode, string(text))
	return string(text)
}

// TestAnExportOfPagesIsWhatTheAPIExports: byte for byte, in both forms, also where each second call is refused.
func TestAnExportOfPagesIsWhatTheAPIExports(t *testing.T) {
	l := startListed(t)
	l.refuse = func(n int64) bool { return n%2 == 1 }
	for _, listing := range []string{"requests", "audit"} {
		for _, format := range []string{"jsonl", "csv"} {
			want := l.whole(listing, format)
			require.Greater(t, strings.Count(want, "\n"), 130/2, "more than this would prove nothing")
			got, talk, err := runLine(t.Context(), "manage", listing, "export", "--format", format)
			require.NoError(t, err, talk)
			require.Equal(t, want, got)
			require.Empty(t, talk, "no progress where no terminal is")
			if format == "csv" {
				require.NotRegexp(t, `(?m)(^|,)"?=`, got)
			}
		}
	}
	requests := l.whole("requests", "csv")
	require.Equal(t, manyRequests+1, strings.Count(requests, "\n"))
	require.Contains(t, requests, ",'=gpt(1),", "what a spreadsheet would take for a formula is quoted")
	require.Contains(t, requests, ",upstream,false,")
	require.Greater(t, l.calls.Load(), int64(8))
}

// TestAnExportThatStopsSaysWhereItGoesOn: the parts make up the whole, and a time that was given as some time ago stays the same.
func TestAnExportThatStopsSaysWhereItGoesOn(t *testing.T) {
	l := startListed(t)
	file := filepath.Join(t.TempDir(), "requests.csv")
	export := []string{"manage", "requests", "export", "--format", "csv", "--output", file}
	l.refuse = func(n int64) bool { return n > 1 }
	_, _, err := runLine(t.Context(), append(export, "--from", "24h")...)
	require.Equal(t, exitUnreachable, exitCode(err))
	require.Equal(t, int64(1+exportTries), l.calls.Load())
	require.ErrorContains(t, err, "the export stopped after 100 entries, back to 20")
	require.NoFileExists(t, file)
	found := regexp.MustCompile(`It goes on with the same words and (--from \S+ --cursor \S+)$`).FindStringSubmatch(err.Error())
	require.NotNil(t, found, err.Error())
	again := append(export, strings.Fields(found[1])...)

	// What a page that was not whole has left is no part of it.
	part, err := os.ReadFile(file + ".part")
	require.NoError(t, err)
	require.Equal(t, 101, strings.Count(string(part), "\n"))

	_, _, err = runLine(t.Context(), again...)
	require.Equal(t, exitUnreachable, exitCode(err), "it may stop again, at the same place")
	require.ErrorContains(t, err, found[1])
	l.refuse = nil
	_, _, err = runLine(t.Context(), again...)
	require.NoError(t, err)
	require.NoFileExists(t, file+".part")
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, l.whole("requests", "csv"), string(got))

	_, _, err = runLine(t.Context(), again...)
	require.Equal(t, exitUsage, exitCode(err), "there is nothing to go on with")
	require.ErrorContains(t, err, ".part, which an export has left, is not there")
	_, _, err = runLine(t.Context(), "manage", "requests", "export", "--from", "23h", "--cursor", strings.Fields(found[1])[3])
	require.Equal(t, exitUsage, exitCode(err), "a cursor of other filters")
	require.ErrorContains(t, err, "cursor: ")
}

func TestAnExportThatCannotBeginLeavesNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	before := exportPause
	exportPause = time.Millisecond
	t.Cleanup(func() { exportPause = before })
	for status, code := range map[int]int{0: exitUnreachable, 503: exitUnreachable, 401: exitRefused, 400: exitUsage, 200: exitFailed} {
		_, stderr, got := answering(t, status, `{"title":"No"}`, "audit", "export", "--output", file)
		require.Equal(t, code, got, stderr)
		require.NotContains(t, stderr, "--cursor")
		entries, err := os.ReadDir(filepath.Dir(file))
		require.NoError(t, err)
		require.Empty(t, entries)
	}
	stdout, _, code := answering(t, 200, "[]", "audit", "export", "--output", file)
	require.Zero(t, code)
	require.Empty(t, stdout)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, data)
	_, _, code = answering(t, 200, "[]", "requests", "export", "--format", "csv", "--output", filepath.Join(file, "none"))
	require.Equal(t, exitFailed, code)
	stdout, _, _ = answering(t, 200, "[]", "requests", "export", "--format", "csv")
	require.True(t, strings.HasPrefix(stdout, "time,id,"), "the head also where there is no entry")
	require.Equal(t, 1, strings.Count(stdout, "\n"))
}

func TestAnExportShowsOnATerminalHowFarItIs(t *testing.T) {
	m := startManaged(t)
	shown, code := m.onTerminal("entries, back to 20", "", "manage", "audit", "export", "--output", filepath.Join(m.dir, "audit.jsonl"))
	require.Zero(t, code, shown)
	require.FileExists(t, filepath.Join(m.dir, "audit.jsonl"))
}
