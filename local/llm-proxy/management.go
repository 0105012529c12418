package main

import (
	"strings"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/proxy"
)

// Where the paths of the management API, and of sign-in and the site, begin.
const (
	managementPath = "/manage"
	adminPath      = "/admin"
)

// openManagement joins the management API and the sign-in of operators, whose sessions are good for it too.
func (p *parts) openManagement(s *settings, cloud *cloud, withDemo bool, log *zap.Logger, closers *closers) error {
	bearer, err := manage.NewBearer(p.operators.token)
	if err != nil {
		return err
	}
	refusals := manage.NewRefusals(p.service, log)
	var origins []string
	if s.PublicURL != "" {
		origins = append(origins, s.PublicURL)
	}
	p.admin, err = admin.New(admin.Config{
		Store: p.store, Refusals: refusals, User: p.operators.user, Password: p.operators.password, Origins: origins, Log: log,
	})
	if err != nil {
		return err
	}
	ledger, _ := p.store.(manage.Ledger) // nil for a store that keeps none
	var where manage.Destinations        // nil where a bus takes the events
	if p.destinations != nil {
		where = p.destinations
	}
	cfg := manage.HandlerConfig{
		Service:        p.service,
		Authenticators: []manage.Authenticator{bearer, p.admin},
		Providers:      p.providers,
		Refusals:       refusals,
		Version:        version,
		Store:          string(s.Store),
		Bus:            string(s.Bus),
		Region:         cloud.region(),
		Demo:           withDemo,
		PublicURL:      strings.TrimRight(s.PublicURL, "/"),
		Capture:        llmproxy.Capture(s.Capture),
		Limits: manage.Limits{
			HeaderBytes: proxy.MaxHeaderBytes, MaxConcurrentPerToken: s.MaxPerToken, UnknownTokensPerMinute: maxUnknownPerMinute,
			SignInFailures: admin.MaxFailures, SessionIdle: admin.IdleTime, Session: admin.LongestUse,
		},
		Ledger:       ledger,
		Destinations: where,
		Log:          log,
	}
	if s.Bus == busSpool {
		cfg.Retention.EventBytes = spool.DefaultMaxBytes
	}
	if p.api, err = manage.NewHandler(cfg); err != nil {
		return err
	}
	closers.add("management", func() error { p.api.Close(); return nil })
	return nil
}
