package main

import (
	"errors"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"
)

// screen is a chat screen without a terminal, to which keys are given.
func screen(t *testing.T) *chatScreen {
	s := newChatScreen(t.Context(), &conversation{model: "m"})
	s.input.Focus()
	return s
}

func (s *chatScreen) typed(text string) {
	for _, r := range text {
		s.press(tea.KeyPressMsg{Code: r, Text: string(r)})
	}
}

var (
	pressCtrlC = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	pressTab   = tea.KeyPressMsg{Code: tea.KeyTab}
	pressEnter = tea.KeyPressMsg{Code: tea.KeyEnter}
)

func TestCtrlCAtThePromptFirstClearsItAndAnyKeyMeansToStay(t *testing.T) {
	s := screen(t)
	s.typed("a draft")
	require.Equal(t, "a draft", s.input.Value())
	require.Nil(t, s.press(pressCtrlC))
	require.Empty(t, s.input.Value())
	require.Contains(t, s.View().Content, "Press Ctrl-C again")
	s.typed("x")
	require.NotContains(t, s.View().Content, "Press Ctrl-C again")
	require.Nil(t, s.press(pressCtrlC), "typing meant to stay")
	require.IsType(t, tea.QuitMsg{}, s.press(pressCtrlC)())
}

func TestNothingIsSentWhileAnAnswerIsOnItsWay(t *testing.T) {
	s := screen(t)
	stopped := false
	s.stop = func() { stopped = true }
	s.typed("next")
	require.Nil(t, s.press(pressEnter))
	require.Equal(t, "next", s.input.Value(), "what was typed is kept")
	require.Contains(t, s.View().Content, "An answer is on its way")
	require.Nil(t, s.press(pressCtrlC))
	require.True(t, stopped)
	require.Equal(t, "next", s.input.Value(), "Ctrl-C meant the answer")
}

func TestALongAnswerShowsItsEndWhileItComes(t *testing.T) {
	s := screen(t)
	s.Update(tea.WindowSizeMsg{Width: 40, Height: 10})
	s.stop = func() {}
	for range 20_000 {
		s.pending += "word "
	}
	s.Update(pieceMsg("the end"))
	view := s.View().Content
	require.LessOrEqual(t, strings.Count(view, "\n")+1, 10, "it fits on the screen")
	require.Contains(t, view, "the end")
}

func TestATerminalThatDoesNotTellItsSizeHasTheUsualOne(t *testing.T) {
	s := screen(t)
	s.Update(tea.WindowSizeMsg{})
	require.Equal(t, []int{usualWidth, usualHeight}, []int{s.width, s.height})
	s.Update(tea.WindowSizeMsg{Width: 1, Height: 1})
	require.Equal(t, []int{leastScreenWidth, leastScreenHeight}, []int{s.width, s.height})
}

func TestTabCompletesCommandsAndTheirBeginningIsEnough(t *testing.T) {
	s := screen(t)
	s.typed("/cl")
	s.press(pressTab)
	require.Equal(t, "/clear ", s.input.Value())
	for text, fits := range map[string]int{"/m": 1, "/quit": 1, "/": 0, "/x": 0} {
		require.Len(t, fittingCommands(text), fits, text)
	}
	s.talk.messages = []message{{"user", "a"}}
	s.command("/cl")
	require.Empty(t, s.talk.messages)
	s.command("/system be brief")
	require.Equal(t, "be brief", s.talk.system)
	s.command("/system")
	require.Empty(t, s.talk.system)
}

func TestAModelIsChosenFromTheList(t *testing.T) {
	s := screen(t)
	s.talk.model = "beta"
	s.choosing = &modelChoice{}
	require.Contains(t, s.View().Content, "Asking for the models")
	s.Update(modelsMsg{names: []string{"gamma", "alpha", "beta", "alphabet"}})
	require.Contains(t, s.View().Content, "> beta", "the present one comes first")
	s.typed("alp")
	require.NotContains(t, s.View().Content, "gamma")
	s.press(tea.KeyPressMsg{Code: tea.KeyDown})
	s.press(pressEnter)
	require.Equal(t, "alphabet", s.talk.model)
	require.Nil(t, s.choosing)

	s.choosing = &modelChoice{names: []string{"a"}}
	s.typed("zz")
	require.Contains(t, s.View().Content, "none fits")
	s.press(pressEnter)
	require.NotNil(t, s.choosing, "nothing can be taken")
	s.press(tea.KeyPressMsg{Code: tea.KeyBackspace})
	s.press(tea.KeyPressMsg{Code: tea.KeyBackspace})
	require.Contains(t, s.View().Content, "> a")
	s.press(tea.KeyPressMsg{Code: tea.KeyEscape})
	require.Equal(t, "alphabet", s.talk.model)

	s.choosing = &modelChoice{}
	s.Update(modelsMsg{err: errors.New("no")})
	require.Nil(t, s.choosing, "an error leaves the list")
}
