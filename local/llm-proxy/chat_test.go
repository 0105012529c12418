package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// wholeTerminal is a person's: what is typed goes in, what was shown is kept without its colours and movements.
type wholeTerminal struct {
	t    *testing.T
	tty  *os.File
	cmd  *exec.Cmd
	done chan error

	mu    sync.Mutex
	shown bytes.Buffer
}

// startTerminal runs llm-proxy on a terminal.
func startTerminal(t *testing.T, env []string, args ...string) *wholeTerminal {
	t.Helper()
	program, err := exec.LookPath("llm-proxy")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append([]string{"TERM=xterm-256color", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: 100})
	require.NoError(t, err)
	term := &wholeTerminal{t: t, tty: tty, cmd: cmd, done: make(chan error, 1)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			term.mu.Lock()
			term.shown.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				term.done <- cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = tty.Close() })
	return term
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[=>78]|\x1bP[^\x1b]*\x1b\\`)

func (term *wholeTerminal) raw() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.shown.String()
}

func (term *wholeTerminal) text() string { return escapes.ReplaceAllString(term.raw(), "") }

// see waits until the text was shown.
func (term *wholeTerminal) see(text string) {
	term.t.Helper()
	term.seeTimes(1, text)
}

// seeTimes waits until the text was shown so many times. Spaces do not count: a terminal may be told to move on instead.
func (term *wholeTerminal) seeTimes(n int, text string) {
	term.t.Helper()
	solid := func(s string) string { return strings.Join(strings.Fields(s), "") }
	for end := time.Now().Add(patience); strings.Count(solid(term.text()), solid(text)) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			term.t.Fatalf("%q was not shown %d times, but:\n%s", text, n, term.text())
		}
	}
}

func (term *wholeTerminal) send(keys string) {
	term.t.Helper()
	_, err := io.WriteString(term.tty, keys)
	require.NoError(term.t, err)
}

// ends waits for the program's end and returns its exit code.
func (term *wholeTerminal) ends() int {
	term.t.Helper()
	select {
	case <-term.done:
		return term.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		term.t.Fatalf("the program does not end; it has shown:\n%s", term.text())
		return -1
	}
}

// Keys.
const (
	keyEnter = "\r"
	keyCtrlC = "\x03"
	keyCtrlD = "\x04"
	keyUp    = "\x1b[A"
	keyDown  = "\x1b[B"
)

func chatEnv(up *demo.Server) []string {
	return []string{"OPENAI_BASE_URL=" + up.URL + "/v1", "OPENAI_API_KEY=sk-fake-key"}
}

// questions are the last messages of all completions that reached the provider.
func questions(up *demo.Server) (all []string) {
	for _, r := range up.Requests() {
		if strings.HasSuffix(r.Path, "/chat/completions") {
			all = append(all, gjson.GetBytes(r.Body, "messages.@reverse.0.content").String())
		}
	}
	return all
}

func TestAConversationRemembersWhatWasSaid(t *testing.T) {
	provider := demo.Serve(t)
	term := startTerminal(t, chatEnv(provider), "openai", "chat", "--system", "Be brief.")
	term.see("Talking to gpt-4o-mini")
	term.send("first question" + keyEnter)
	term.see("“first question”")
	term.see("tokens")
	term.send("second question" + keyEnter)
	term.see("“second question”")
	term.seeTimes(2, "tokens")
	term.send("/quit" + keyEnter)
	require.Equal(t, exitOK, term.ends())

	requests := provider.Requests()
	require.Len(t, requests, 2, "nothing was asked that the person did not ask")
	var roles []string
	for _, m := range gjson.GetBytes(requests[1].Body, "messages").Array() {
		roles = append(roles, m.Get("role").String()+": "+m.Get("content").String())
	}
	require.Len(t, roles, 4)
	require.Equal(t, "system: Be brief.", roles[0])
	require.Equal(t, "user: first question", roles[1])
	require.Contains(t, roles[2], "assistant: You said: “first question”")
	require.Equal(t, "user: second question", roles[3])
	require.Equal(t, "Bearer sk-fake-key", requests[0].Header.Get("Authorization"))
	require.True(t, gjson.GetBytes(requests[0].Body, "stream").Bool())
}

func TestCtrlCStopsTheAnswerAndASecondOneAtThePromptLeaves(t *testing.T) {
	provider := demo.Serve(t, demo.HangAfter(3))
	term := startTerminal(t, chatEnv(provider), "openai", "chat")
	term.see("Talking to")
	term.send("never ending" + keyEnter)
	term.see("You") // the first word of the answer
	term.send(keyCtrlC)
	term.see("(stopped)")
	provider.WaitFor(t, 1, func(r demo.Request) bool { return r.Gone })
	term.send("still here" + keyEnter)
	provider.WaitFor(t, 2, nil)
	term.send(keyCtrlC)
	term.seeTimes(2, "(stopped)")
	term.send(keyCtrlC)
	term.see("Press Ctrl-C again to leave.")
	term.send(keyCtrlC)
	require.Equal(t, exitOK, term.ends())
	require.Equal(t, []string{"never ending", "still here"}, questions(provider))
	require.Equal(t, "assistant", gjson.GetBytes(provider.Requests()[1].Body, "messages.1.role").String(), "what had come of the stopped answer is part of the conversation")
}

func TestCommandsChangeTheConversation(t *testing.T) {
	provider := demo.Serve(t)
	term := startTerminal(t, chatEnv(provider), "openai", "chat", "--no-stream")
	term.see("Talking to")
	term.send("/help" + keyEnter)
	term.see("forget the conversation")
	term.send("/model special-model" + keyEnter)
	term.see("Talking to special-model")
	term.send("one" + keyEnter)
	term.see("“one”")
	term.see("tokens")
	term.send("/clear" + keyEnter)
	term.see("A new conversation begins.")
	term.send("/nonsense" + keyEnter)
	term.see("There is no command /nonsense")
	term.send("/model" + keyEnter)
	term.see("type to narrow")
	term.send("gpt-4o" + keyEnter)
	term.seeTimes(3, "Talking to")
	term.send("two" + keyEnter)
	term.see("“two”")
	term.seeTimes(2, "tokens")
	term.send(keyCtrlD)
	require.Equal(t, exitOK, term.ends())

	requests := provider.Requests()
	require.Equal(t, []string{"/v1/chat/completions", "/v1/models", "/v1/chat/completions"}, provider.Paths())
	require.Equal(t, "special-model", gjson.GetBytes(requests[0].Body, "model").String())
	require.False(t, gjson.GetBytes(requests[0].Body, "stream").Bool())
	require.Contains(t, gjson.GetBytes(requests[2].Body, "model").String(), "gpt-4o")
	require.EqualValues(t, 1, gjson.GetBytes(requests[2].Body, "messages.#").Int(), "/clear forgot what was said")
}

func TestArrowKeysBringBackWhatWasAsked(t *testing.T) {
	provider := demo.Serve(t)
	term := startTerminal(t, chatEnv(provider), "openai", "chat")
	term.see("Talking to")
	for i, q := range []string{"alpha", "beta"} {
		term.send(q + keyEnter)
		term.seeTimes(i+1, "tokens")
	}
	term.send(keyUp + keyUp + keyEnter) // alpha
	term.seeTimes(3, "tokens")
	term.send("draft" + keyUp + keyDown + "ed" + keyEnter) // back to what was being typed
	term.seeTimes(4, "tokens")
	term.send("two\nlines" + keyEnter) // Ctrl-J begins a new line
	term.seeTimes(5, "tokens")
	term.send("/quit" + keyEnter)
	require.Equal(t, exitOK, term.ends())
	require.Equal(t, []string{"alpha", "beta", "alpha", "drafted", "two\nlines"}, questions(provider))
}

func TestErrorsAreTheProxysSentenceWithTheRequestID(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Llm-Proxy-Request-Id", "0199aaaa-0000-7000-8000-000000000001")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":{"message":"This token has expired: ask for a new one.","type":"authentication_error","param":null,"code":"token_expired"}}`)
	}))
	defer server.Close()
	term := startTerminal(t, []string{"OPENAI_BASE_URL=" + server.URL + "/v1", "OPENAI_API_KEY=sk-fake-key"}, "openai", "chat")
	term.see("Talking to")
	term.send("hello" + keyEnter)
	term.see("Error: This token has expired: ask for a new one.")
	term.see("request 0199aaaa-0000-7000-8000-000000000001")
	term.send("/quit" + keyEnter)
	require.Equal(t, exitOK, term.ends())
	require.NotContains(t, term.raw(), "sk-fake-key")
}

func TestMarkdownIsDrawnAndNothingSteersTheTerminal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range []string{`# A heading\n\n`, `**important** \u001b]0;owned\u0007\u001b[2J and `, `\u009b31m done`} {
			_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"`+piece+`"}}]}`+"\n\n")
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}))
	defer server.Close()
	for name, env := range map[string][]string{"colours": nil, "NO_COLOR": {"NO_COLOR=1"}} {
		t.Run(name, func(t *testing.T) {
			term := startTerminal(t, append(env, "OPENAI_BASE_URL="+server.URL+"/v1", "OPENAI_API_KEY=sk-fake-key"), "openai", "chat")
			term.see("Talking to")
			term.send("x" + keyEnter)
			term.see("done")
			term.send(keyCtrlD)
			require.Equal(t, exitOK, term.ends())
			require.NotContains(t, term.raw(), "\x1b]0;owned")
			require.NotContains(t, term.raw(), "\u009b")
			coloured := regexp.MustCompile(`\x1b\[[0-9;]*(3[0-7]|38;[0-9;]+|9[0-7])[;m]`).MatchString(term.raw())
			require.Equal(t, name == "colours", coloured)
		})
	}
}

func TestAnAnswerToAPipeIsPlain(t *testing.T) {
	provider := demo.Serve(t)
	base, err := url.Parse(provider.URL + "/v1")
	require.NoError(t, err)
	for _, stream := range []bool{true, false} {
		var out bytes.Buffer
		talk := &conversation{client: newChatClient(base, llmproxy.NewSecret("sk-fake-key")), model: "m", stream: stream}
		require.NoError(t, chatOnce(t.Context(), talk, "hello", &out))
		require.Regexp(t, `^You said: “hello”\. .*\.\n$`, out.String())
	}
}

func TestACutAnswerFailsAndKeepsWhatCame(t *testing.T) {
	provider := demo.Serve(t, demo.CutAfter(4))
	base, err := url.Parse(provider.URL + "/v1")
	require.NoError(t, err)
	var out bytes.Buffer
	talk := &conversation{client: newChatClient(base, llmproxy.NewSecret("sk-fake-key")), model: "m", stream: true}
	err = chatOnce(t.Context(), talk, "hello", &out)
	require.ErrorIs(t, err, errCut)
	require.Equal(t, exitFailed, exitCode(err))
	require.True(t, strings.HasPrefix(out.String(), "You said"), out.String())
}

func TestAStreamThatEndsWithoutItsLastEventIsCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"delta":{"content":"half"}}]}`+"\n\n")
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	talk := &conversation{client: newChatClient(base, llmproxy.NewSecret("sk-fake-key")), model: "m", stream: true}
	require.ErrorIs(t, chatOnce(t.Context(), talk, "hello", io.Discard), errCut)
}

func TestTheTokenIsNotSentWhereARedirectPoints(t *testing.T) {
	elsewhere := demo.Serve(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	talk := &conversation{client: newChatClient(base, llmproxy.NewSecret("sk-fake-key")), model: "m", stream: true}
	require.ErrorContains(t, chatOnce(t.Context(), talk, "hello", io.Discard), "the server answered 307")
	require.Empty(t, elsewhere.Requests())
}

func TestInterruptingAOneShotAnswerFails(t *testing.T) {
	provider := demo.Serve(t, demo.HangAfter(2))
	program, err := exec.LookPath("llm-proxy")
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "openai", "chat", "hello")
	cmd.Env = append(chatEnv(provider), "HOME="+t.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	provider.WaitFor(t, 1, nil)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, stderr.String(), "stopped before the answer was complete")
}

func TestPromptsAreArgumentsAndStandardInput(t *testing.T) {
	for _, c := range []struct {
		args        []string
		stdin, want string
	}{
		{nil, "from stdin\n", "from stdin"},
		{[]string{"two", "words"}, "not read", "two words"},
		{[]string{"Review:", "-"}, "a\nb\n", "Review: \na\nb"},
	} {
		got, err := readPrompt(c.args, strings.NewReader(c.stdin))
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := readPrompt(nil, strings.NewReader(" \n"))
	require.Equal(t, exitUsage, exitCode(err))
	_, err = readPrompt(nil, strings.NewReader(strings.Repeat("x", maxPrompt+1)))
	require.Equal(t, exitUsage, exitCode(err))
}

func TestATokenFileHoldsOneToken(t *testing.T) {
	cmd := newChatCommand()
	path := filepath.Join(t.TempDir(), "token")
	for content, ok := range map[string]bool{"sk-fake\n": true, "": false, "two tokens": false} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		token, err := readSecretFile(path, cmd)
		require.Equal(t, ok, err == nil, "%q: %v", content, err)
		if ok {
			require.Equal(t, "sk-fake", token.Reveal())
		}
	}
	_, err := readSecretFile(path+"-missing", cmd)
	require.Equal(t, exitUsage, exitCode(err))
}
