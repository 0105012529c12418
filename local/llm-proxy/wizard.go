package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"charm.land/huh/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// askForSetup asks on the terminal for what the flags leave open. The provider key is not echoed. Questions are drawn on standard
// error, so that standard output has the result alone.
func askForSetup(ctx context.Context, f *setupFlags, providers *provider.Set) (llmproxy.Secret, error) {
	var key string
	minutes := strconv.FormatInt(f.minutes, 10)
	notEmpty := func(s string) error {
		if strings.TrimSpace(s) == "" {
			return errors.New("this must not be empty")
		}
		return nil
	}
	fields := []huh.Field{}
	if f.project == "" {
		fields = append(fields, huh.NewInput().Title("Name of the project").Description("Who or what will use the key: a team, a job, a demo.").Value(&f.project).Validate(notEmpty))
	}
	if names := slices.Sorted(maps.Keys(providers.Providers)); len(names) > 1 {
		fields = append(fields, huh.NewSelect[string]().Title("Provider").Options(huh.NewOptions(names...)...).Value(&f.provider))
	}
	if f.apiKeyFile == "" {
		fields = append(fields, huh.NewInput().Title("Provider key").Description("It is sealed and never shown again.").EchoMode(huh.EchoModePassword).Value(&key).Validate(notEmpty))
	}
	fields = append(fields, huh.NewInput().Title("Minutes the first token lives").Value(&minutes).Validate(func(s string) error {
		if n, err := strconv.ParseInt(s, 10, 64); err != nil || n < 1 || n > 525600 {
			return errors.New("a number from 1 to 525600")
		}
		return nil
	}))
	form := huh.NewForm(huh.NewGroup(fields...)).WithOutput(os.Stderr)
	if os.Getenv("ACCESSIBLE") != "" {
		form = form.WithAccessible(true)
	}
	if err := form.RunWithContext(ctx); err != nil {
		return llmproxy.Secret{}, wizardError(err)
	}
	var err error
	if f.minutes, err = strconv.ParseInt(minutes, 10, 64); err != nil {
		return llmproxy.Secret{}, err // checked by the form
	}
	if f.apiKeyFile != "" {
		return readKey(f.apiKeyFile, os.Stdin)
	}
	return llmproxy.NewSecret(strings.TrimSpace(key)), nil
}
