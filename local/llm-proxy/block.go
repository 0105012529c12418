package main

import (
	"fmt"
	"io"
	"strings"
)

// block is what is printed for pasting.
type block struct {
	url      string // origin
	token    string // empty: tokens are made elsewhere
	model    string // for the example
	notes    []string
	provider string // path prefix of a provider that is not the default; empty for the default
}

// printBlock writes it in at most 20 lines.
func printBlock(out io.Writer, b block) error {
	base := b.url + b.provider + "/v1"
	var w strings.Builder
	if b.token == "" {
		fmt.Fprintf(&w, "llm-proxy serves %s\n", base)
	} else {
		fmt.Fprintf(&w, "export OPENAI_BASE_URL=%s\nexport OPENAI_API_KEY=%s\n\n", base, b.token)
		fmt.Fprintf(&w, "curl -s %s/chat/completions -H \"Authorization: Bearer %s\" -H \"Content-Type: application/json\" \\\n  -d '{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello!\"}]}'\n\n", base, b.token, b.model)
	}
	for _, note := range b.notes {
		w.WriteString(note + "\n")
	}
	_, err := io.WriteString(out, w.String())
	return err
}

// block is what the server prints.
func (p *parts) block(s *settings, url string) block {
	b := block{url: url, model: "gpt-4o", notes: []string{"data:      " + s.DataDir}}
	if s.EventLog != "" {
		b.notes = append(b.notes, "event log: "+s.EventLog)
	}
	if p.demo != nil {
		b.token = p.demo.token
		b.notes = append(b.notes, "This is the built-in stand-in provider: answers are made up. For a real one: llm-proxy setup")
	}
	return b
}
