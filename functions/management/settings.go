package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/functions/internal/secret"
	"github.com/sofatutor/llm-proxy/functions/internal/signin"
	"github.com/sofatutor/llm-proxy/internal/admin"
	"github.com/sofatutor/llm-proxy/internal/emf"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
	"github.com/sofatutor/llm-proxy/internal/provider"
	"github.com/sofatutor/llm-proxy/internal/seal"
	"github.com/sofatutor/llm-proxy/internal/store/dynamo"
)

// settings come from the environment, which the template fills in.
type settings struct {
	TokensTable  string `env:"LLM_PROXY_TOKENS_TABLE,notEmpty" help:"table of tokens"`
	ControlTable string `env:"LLM_PROXY_CONTROL_TABLE,notEmpty" help:"table of projects, listings and audit"`
	LedgerTable  string `env:"LLM_PROXY_LEDGER_TABLE" help:"table of the ledger, which usage and requests are answered from (default: there is none)"`
	EventBus     string `env:"LLM_PROXY_EVENT_BUS,notEmpty" help:"bus that audit events are published to"`
	PublicKey    string `env:"LLM_PROXY_SEALING_PUBLIC_KEY,notEmpty" help:"key that provider keys are sealed with"`
	KeysPrefix   string `env:"LLM_PROXY_KEYS_PREFIX,notEmpty" help:"how the names of secrets begin that projects may refer to, as stack/keys/"`

	OperatorsSecret string `env:"LLM_PROXY_OPERATORS_SECRET" help:"name or ARN of the secret that holds the management token"`
	ManagementToken string `env:"MANAGEMENT_TOKEN" help:"the management token itself, for development; it wins over the secret"`

	AdminSecret   string `env:"LLM_PROXY_ADMIN_SECRET" help:"name or ARN of the secret that holds user and password of the admin site (default: there is no site)"`
	AdminUser     string `env:"ADMIN_USER" envDefault:"admin" help:"who may sign in, for development"`
	AdminPassword string `env:"ADMIN_PASSWORD" help:"the password itself, for development; user and password then win over the secret"`
	SiteURL       string `env:"LLM_PROXY_SITE_URL" help:"origin of the admin site, whose pages may change things"`

	Destinations      map[string]string `env:"LLM_PROXY_DESTINATIONS" envKeyValSeparator:"=" help:"URLs of the queues behind the bus by destination, as s3=https://..., with a comma between them"`
	DeliveryNamespace string            `env:"LLM_PROXY_DELIVERY_NAMESPACE" help:"namespace of the metrics that dispatchers write of these queues: what was delivered, retried and dead is shown (default: they write none)"`

	Providers   string        `env:"LLM_PROXY_PROVIDERS" help:"file with upstreams and their endpoints, a providers.yaml (default: OpenAI, built in)"`
	MaxRequests int64         `env:"LLM_PROXY_DEFAULT_MAX_REQUESTS" help:"lifetime cap of a token minted without one (default: none)"`
	PublicURL   string        `env:"LLM_PROXY_PUBLIC_URL" help:"origin under which clients reach the proxy, as the site shows it (default: the origin of the site)"`
	RequestDays int           `env:"LLM_PROXY_REQUEST_DAYS" help:"days that the bucket keeps records of requests, as the site shows it"`
	LogDays     int           `env:"LLM_PROXY_LOG_DAYS" help:"days that logs and the archive of the bus are kept, as the site shows it"`
	LogLevel    zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}

// loadSettings reads the settings. An error names what is missing or wrong.
func loadSettings(environ []string) (settings, error) {
	s, err := base.Settings[settings](environ)
	if err == nil && !emf.IsNamespace(s.DeliveryNamespace) {
		err = fmt.Errorf("settings: LLM_PROXY_DELIVERY_NAMESPACE is %q, %s", s.DeliveryNamespace, emf.Rule)
	}
	return s, err
}

// What the platform allows a request of the proxy: the payload of a function URL, and the time that the template gives the function.
const (
	proxyRequestBytes = 6 << 20
	proxyTimeout      = 900 * time.Second
)

// limits are what the site shows of them.
var limits = manage.Limits{
	RequestBytes: proxyRequestBytes, Answer: proxyTimeout, SignInFailures: admin.MaxFailures, SessionIdle: admin.IdleTime, Session: admin.LongestUse,
}

// service is management over the store. It seals with the public key.
func (s *settings) service(store *dynamo.Store, providers *provider.Set) (*manage.Service, error) {
	sealer, err := seal.NewSealer(s.PublicKey)
	if err != nil {
		return nil, err
	}
	return manage.New(manage.Config{
		Store: store, Sealer: sealer, Providers: slices.Sorted(maps.Keys(providers.Providers)), Default: providers.Default,
		KeyRefPrefix: s.KeysPrefix, DefaultMaxRequests: s.MaxRequests,
	}), nil
}

// stack is what the handler has of the stack, and tells of it.
func (s *settings) stack(cfg aws.Config, log *zap.Logger) manage.HandlerConfig {
	return manage.HandlerConfig{
		Ledger:       s.ledger(cfg, log),
		Destinations: s.destinations(cfg, log),
		Store:        "dynamodb", Bus: "eventbridge", Region: cfg.Region, PublicURL: strings.TrimRight(s.PublicURL, "/"),
		Limits:    limits,
		Retention: manage.Retention{EventDays: s.RequestDays, LogDays: s.LogDays},
		Log:       log,
	}
}

// ledger is nil where there is none.
func (s *settings) ledger(cfg aws.Config, log *zap.Logger) manage.Ledger {
	if s.LedgerTable == "" {
		return nil
	}
	return dynamo.NewLedger(cfg, dynamo.LedgerConfig{Table: s.LedgerTable, Log: log})
}

// authenticators are the management token's, and the site's sessions where there is a site.
func (s *settings) authenticators(secrets secret.Reader, store *dynamo.Store, refusals *manage.Refusals, log *zap.Logger) ([]manage.Authenticator, error) {
	bearer, err := s.bearer(secrets)
	if err != nil {
		return nil, err
	}
	if s.AdminSecret == "" && s.AdminPassword == "" {
		return []manage.Authenticator{bearer}, nil
	}
	sessions, err := signin.New(signin.Config{
		Secrets: secrets, SecretID: s.AdminSecret, User: s.AdminUser, Password: llmproxy.NewSecret(s.AdminPassword),
		Admin: admin.Config{Store: store, Refusals: refusals, Origins: base.Origins(s.SiteURL), Log: log},
	})
	if err != nil {
		return nil, err
	}
	return []manage.Authenticator{bearer, sessions}, nil
}

// bearer authenticates by the management token of the settings, else by that of the secret.
func (s *settings) bearer(secrets secret.Reader) (manage.Authenticator, error) {
	switch {
	case s.ManagementToken != "":
		return manage.NewBearer(llmproxy.NewSecret(s.ManagementToken))
	case s.OperatorsSecret == "":
		return nil, errors.New("settings: LLM_PROXY_OPERATORS_SECRET is not set, and neither is MANAGEMENT_TOKEN")
	}
	return newOperators(secrets, s.OperatorsSecret), nil
}
