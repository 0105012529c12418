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
)

// demoProvider is the name of the stand-in provider under --demo.
const demoProvider = "demo"

// demoMinutes is how long a demo token lives.
const demoMinutes = 30 * 24 * 60

// demoAccess is what the demo prints.
type demoAccess struct{ token string }

// startDemoProvider serves the stand-in provider on a loopback port of this process, and returns it as the default provider.
func startDemoProvider(closers *closers) (*provider.Set, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the demo provider: %w", err)
	}
	server := &http.Server{Handler: demo.New(), ReadHeaderTimeout: readHeaderTimeout}
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	closers.add("demo provider", server.Close)
	return provider.Parse("demo provider", fmt.Appendf(nil, "default: %[1]s\nproviders:\n  %[1]s:\n    preset: openai\n    base_url: http://%[2]s\n", demoProvider, listener.Addr()))
}

// openDemo finds the demo's token, or makes project and token and keeps its secret in the key file.
func openDemo(ctx context.Context, s *settings, service *manage.Service, keys keyFile) (*demoAccess, error) {
	if id, ok := llmproxy.ParseTokenSecret(keys.DemoToken); ok {
		token, err := service.Token(ctx, id)
		if err == nil && token.Active && time.Now().Before(token.ExpiresAt) {
			return &demoAccess{keys.DemoToken}, nil
		}
		if err != nil && !errors.Is(err, llmproxy.ErrNotFound) {
			return nil, err
		}
	}
	actor := llmproxy.Actor{Name: "local"}
	project, err := service.CreateProject(ctx, actor, manage.NewProject{
		Name: "Demo", Provider: demoProvider, APIKey: llmproxy.NewSecret("sk-demo-no-real-key"),
		Endpoints: []llmproxy.EndpointGroup{llmproxy.GroupInference, llmproxy.GroupStored},
	})
	if err != nil {
		return nil, fmt.Errorf("make the demo project: %w", err)
	}
	_, secret, err := service.MintToken(ctx, actor, manage.NewToken{ProjectID: project.ID, Name: "demo", DurationMinutes: demoMinutes})
	if err != nil {
		return nil, err
	}
	_, err = loadKeys(s.DataDir, func(k *keyFile) error {
		k.DemoToken = secret.Reveal()
		return nil
	})
	return &demoAccess{secret.Reveal()}, err
}
