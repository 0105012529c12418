package main

import (
	"strings"

	"go.uber.org/zap"

	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/bus/eventbridge/route"
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

// where tells where events go: from the spool, or from the bus; nil where that is not known.
func (p *parts) where(s *settings, cloud *cloud) manage.Destinations {
	switch {
	case p.destinations != nil:
		return p.destinations
	case len(s.Destinations) > 0:
		return route.NewDestinations(route.NewClients(cloud.config), s.Destinations)
	}
	return nil
}

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
		Ledger:       p.books,
		Destinations: p.where(s, cloud),
		Log:          log,
	}
	if cfg.Ledger == nil {
		cfg.NoLedger = "For usage and requests set " + settingName("LLM_PROXY_LEDGER_TABLE") + " to the name of the ledger's table."
		log.Warn("usage and requests are not answered: there is no ledger. " + cfg.NoLedger)
	}
	if cfg.Destinations == nil {
		cfg.NoDestinations = "They are behind the bus: set " + settingName("LLM_PROXY_DESTINATIONS") + " to their queues."
		log.Warn("destinations are not told of. " + cfg.NoDestinations)
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
