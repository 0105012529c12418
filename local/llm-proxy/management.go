package main

import (
	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/manage"
)

// managementPath begins the paths of the management API.
const managementPath = "/manage"

// openManagement joins the management API.
func (p *parts) openManagement(s *settings, log *zap.Logger, closers *closers) error {
	bearer, err := manage.NewBearer(p.operators.token)
	if err != nil {
		return err
	}
	p.api, err = manage.NewHandler(manage.HandlerConfig{
		Service:        p.service,
		Authenticators: []manage.Authenticator{bearer},
		Providers:      p.providers,
		Version:        version,
		Store:          string(s.Store),
		Bus:            string(s.Bus),
		Log:            log,
	})
	if err != nil {
		return err
	}
	closers.add("management", func() error { p.api.Close(); return nil })
	return nil
}
