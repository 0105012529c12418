package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// runChatScreen is a conversation on a terminal. What is said scrolls up into the terminal's own history; below it is what changes: the
// answer while it comes, then the line to type in.
func runChatScreen(ctx context.Context, talk *conversation, in io.Reader, out io.Writer) error {
	s := newChatScreen(ctx, talk)
	program := tea.NewProgram(s, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler())
	s.send = program.Send
	_, err := program.Run()
	s.stopAnswer()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // asked to end from outside
	}
	return err
}

// chatScreen is what the terminal shows.
type chatScreen struct {
	ctx  context.Context // of the whole program: an answer ends with it
	talk *conversation
	send func(tea.Msg)

	input   textarea.Model
	asked   []string // what was sent, for the arrow keys
	recall  int      // which of asked is in the input; len(asked) is none
	draft   string   // what was typed before the arrow keys
	width   int
	height  int
	hint    string // below the input, until the next key
	leaving bool   // Ctrl-C was pressed at the prompt

	stop     context.CancelFunc // of the answer under way; nil if there is none
	pending  string             // what has come of it
	choosing *modelChoice       // nil: no list is shown
}

// What comes from elsewhere.
type (
	pieceMsg  string
	answerMsg struct {
		answer answer
		err    error
	}
	modelsMsg struct {
		names []string
		err   error
	}
)

// Sizes: those where the terminal does not tell, and the least where it is tiny.
const (
	usualWidth        = 80
	usualHeight       = 24
	leastScreenWidth  = 20
	leastScreenHeight = 5
	widestAnswer      = 100 // lines longer than this are hard to read
	tallestInput      = 8
)

var (
	faint = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
)

// noColour reports whether the environment asks for none (no-color.org).
func noColour() bool { return os.Getenv("NO_COLOR") != "" }

// errorful draws what went wrong.
func errorful(text string) string {
	if noColour() {
		return text
	}
	return lipgloss.NewStyle().Foreground(lipgloss.Red).Render(text)
}

func newChatScreen(ctx context.Context, talk *conversation) *chatScreen {
	input := textarea.New()
	input.Prompt = "> "
	input.Placeholder = "Ask something, or /help"
	input.ShowLineNumbers = false
	input.MaxHeight = tallestInput
	input.CharLimit = 0
	input.SetHeight(1)
	input.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "shift+enter", "ctrl+j"))
	styles := input.Styles()
	styles.Focused.CursorLine = lipgloss.NewStyle()
	styles.Cursor.Blink = false
	input.SetStyles(styles)
	s := &chatScreen{ctx: ctx, talk: talk, input: input, width: usualWidth, height: usualHeight}
	s.input.SetWidth(s.width)
	return s
}

// Init implements [tea.Model].
func (s *chatScreen) Init() tea.Cmd {
	return tea.Batch(s.input.Focus(), tea.Println(faint.Render("Talking to "+printable(s.talk.model)+". /help lists the commands.")))
}

// Update implements [tea.Model].
func (s *chatScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		// A terminal that does not tell says 0.
		s.width, s.height = max(leastScreenWidth, cmp.Or(msg.Width, usualWidth)), max(leastScreenHeight, cmp.Or(msg.Height, usualHeight))
		s.input.SetWidth(s.width)
		return s, nil
	case pieceMsg:
		s.pending += string(msg)
		return s, nil
	case answerMsg:
		return s, s.showAnswer(msg)
	case modelsMsg:
		return s, s.showModels(msg)
	case tea.KeyPressMsg:
		return s, s.press(msg)
	}
	var cmd tea.Cmd
	s.input, cmd = s.input.Update(msg)
	s.fitInput()
	return s, cmd
}

// press takes a key.
func (s *chatScreen) press(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	leaving := s.leaving
	s.hint, s.leaving = "", false
	switch {
	case name == "ctrl+c" && s.stop != nil:
		s.stopAnswer()
		return nil
	case name == "ctrl+c" && s.choosing != nil:
		s.choosing = nil
		return nil
	case name == "ctrl+c" && leaving:
		return tea.Quit
	case name == "ctrl+c":
		s.input.Reset()
		s.fitInput()
		s.hint, s.leaving = "Press Ctrl-C again to leave.", true
		return nil
	case s.choosing != nil:
		return s.choose(name, msg.Text)
	case name == "ctrl+d" && s.input.Value() == "" && s.stop == nil:
		return tea.Quit
	case name == "enter" && s.stop != nil:
		s.hint = "An answer is on its way; Ctrl-C stops it."
		return nil
	case name == "enter":
		return s.submit()
	case name == "tab":
		s.completeCommand()
		return nil
	case name == "up" && s.input.Line() == 0 && s.recall > 0:
		s.showAsked(s.recall - 1)
		return nil
	case name == "down" && s.input.Line() == s.input.LineCount()-1 && s.recall < len(s.asked):
		s.showAsked(s.recall + 1)
		return nil
	}
	var cmd tea.Cmd
	s.input, cmd = s.input.Update(msg)
	s.fitInput()
	return cmd
}

// showAsked puts what was asked before into the input; beyond the last it is what was being typed.
func (s *chatScreen) showAsked(i int) {
	if s.recall == len(s.asked) {
		s.draft = s.input.Value()
	}
	s.recall = i
	text := s.draft
	if i < len(s.asked) {
		text = s.asked[i]
	}
	s.input.SetValue(text)
	s.fitInput()
	s.input.MoveToEnd()
}

// fitInput makes the input as tall as what stands in it.
func (s *chatScreen) fitInput() {
	rows := 0
	for line := range strings.SplitSeq(s.input.Value(), "\n") {
		rows += 1 + lipgloss.Width(line)/max(1, s.input.Width())
	}
	s.input.SetHeight(min(rows, tallestInput))
}

// submit takes what was typed: a command or a question.
func (s *chatScreen) submit() tea.Cmd {
	text := strings.TrimSpace(s.input.Value())
	if text == "" {
		return nil
	}
	if len(s.asked) == 0 || s.asked[len(s.asked)-1] != text {
		s.asked = append(s.asked, text)
	}
	s.recall, s.draft = len(s.asked), ""
	s.input.Reset()
	s.fitInput()
	if strings.HasPrefix(text, "/") {
		return s.command(text)
	}
	return tea.Sequence(tea.Println(bold.Render("> "+strings.ReplaceAll(printable(text), "\n", "\n  "))), s.ask(text))
}

// ask sends a question. Its answer comes as messages.
func (s *chatScreen) ask(text string) tea.Cmd {
	ctx, stop := context.WithCancel(s.ctx)
	s.stop, s.pending = stop, ""
	return func() tea.Msg {
		a, err := s.talk.ask(ctx, text, func(piece string) { s.send(pieceMsg(printable(piece))) })
		return answerMsg{a, err}
	}
}

func (s *chatScreen) stopAnswer() {
	if s.stop != nil {
		s.stop()
	}
}

// showAnswer puts an answer into the terminal's history, its markdown drawn, and what is wrong with it below.
func (s *chatScreen) showAnswer(msg answerMsg) tea.Cmd {
	s.stopAnswer()
	s.stop, s.pending = nil, ""
	var below string
	switch {
	case errors.Is(msg.err, context.Canceled):
		below = faint.Render("(stopped)")
	case msg.err != nil:
		below = errorful("Error: " + printable(msg.err.Error()))
	case msg.answer.unfinished() != "":
		below = errorful(msg.answer.unfinished())
	case msg.answer.tokens > 0:
		below = faint.Render(fmt.Sprintf("%s · %d tokens", printable(s.talk.model), msg.answer.tokens))
	}
	var lines []string
	if msg.answer.text != "" {
		lines = append(lines, drawMarkdown(printable(msg.answer.text), min(s.width, widestAnswer)-1, !noColour()))
	}
	if below != "" {
		lines = append(lines, below)
	}
	return tea.Println(strings.Join(lines, "\n") + "\n")
}

// View implements [tea.Model].
func (s *chatScreen) View() tea.View {
	var b strings.Builder
	switch {
	case s.choosing != nil:
		b.WriteString(s.choosing.view(s.width, s.height))
	case s.stop != nil:
		b.WriteString(s.pendingView())
		fallthrough
	default:
		b.WriteString(s.input.View())
		if s.hint != "" {
			b.WriteString("\n" + faint.Render(s.hint))
		}
	}
	return tea.NewView(b.String())
}

// pendingView is the end of the answer under way, as far as it fits.
func (s *chatScreen) pendingView() string {
	const most = 16 << 10 // bytes: more than a screen has
	text := s.pending
	if len(text) > most {
		text = strings.ToValidUTF8(text[len(text)-most:], "")
	}
	if text == "" {
		return faint.Render("... (Ctrl-C stops the answer)") + "\n"
	}
	lines := strings.Split(lipgloss.Wrap(text, min(s.width, widestAnswer)-2, ""), "\n")
	if rows := max(1, s.height-s.input.Height()-2); len(lines) > rows {
		lines = lines[len(lines)-rows:]
	}
	return strings.Join(lines, "\n") + "\n"
}
