package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/sofatutor/llm-proxy/internal/demo"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// demoProvider is the name of the stand-in provider under --demo.
const demoProvider = "demo"

// demoMinutes is how long a demo token lives.
const demoMinutes = 30 * 24 * 60

// startDemoProvider serves the stand-in provider on a loopback port of this process, and returns it as the default provider.
func startDemoProvider(ctx context.Context, closers *closers) (*provider.Set, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the demo provider: %w", err)
	}
	server := &http.Server{Handler: demo.New(), ReadHeaderTimeout: proxy.ReadHeaderTimeout}
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	closers.add("demo provider", server.Close)
	return provider.Parse("demo provider", fmt.Appendf(nil, "default: %[1]s\nproviders:\n  %[1]s:\n    preset: openai\n    base_url: http://%[2]s\n", demoProvider, listener.Addr()))
}

// openDemo returns the demo's token: the one in the key file while it can be spent, else that of a new project, which is kept there.
// The key file is locked meanwhile, so two servers that start at once end with the same token.
func openDemo(ctx context.Context, s *settings, service *manage.Service) (token string, err error) {
	_, err = loadKeys(s.DataDir, func(k *keyFile) error {
		usable, err := demoTokenUsable(ctx, service, k.DemoToken)
		if err != nil {
			return err
		}
		if !usable {
			if k.DemoToken, err = makeDemoToken(ctx, service); err != nil {
				return fmt.Errorf("make the demo's project and token: %w", err)
			}
		}
		token = k.DemoToken
		return nil
	})
	return token, err
}

func demoTokenUsable(ctx context.Context, service *manage.Service, secret string) (bool, error) {
	id, ok := llmproxy.ParseTokenSecret(secret)
	if !ok {
		return false, nil
	}
	token, err := service.Token(ctx, id)
	if errors.Is(err, llmproxy.ErrNotFound) {
		return false, nil
	}
	return err == nil && token.Active && time.Now().Before(token.ExpiresAt), err
}

func makeDemoToken(ctx context.Context, service *manage.Service) (string, error) {
	actor := llmproxy.Actor{Name: "local"}
	project, err := service.CreateProject(ctx, actor, manage.NewProject{
		Name: "Demo", Provider: demoProvider, APIKey: llmproxy.NewSecret("sk-demo-no-real-key"),
		Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored},
	})
	if err != nil {
		return "", err
	}
	_, secret, err := service.MintToken(ctx, actor, manage.NewToken{ProjectID: project.ID, Name: "demo", DurationMinutes: demoMinutes})
	return secret.Reveal(), err
}
