package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// TestWhatIsPrintedWorksWhenPasted runs the demo's block in a shell as a person would.
func TestWhatIsPrintedWorksWhenPasted(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		fmt.Fprintln(os.Stderr, "SKIPPED TestWhatIsPrintedWorksWhenPasted: there is no curl")
		t.Skip("there is no curl")
	}
	s := start(t, nil)
	var paste []string
	for line := range strings.Lines(s.printed) {
		if strings.HasPrefix(line, "export ") || strings.HasPrefix(line, "curl ") || strings.HasPrefix(line, "  ") {
			paste = append(paste, line)
		}
	}
	require.Len(t, paste, 4)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Join(paste, "")+"\ncurl -sS $OPENAI_BASE_URL/models -H \"Authorization: Bearer $OPENAI_API_KEY\"").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), `"chat.completion"`)
	require.Contains(t, string(out), `"object":"list"`)
	require.LessOrEqual(t, strings.Count(s.printed, "\n"), 20)
}

func TestTheBlockFitsTheProvider(t *testing.T) {
	set, err := provider.Parse("providers.yaml", []byte(`
default: openai
providers:
  openai: {preset: openai}
  claude: {preset: anthropic}
  other:
    base_url: https://other.example.com
    endpoints:
      - {path: /v1/rerank, methods: [POST]}
`))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"openai": "export OPENAI_BASE_URL=http://h/v1\nexport OPENAI_API_KEY=T\n\ncurl http://h/v1/chat/completions -H \"Authorization: Bearer T\" \\\n",
		"claude": "export ANTHROPIC_BASE_URL=http://h/claude\nexport ANTHROPIC_API_KEY=T\n\ncurl http://h/claude/v1/messages -H \"Authorization: Bearer T\" \\\n",
		"other":  "export OPENAI_BASE_URL=http://h/other/v1\nexport OPENAI_API_KEY=T\n\nnote\n",
	} {
		printed := newBlock("http://h", set, name, "T", "note").String()
		require.True(t, strings.HasPrefix(printed, want), "%s:\n%s", name, printed)
		require.True(t, strings.HasSuffix(printed, "note\n"))
	}
}

func TestTheStartCommandCanBePasted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a $HOME")
	s, err := parseSettings(map[string]string{"LLM_PROXY_DATA_DIR": dir})
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", "set -- "+strings.TrimPrefix(command(&s, "server"), "llm-proxy ")+`; printf '%s\n' "$@"`).Output()
	require.NoError(t, err)
	require.Equal(t, "server\n--data-dir\n"+dir+"\n", string(out))
}
