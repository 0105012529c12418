package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test's own binary be the bare proxy, as the program's is.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bare" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program builds the llm-proxy that is measured.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "llm-proxy")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/sofatutor/llm-proxy/local/llm-proxy").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

func TestAShortRunMeasuresEveryWayAndLosesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "results", "short.json")
	require.NoError(t, run(t.Context(), []string{"-binary", program(t), "-rounds", "1", "-slice", "200ms", "-streams", "20", "-out", out}))
	data, err := os.ReadFile(out)
	require.NoError(t, err)
	var r report
	require.NoError(t, json.Unmarshal(data, &r))
	direct, bare, ours := r.named("direct"), r.named("bare ReverseProxy"), r.named("llm-proxy")
	require.Positive(t, direct.SatRate)
	for _, res := range []*result{bare, ours} {
		require.Zero(t, res.Changed, "%s changed bodies", res.Name)
		for what, figure := range map[string]float64{
			"start": res.StartMS, "idle": res.IdleMB, "loaded": res.LoadedMB, "streams": res.StreamsMB, "seq": res.SeqCPU, "sat": res.SatCPU,
			"large": res.LargeCPU, "paced": res.PacedP50, "stream": res.StreamCPU, "first byte": res.FirstByte,
		} {
			require.Positive(t, figure, "%s of %s", what, res.Name)
		}
	}
	require.Zero(t, ours.Errors)

	var table bytes.Buffer
	r.print(&table)
	for _, row := range []string{"CPU µs a request, one connection", "requests a second, 32 connections", "exec to first answer", "RSS with 20 open streams", "bodies changed"} {
		require.Contains(t, table.String(), row)
	}
	require.Contains(t, table.String(), "(1.00)", "the bare proxy is what others are compared with")
}

func TestARunThatCannotBeginSaysWhy(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"-binary", filepath.Join(t.TempDir(), "none"), "-rounds", "1", "-slice", "10ms"}), "setup")
	require.Error(t, run(t.Context(), []string{"-rounds", "many"}))
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	require.Error(t, run(ended, []string{"-rounds", "1"}))
}
