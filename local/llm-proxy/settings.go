package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/bus/spool"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

//go:generate go test -run ^TestSettingsAreDocumented$ . -update

// settings are what can be set, each by environment variable or, where it has one, by flag. A flag wins over the environment, the
// environment over the default.
type settings struct {
	Addr        string         `env:"LLM_PROXY_ADDR" envDefault:"127.0.0.1:8080" flag:"addr" help:"address to listen on, host:port"`
	MetricsAddr string         `env:"LLM_PROXY_METRICS_ADDR" envDefault:"127.0.0.1:9090" flag:"metrics-addr" help:"loopback address of the Prometheus metrics; off switches them off"`
	DataDir     string         `env:"LLM_PROXY_DATA_DIR" flag:"data-dir" help:"folder of database, keys, spool and PID file (default: the folder of the database, else llm-proxy in the user's data folder)"`
	DB          string         `env:"LLM_PROXY_DB" flag:"db" help:"SQLite database (default: llm-proxy.db in the data folder)"`
	Providers   string         `env:"LLM_PROXY_PROVIDERS" flag:"providers" help:"providers.yaml with upstreams and their endpoints (default: OpenAI, built in)"`
	EventLog    string         `env:"LLM_PROXY_EVENT_LOG" flag:"file-event-log" help:"file that each request's event is written to as a line of JSON (default: none; events.jsonl in the data folder with --demo)"`
	TLSCert     string         `env:"LLM_PROXY_TLS_CERT" flag:"tls-cert" help:"certificate chain in PEM, to serve HTTPS; needs --tls-key"`
	TLSKey      string         `env:"LLM_PROXY_TLS_KEY" flag:"tls-key" help:"private key of the certificate in PEM"`
	PublicURL   string         `env:"LLM_PROXY_PUBLIC_URL" flag:"public-url" help:"origin under which clients reach the server, for what is printed (default: the address it listens on)"`
	Capture     capture        `env:"LLM_PROXY_CAPTURE" envDefault:"full" flag:"capture" help:"what events carry of bodies where a project does not say: full, or metadata for none"`
	MaxPerToken int            `env:"LLM_PROXY_MAX_CONCURRENT_PER_TOKEN" envDefault:"64" flag:"max-concurrent-per-token" help:"requests of one token under way at once; 0 is no limit"`
	DefaultMax  int64          `env:"LLM_PROXY_DEFAULT_MAX_REQUESTS" flag:"default-max-requests" help:"lifetime cap of a token minted without one (default: none)"`
	SQLiteSync  sqliteSync     `env:"LLM_PROXY_SQLITE_SYNC" envDefault:"normal" flag:"sqlite-sync" help:"normal: a power cut may lose the counts of the last moments, never a management change; full: it loses none, and each request waits for the disk"`
	SpoolSync   spool.SyncMode `env:"LLM_PROXY_SPOOL_SYNC" envDefault:"100ms" flag:"spool-sync" help:"how often events are synced to the disk: always, never or a duration; a power cut loses at most that"`
	LogLevel    zapcore.Level  `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" flag:"log-level" help:"debug, info, warn or error"`
	LogFile     string         `env:"LLM_PROXY_LOG_FILE" flag:"log-file" help:"file for the application's log, rotated at 100 MB (default: standard error)"`
	PIDFile     string         `env:"LLM_PROXY_PID_FILE" flag:"pid-file" help:"file that names the running server (default: llm-proxy.pid in the data folder)"`
	Shutdown    time.Duration  `env:"LLM_PROXY_SHUTDOWN_TIMEOUT" envDefault:"30s" flag:"shutdown-timeout" help:"how long running requests may go on after a stop was asked for"`

	ManagementToken     string `env:"MANAGEMENT_TOKEN" secret:"true" help:"credential of the management API, at least 32 characters (default: the one that setup has made)"`
	ManagementTokenFile string `env:"LLM_PROXY_MANAGEMENT_TOKEN_FILE" flag:"management-token-file" help:"file that holds MANAGEMENT_TOKEN"`
	AdminUser           string `env:"ADMIN_USER" envDefault:"admin" help:"user of the admin site"`
	AdminPassword       string `env:"ADMIN_PASSWORD" secret:"true" help:"password of the admin site, at least 12 characters (default: the one that setup has made)"`

	metricsAddrSet bool // MetricsAddr was asked for: that it is busy is then an error
}

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

// addSettings gives a command the flags of the named settings, or of all.
func addSettings(cmd *cobra.Command, flags ...string) {
	for field := range reflect.TypeFor[settings]().Fields() {
		name := field.Tag.Get("flag")
		if name == "" || len(flags) > 0 && !slices.Contains(flags, name) {
			continue
		}
		cmd.Flags().String(name, "", fmt.Sprintf("%s [%s]", field.Tag.Get("help"), field.Tag.Get("env")))
		if value := field.Tag.Get("envDefault"); value != "" {
			cmd.Flags().Lookup(name).DefValue = value
		}
	}
}

// loadSettings reads the settings from a command's flags and the environment. All that cannot be taken is named in one error.
func loadSettings(cmd *cobra.Command) (settings, error) {
	environment := env.ToMap(os.Environ())
	for field := range reflect.TypeFor[settings]().Fields() {
		if name := field.Tag.Get("flag"); name != "" {
			if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
				environment[field.Tag.Get("env")] = flag.Value.String()
			}
		}
	}
	return parseSettings(environment)
}

func parseSettings(environment map[string]string) (settings, error) {
	var s settings
	var problems []string
	err := env.ParseWithOptions(&s, env.Options{Environment: environment})
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, one := range all.Errors {
			problems = append(problems, settingProblem(one))
		}
	} else if err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, s.check()...)
	if len(problems) > 0 {
		return settings{}, usageError("%s", strings.Join(problems, "\n"))
	}
	_, s.metricsAddrSet = environment["LLM_PROXY_METRICS_ADDR"]
	return s, s.complete()
}

// settingProblem names the environment variable of a setting that cannot be read.
func settingProblem(err error) string {
	var parse env.ParseError
	if errors.As(err, &parse) {
		if field, ok := reflect.TypeFor[settings]().FieldByName(parse.Name); ok {
			return fmt.Sprintf("%s: %v", field.Tag.Get("env"), parse.Err)
		}
	}
	return err.Error()
}

// check names what fits no sense.
func (s *settings) check() (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		add("LLM_PROXY_ADDR: %v", err)
	}
	if s.MetricsAddr != "off" {
		host, _, err := net.SplitHostPort(s.MetricsAddr)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			add("LLM_PROXY_METRICS_ADDR: %q is not a loopback address such as 127.0.0.1:9090; metrics have no credential, so nobody else may reach them", s.MetricsAddr)
		}
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		add("LLM_PROXY_TLS_CERT and LLM_PROXY_TLS_KEY go together: give both or neither")
	}
	if s.MaxPerToken < 0 {
		add("LLM_PROXY_MAX_CONCURRENT_PER_TOKEN: must not be negative")
	}
	if s.DefaultMax < 0 || s.DefaultMax > 1_000_000_000 {
		add("LLM_PROXY_DEFAULT_MAX_REQUESTS: must be from 1 to 1000000000")
	}
	if s.Shutdown < 0 {
		add("LLM_PROXY_SHUTDOWN_TIMEOUT: must not be negative")
	}
	if s.ManagementToken != "" && s.ManagementTokenFile != "" {
		add("MANAGEMENT_TOKEN and LLM_PROXY_MANAGEMENT_TOKEN_FILE: give one of them")
	}
	if s.PublicURL != "" && !strings.HasPrefix(s.PublicURL, "http://") && !strings.HasPrefix(s.PublicURL, "https://") {
		add("LLM_PROXY_PUBLIC_URL: %q is not an origin such as https://llm.example.com", s.PublicURL)
	}
	return problems
}

// complete fills in what follows from other settings.
func (s *settings) complete() error {
	switch {
	case s.DataDir != "":
	case s.DB != "":
		s.DataDir = filepath.Dir(s.DB)
	default:
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return usageError("no data folder: set LLM_PROXY_DATA_DIR (%v)", err)
			}
			base = filepath.Join(home, ".local", "share")
		}
		s.DataDir = filepath.Join(base, "llm-proxy")
	}
	if s.DB == "" {
		s.DB = filepath.Join(s.DataDir, "llm-proxy.db")
	}
	if s.PIDFile == "" {
		s.PIDFile = filepath.Join(s.DataDir, "llm-proxy.pid")
	}
	return nil
}
