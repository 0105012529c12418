package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// print shows the token, this once.
func (f *setupFlags) print(out io.Writer, s *settings, providers *provider.Set, token llmproxy.Token, secret llmproxy.Secret) error {
	if f.json {
		return json.NewEncoder(out).Encode(struct {
			ProjectID string `json:"project_id"`
			Token     string `json:"token"`
			TokenID   string `json:"token_id"`
			ExpiresAt string `json:"expires_at"`
		}{token.ProjectID.String(), secret.Reveal(), token.ID.String(), string(llmproxy.AppendTime(nil, token.ExpiresAt))})
	}
	notes := []string{
		"The token is shown this once. It expires " + token.ExpiresAt.Local().Format(time.RFC1123) + ".",
		"data:   " + s.DataDir + " (keep " + filepath.Base(keyFilePath(s.DataDir)) + ", it opens the provider keys)",
	}
	server, err := findServer(s.PIDFile)
	demo := err == nil && server.Demo // it knows no other provider
	running := err == nil && !demo
	if demo {
		notes = append(notes, "start:  "+command(s, "server stop")+" && "+command(s, "server"))
	} else if !running {
		notes = append(notes, "start:  "+command(s, "server"))
	}
	origin := "http://" + s.Addr
	if s.PublicURL != "" {
		origin = strings.TrimRight(s.PublicURL, "/")
	} else if running {
		origin = server.URL
	}
	_, err = io.WriteString(out, newBlock(origin, providers, f.provider, secret.Reveal(), notes...).String())
	return err
}

// command is a command line for what was made.
func command(s *settings, name string) string {
	line := "llm-proxy " + name
	for _, flag := range []struct {
		name, value string
		set         bool
	}{{"data-dir", s.DataDir, s.dataDirSet}, {"db", s.DB, s.dbSet}, {"providers", s.Providers, s.Providers != "" && name == "server"}} {
		if flag.set {
			line += " --" + flag.name + " " + shellWord(flag.value)
		}
	}
	return line
}

// shellWord is s as one word of a shell's command line.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
