package main

import (
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// chatCommand is what can be typed instead of a question.
type chatCommand struct {
	name, argument, does string
	run                  func(s *chatScreen, argument string) tea.Cmd
}

// chatCommands returns the table. It is a function because /help reads the table that it is in.
func chatCommands() []chatCommand {
	return []chatCommand{
		{"/model", "[NAME]", "ask another model; without a name, choose from those that the API lists", (*chatScreen).changeModel},
		{"/system", "[TEXT]", "tell the model something before the conversation; without a text, nothing", func(s *chatScreen, text string) tea.Cmd {
			s.talk.system = text
			if text == "" {
				return tea.Println(faint.Render("The model is told nothing before the conversation."))
			}
			return tea.Println(faint.Render("The model is told this before the conversation."))
		}},
		{"/clear", "", "forget the conversation and begin a new one", func(s *chatScreen, _ string) tea.Cmd {
			s.talk.clear()
			return tea.Println(faint.Render("A new conversation begins."))
		}},
		{"/help", "", "show this", func(*chatScreen, string) tea.Cmd { return tea.Println(chatHelp()) }},
		{"/quit", "", "leave; so do Ctrl-D, and Ctrl-C twice", func(*chatScreen, string) tea.Cmd { return tea.Quit }},
	}
}

func chatHelp() string {
	var b strings.Builder
	for _, c := range chatCommands() {
		fmt.Fprintf(&b, "%-15s %s\n", strings.TrimSpace(c.name+" "+c.argument), c.does)
	}
	b.WriteString("Enter sends, Alt-Enter or Ctrl-J begins a new line, Up and Down bring back what was asked, Ctrl-C stops an answer.\n")
	return b.String()
}

// command runs what begins with a slash. A beginning that fits one command only is enough.
func (s *chatScreen) command(text string) tea.Cmd {
	name, argument, _ := strings.Cut(text, " ")
	fits := fittingCommands(name)
	if len(fits) != 1 {
		return tea.Println(errorful("There is no command " + printable(name) + "; /help lists them."))
	}
	return fits[0].run(s, strings.TrimSpace(argument))
}

// fittingCommands are those that begin with name, or the one that is called so.
func fittingCommands(name string) (fits []chatCommand) {
	for _, c := range chatCommands() {
		if c.name == name {
			return []chatCommand{c}
		}
		if len(name) > 1 && strings.HasPrefix(c.name, name) {
			fits = append(fits, c)
		}
	}
	return fits
}

// completeCommand completes the command in the input.
func (s *chatScreen) completeCommand() {
	if fits := fittingCommands(s.input.Value()); len(fits) == 1 {
		s.input.SetValue(fits[0].name + " ")
		s.input.MoveToEnd()
	}
}

// changeModel takes the model's name, or asks the API for those there are.
func (s *chatScreen) changeModel(name string) tea.Cmd {
	if name != "" {
		s.talk.model = name
		return tea.Println(faint.Render("Talking to " + printable(name) + "."))
	}
	s.choosing = &modelChoice{}
	return func() tea.Msg {
		names, err := s.talk.client.models(s.ctx)
		return modelsMsg{names, err}
	}
}

func (s *chatScreen) showModels(msg modelsMsg) tea.Cmd {
	if s.choosing == nil {
		return nil // left meanwhile
	}
	if msg.err != nil {
		s.choosing = nil
		return tea.Println(errorful("Error: " + printable(msg.err.Error())))
	}
	slices.Sort(msg.names)
	s.choosing.names = msg.names
	s.choosing.at = max(0, slices.Index(msg.names, s.talk.model))
	return nil
}

// choose takes a key while the list of models is shown.
func (s *chatScreen) choose(name, text string) tea.Cmd {
	c := s.choosing
	fits := c.fitting()
	switch name {
	case "up", "ctrl+p":
		c.at = max(0, c.at-1)
	case "down", "ctrl+n":
		c.at = max(0, min(len(fits)-1, c.at+1))
	case "esc":
		s.choosing = nil
	case "enter":
		if c.at < len(fits) {
			s.choosing = nil
			return s.changeModel(fits[c.at])
		}
	case "backspace":
		if runes := []rune(c.filter); len(runes) > 0 {
			c.filter, c.at = string(runes[:len(runes)-1]), 0
		}
	default:
		if text != "" {
			c.filter, c.at = c.filter+text, 0
		}
	}
	return nil
}

// modelChoice is a list of models of which one is chosen. Typing narrows it.
type modelChoice struct {
	names  []string // nil: they are still asked for
	filter string
	at     int // which of those that fit
}

func (c *modelChoice) fitting() (fits []string) {
	for _, name := range c.names {
		if strings.Contains(strings.ToLower(name), strings.ToLower(c.filter)) {
			fits = append(fits, name)
		}
	}
	return fits
}

func (c *modelChoice) view(width, height int) string {
	if c.names == nil {
		return faint.Render("Asking for the models ...")
	}
	fits := c.fitting()
	rows := max(3, min(10, height-3))
	first := max(0, min(c.at-rows/2, len(fits)-rows))
	lines := []string{faint.Render("Model (type to narrow, Enter takes, Esc leaves): ") + printable(c.filter)}
	for i := first; i < min(len(fits), first+rows); i++ {
		name := fits[i]
		if runes := []rune(name); len(runes) > width-3 {
			name = string(runes[:width-3])
		}
		if i == c.at {
			lines = append(lines, bold.Render("> "+name))
		} else {
			lines = append(lines, "  "+name)
		}
	}
	if len(fits) == 0 {
		lines = append(lines, faint.Render("  none fits"))
	}
	return strings.Join(lines, "\n")
}
