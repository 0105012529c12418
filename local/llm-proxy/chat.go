package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// defaultModel is asked where nobody chose one.
const defaultModel = "gpt-4o-mini"

// maxPrompt bounds what is read from standard input.
const maxPrompt = 8 << 20

// chatFlags are those of openai chat.
type chatFlags struct {
	endpoint

	model    string
	system   string
	noStream bool
}

func newChatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat [PROMPT...]",
		Short: "Talk to a model",
		Long: `Talks to a model through the proxy. On a terminal it is a conversation: Enter
sends, Alt-Enter or Ctrl-J begins a new line, the arrow keys bring back what was
asked before, Ctrl-C stops an answer. /help lists the commands.

With a prompt as arguments, or on standard input where that is no terminal, it
asks once and writes the answer to standard output as it comes; the argument -
stands for standard input.`,
		Example: `llm-proxy openai chat
llm-proxy openai chat "What is a withering token?"
git diff | llm-proxy openai chat "Review this change:" -
llm-proxy openai chat --model gpt-4o --token-file token.txt < prompt.txt > answer.md`,
		RunE: func(cmd *cobra.Command, args []string) error { return runChat(cmd, &f, args) },
	}
	f.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.model, "model", "", "model to ask [OPENAI_MODEL]")
	flags.Lookup("model").DefValue = defaultModel
	flags.StringVar(&f.system, "system", "", "what the model is told before the conversation")
	flags.BoolVar(&f.noStream, "no-stream", false, "ask for the answer in one piece")
	return cmd
}

func runChat(cmd *cobra.Command, f *chatFlags, args []string) error {
	interactive := len(args) == 0 && isTerminal(cmd.InOrStdin())
	if interactive && !isTerminal(cmd.OutOrStdout()) {
		return usageError("without a terminal to answer on, give the prompt as an argument or on standard input")
	}
	if f.tokenFile == "-" && (interactive || len(args) == 0 || slices.Contains(args, "-")) {
		return usageError("--token-file - leaves standard input to the token: give the prompt as an argument")
	}
	base, token, err := f.resolve(cmd)
	if err != nil {
		return err
	}
	if token.IsZero() {
		return &exitError{exitUsage, errNoToken}
	}
	talk := &conversation{
		client: newChatClient(base, token), model: firstOf(f.model, os.Getenv("OPENAI_MODEL"), defaultModel), system: f.system, stream: !f.noStream,
	}
	if interactive {
		return runChatScreen(cmd.Context(), talk, cmd.InOrStdin(), cmd.OutOrStdout())
	}
	prompt, err := readPrompt(args, cmd.InOrStdin())
	if err != nil {
		return err
	}
	return chatOnce(cmd.Context(), talk, prompt, cmd.OutOrStdout())
}

// isTerminal reports whether a stream of a command is one.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// readPrompt joins the arguments; without any, and for "-", it takes standard input.
func readPrompt(args []string, stdin io.Reader) (string, error) {
	if len(args) == 0 {
		args = []string{"-"}
	}
	parts := make([]string, 0, len(args))
	for _, arg := range args {
		if arg != "-" {
			parts = append(parts, arg)
			continue
		}
		data, err := io.ReadAll(io.LimitReader(stdin, maxPrompt+1))
		if err != nil {
			return "", fmt.Errorf("read the prompt: %w", err)
		}
		if len(data) > maxPrompt {
			return "", usageError("the prompt on standard input is longer than %d MB", maxPrompt>>20)
		}
		parts = append(parts, "\n"+strings.TrimRight(string(data), "\n")+"\n")
	}
	prompt := strings.TrimSpace(strings.Join(parts, " "))
	if prompt == "" {
		return "", usageError("the prompt is empty")
	}
	return prompt, nil
}

// chatOnce asks one question and writes the answer as it comes.
func chatOnce(ctx context.Context, talk *conversation, prompt string, out io.Writer) error {
	clean := func(s string) string { return s }
	if isTerminal(out) {
		clean = printable
	}
	var writeErr error
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	last := byte('\n')
	answer, err := talk.ask(ctx, prompt, func(piece string) {
		if piece = clean(piece); piece == "" {
			return
		}
		last = piece[len(piece)-1]
		if _, err := io.WriteString(out, piece); err != nil && writeErr == nil {
			writeErr = err
			stop() // nobody reads on
		}
	})
	if writeErr == nil && last != '\n' {
		_, writeErr = io.WriteString(out, "\n")
	}
	if writeErr != nil {
		return fmt.Errorf("write the answer: %w", writeErr)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("stopped before the answer was complete")
	}
	if err != nil {
		return chatError(err)
	}
	if why := answer.unfinished(); why != "" {
		return errors.New(why)
	}
	return nil
}

// chatError gives an error its exit code.
func chatError(err error) error {
	var refused *apiError
	switch {
	case errors.As(err, &refused) && refused.status >= 400 && refused.status < 500:
		return &exitError{exitRefused, err}
	case errors.Is(err, errUnreachable):
		return &exitError{exitUnreachable, err}
	}
	return err
}

// printable is text without what would steer a terminal: a model may say anything.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
}
