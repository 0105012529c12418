package main

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

//go:generate go test -run ^TestSettingsAreDocumented$ . -update

// settings are what can be set, each by environment variable or, where it has one, by flag. A flag wins over the environment, the
// environment over the default.
type settings struct {
	Addr        string         `env:"LLM_PROXY_ADDR" envDefault:"127.0.0.1:8080" flag:"addr" help:"address to listen on, host:port"`
	MetricsAddr string         `env:"LLM_PROXY_METRICS_ADDR" envDefault:"127.0.0.1:9090" flag:"metrics-addr" help:"loopback address of /metrics and of /health with its reasons; off switches both off"`
	DataDir     string         `env:"LLM_PROXY_DATA_DIR" flag:"data-dir" help:"folder of database, keys, spool and PID file (default: the folder of the database, else llm-proxy in the user's data folder)"`
	DB          string         `env:"LLM_PROXY_DB" flag:"db" help:"file of the SQLite database (default: llm-proxy.db in the data folder)"`
	Providers   string         `env:"LLM_PROXY_PROVIDERS" flag:"providers" help:"file with upstreams and their endpoints, a providers.yaml (default: OpenAI, built in)"`
	EventLog    string         `env:"LLM_PROXY_EVENT_LOG" flag:"file-event-log" help:"file that each request's event is written to as a line of JSON (default: none; events.jsonl in the data folder with --demo)"`
	Ledger      bool           `env:"LLM_PROXY_LEDGER" envDefault:"true" flag:"ledger" help:"keep the ledger that usage and requests are answered from: true, or false to leave it to llm-proxy dispatcher --service ledger"`
	TLSCert     string         `env:"LLM_PROXY_TLS_CERT" flag:"tls-cert" help:"certificate chain in PEM, to serve HTTPS; needs --tls-key"`
	TLSKey      string         `env:"LLM_PROXY_TLS_KEY" flag:"tls-key" help:"private key of the certificate in PEM"`
	PublicURL   string         `env:"LLM_PROXY_PUBLIC_URL" flag:"public-url" help:"origin under which clients reach the server, for what is printed, and whose pages may change things with a session (default: the address it listens on)"`
	Capture     capture        `env:"LLM_PROXY_CAPTURE" envDefault:"full" flag:"capture" help:"what is kept of bodies in events where a project does not say: full, or metadata for nothing"`
	MaxPerToken int            `env:"LLM_PROXY_MAX_CONCURRENT_PER_TOKEN" envDefault:"64" flag:"max-concurrent-per-token" help:"requests of one token under way at once; 0 is no limit"`
	DefaultMax  int64          `env:"LLM_PROXY_DEFAULT_MAX_REQUESTS" flag:"default-max-requests" help:"lifetime cap of a token minted without one (default: none)"`
	SQLiteSync  sqliteSync     `env:"LLM_PROXY_SQLITE_SYNC" envDefault:"normal" flag:"sqlite-sync" help:"what a power cut may take from the database: normal, the counts of the last moments and never a management change; full, nothing, and each request waits for the disk"`
	SpoolSync   spool.SyncMode `env:"LLM_PROXY_SPOOL_SYNC" envDefault:"100ms" flag:"spool-sync" help:"how often events are synced to the disk: always, never or a duration; a power cut loses at most that"`
	LogLevel    zapcore.Level  `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" flag:"log-level" help:"least severe level that is logged: debug, info, warn or error"`
	LogFile     string         `env:"LLM_PROXY_LOG_FILE" flag:"log-file" help:"file for the application's log, rotated at 100 MB (default: standard error; server.log in the data folder in the background)"`
	PIDFile     string         `env:"LLM_PROXY_PID_FILE" flag:"pid-file" help:"file that names the running server (default: llm-proxy.pid in the data folder)"`
	Shutdown    time.Duration  `env:"LLM_PROXY_SHUTDOWN_TIMEOUT" envDefault:"30s" flag:"shutdown-timeout" help:"how long running requests may go on after a stop was asked for"`

	Store         storeKind `env:"LLM_PROXY_STORE" envDefault:"sqlite" flag:"store" help:"where projects and tokens are kept: sqlite, on this machine; dynamodb, in the tables of a stack, which any number of servers and functions share"`
	TokensTable   string    `env:"LLM_PROXY_TOKENS_TABLE" flag:"tokens-table" help:"with dynamodb: table of tokens"`
	ControlTable  string    `env:"LLM_PROXY_CONTROL_TABLE" flag:"control-table" help:"with dynamodb: table of projects, listings and audit"`
	SealingSecret string    `env:"LLM_PROXY_SEALING_SECRET" flag:"sealing-secret" help:"with dynamodb: name or ARN of the secret in Secrets Manager that provider keys are sealed with"`
	KeysPrefix    string    `env:"LLM_PROXY_KEYS_PREFIX" flag:"keys-prefix" help:"with dynamodb: how the names of secrets begin that projects may refer to, such as stack/keys/ (default: projects may refer to none)"`
	LedgerTable   string    `env:"LLM_PROXY_LEDGER_TABLE" flag:"ledger-table" help:"table of the ledger in DynamoDB, which usage and requests are answered from (default: with sqlite the database; with dynamodb there is no ledger)"`
	Bus           busKind   `env:"LLM_PROXY_BUS" envDefault:"spool" flag:"bus" help:"where events go: spool, to files on this machine, which dispatchers read; eventbridge, to the bus of a stack"`
	EventBus      string    `env:"LLM_PROXY_EVENT_BUS" flag:"event-bus" help:"with eventbridge: name or ARN of the bus"`
	SpillQueue    string    `env:"LLM_PROXY_SPILL_QUEUE" flag:"spill-queue" help:"with eventbridge: URL of the queue for events that the bus does not take"`
	EventBucket   string    `env:"LLM_PROXY_EVENT_BUCKET" flag:"event-bucket" help:"with eventbridge: bucket for the bodies of events too large for the bus"`

	Destinations map[string]string `env:"LLM_PROXY_DESTINATIONS" envKeyValSeparator:"=" flag:"destinations" help:"with eventbridge: URLs of the queues behind the bus by destination, as s3=https://..., with a comma between them, for operators to see and test (default: destinations are not told of)"`

	ManagementToken     string `env:"MANAGEMENT_TOKEN" secret:"true" help:"credential of the management API, at least 32 characters (default: what setup or --demo has made)"`
	ManagementTokenFile string `env:"LLM_PROXY_MANAGEMENT_TOKEN_FILE" flag:"management-token-file" help:"file that holds MANAGEMENT_TOKEN"`
	AdminUser           string `env:"ADMIN_USER" envDefault:"admin" help:"user who signs in at /admin"`
	AdminPassword       string `env:"ADMIN_PASSWORD" secret:"true" help:"password of that user, at least 12 characters; another one ends all sessions (default: what setup or --demo has made)"`

	metricsAddrSet, dataDirSet, dbSet bool // these were asked for

	eventLines io.Writer // with eventbridge: takes a line of each request's begin and end; nil is standard output
}

// metricsOff is the MetricsAddr of no listener.
const metricsOff = "off"

// capture is a setting of [llmproxy.Capture].
type capture llmproxy.Capture

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *capture) UnmarshalText(text []byte) error {
	switch v := llmproxy.Capture(text); v {
	case llmproxy.CaptureFull, llmproxy.CaptureMetadata:
		*c = capture(v)
		return nil
	}
	return fmt.Errorf("%q is neither full nor metadata", text)
}

// sqliteSync says whether each spend is synced to the disk.
type sqliteSync bool

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *sqliteSync) UnmarshalText(text []byte) error {
	switch string(text) {
	case "normal", "full":
		*s = string(text) == "full"
		return nil
	}
	return fmt.Errorf("%q is neither normal nor full", text)
}

// storeKind is a setting of where projects and tokens are kept.
type storeKind string

const (
	storeSQLite   storeKind = "sqlite"
	storeDynamoDB storeKind = "dynamodb"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *storeKind) UnmarshalText(text []byte) error {
	switch v := storeKind(text); v {
	case storeSQLite, storeDynamoDB:
		*k = v
		return nil
	}
	return fmt.Errorf("%q is neither sqlite nor dynamodb", text)
}

// busKind is a setting of where events go.
type busKind string

const (
	busSpool       busKind = "spool"
	busEventBridge busKind = "eventbridge"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *busKind) UnmarshalText(text []byte) error {
	switch v := busKind(text); v {
	case busSpool, busEventBridge:
		*k = v
		return nil
	}
	return fmt.Errorf("%q is neither spool nor eventbridge", text)
}
