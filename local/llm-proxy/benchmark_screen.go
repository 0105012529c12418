package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/sofatutor/llm-proxy/internal/bench"
)

// runOnTerminal runs with a view that changes. It takes no keys, so Ctrl-C ends the run as any signal does.
func runOnTerminal(ctx context.Context, run *bench.Run, plan *bench.Plan, out io.Writer) *bench.Result {
	view := &benchmarkView{run: run, plan: plan, width: usualWidth}
	program := tea.NewProgram(view, tea.WithInput(nil), tea.WithOutput(out), tea.WithoutSignalHandler())
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		_, _ = program.Run() // a view that cannot be drawn stops no measurement
	}()
	result := run.Do(ctx)
	program.Send(benchmarkDone{})
	<-drawn
	return result
}

// benchmarkView shows how far a run is.
type benchmarkView struct {
	run   *bench.Run
	plan  *bench.Plan
	width int
	done  bool
}

type (
	benchmarkTick struct{}
	benchmarkDone struct{}
)

// viewEvery is how often it changes: each time takes some processor time from what is measured.
const viewEvery = 200 * time.Millisecond

func benchmarkTicks() tea.Cmd {
	return tea.Tick(viewEvery, func(time.Time) tea.Msg { return benchmarkTick{} })
}

// Init implements [tea.Model].
func (v *benchmarkView) Init() tea.Cmd { return benchmarkTicks() }

// Update implements [tea.Model].
func (v *benchmarkView) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		v.width = max(leastScreenWidth, cmp.Or(msg.Width, usualWidth))
	case benchmarkTick:
		return v, benchmarkTicks()
	case benchmarkDone:
		v.done = true
		return v, tea.Quit
	}
	return v, nil
}

// View implements [tea.Model].
func (v *benchmarkView) View() tea.View {
	if v.done {
		return tea.NewView("") // the report takes its place
	}
	status := v.run.Status()
	const barWidth = 30
	full := int(status.Share * barWidth)
	lines := []string{
		fmt.Sprintf("%s %s", v.plan.Method, v.plan.URL),
		fmt.Sprintf("%s %3.0f %%", strings.Repeat("█", full)+faint.Render(strings.Repeat("░", barWidth-full)), status.Share*100),
		status.String(),
	}
	for _, e := range status.Errors[:min(len(status.Errors), mostNamed)] {
		lines = append(lines, errorful(fmt.Sprintf("%d x %s", e.Count, e.Name())))
	}
	lines = append(lines, faint.Render("Ctrl-C ends the run with the report of what ran."))
	for i, line := range lines {
		lines[i] = lipgloss.NewStyle().MaxWidth(v.width).Render(line)
	}
	return tea.NewView(strings.Join(lines, "\n") + "\n")
}
