package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
)

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
			flag := cmd.Flags().Lookup(name)
			if flag != nil && flag.Changed && strings.HasSuffix(flag.Usage, "["+field.Tag.Get("env")+"]") { // a dispatcher has one of that name for itself
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
	if problems == nil { // what was not read has no value to check
		problems = s.check()
	}
	if problems != nil {
		return settings{}, usageError("%s", strings.Join(problems, "\n"))
	}
	s.metricsAddrSet = environment["LLM_PROXY_METRICS_ADDR"] != ""
	s.dataDirSet, s.dbSet = s.DataDir != "", s.DB != ""
	return s, s.complete()
}

// settingName is how a person knows a setting: by its flag, if it has one, and its environment variable.
func settingName(environment string) string {
	for field := range reflect.TypeFor[settings]().Fields() {
		if flag := field.Tag.Get("flag"); flag != "" && field.Tag.Get("env") == environment {
			return fmt.Sprintf("--%s (%s)", flag, environment)
		}
	}
	return environment
}

// settingProblem names the setting that cannot be read.
func settingProblem(err error) string {
	var parse env.ParseError
	if errors.As(err, &parse) {
		if field, ok := reflect.TypeFor[settings]().FieldByName(parse.Name); ok {
			return fmt.Sprintf("%s: %v", settingName(field.Tag.Get("env")), parse.Err)
		}
	}
	return err.Error()
}

// check names what makes no sense.
func (s *settings) check() (problems []string) {
	add := func(environment, format string, args ...any) {
		problems = append(problems, settingName(environment)+": "+fmt.Sprintf(format, args...))
	}
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		add("LLM_PROXY_ADDR", "%q is not host:port, such as 127.0.0.1:8080", s.Addr)
	}
	if s.MetricsAddr != metricsOff && !isLoopback(s.MetricsAddr) {
		add("LLM_PROXY_METRICS_ADDR", "%q is not a loopback address such as 127.0.0.1:9090; what is told there has no credential, so nobody else may reach it", s.MetricsAddr)
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		add("LLM_PROXY_TLS_CERT", "goes together with %s: give both or neither", settingName("LLM_PROXY_TLS_KEY"))
	}
	if s.MaxPerToken < 0 {
		add("LLM_PROXY_MAX_CONCURRENT_PER_TOKEN", "must not be negative")
	}
	if s.DefaultMax < 0 || s.DefaultMax > maxRequestsLimit {
		add("LLM_PROXY_DEFAULT_MAX_REQUESTS", "must be from 1 to %d", maxRequestsLimit)
	}
	if s.Shutdown < 0 {
		add("LLM_PROXY_SHUTDOWN_TIMEOUT", "must not be negative")
	}
	if s.ManagementToken != "" && s.ManagementTokenFile != "" {
		add("LLM_PROXY_MANAGEMENT_TOKEN_FILE", "MANAGEMENT_TOKEN is set too: give one of them")
	}
	if strings.ContainsAny(s.AdminUser, ":\r\n\t") {
		add("ADMIN_USER", "must not have a colon or a control character")
	}
	if s.PublicURL != "" && !isOrigin(s.PublicURL) {
		add("LLM_PROXY_PUBLIC_URL", "%q is not an origin such as https://llm.example.com", s.PublicURL)
	}
	return append(problems, s.checkCloud()...)
}

// checkCloud names what store and bus of a stack lack.
func (s *settings) checkCloud() (problems []string) {
	need := func(why string, values map[string]string) {
		for _, environment := range slices.Sorted(maps.Keys(values)) {
			if values[environment] == "" {
				problems = append(problems, fmt.Sprintf("%s is not set: %s needs it", settingName(environment), why))
			}
		}
	}
	if s.Store == storeDynamoDB {
		need("--store dynamodb", map[string]string{"LLM_PROXY_TOKENS_TABLE": s.TokensTable, "LLM_PROXY_CONTROL_TABLE": s.ControlTable, "LLM_PROXY_SEALING_SECRET": s.SealingSecret})
	}
	if s.Bus == busEventBridge {
		need("--bus eventbridge", map[string]string{"LLM_PROXY_EVENT_BUS": s.EventBus, "LLM_PROXY_SPILL_QUEUE": s.SpillQueue, "LLM_PROXY_EVENT_BUCKET": s.EventBucket})
		if s.EventLog != "" {
			problems = append(problems, settingName("LLM_PROXY_EVENT_LOG")+": is written from the spool: leave it out with --bus eventbridge, where a dispatcher of the stack takes its place")
		}
	}
	return problems
}

// maxRequestsLimit is the largest lifetime cap.
const maxRequestsLimit = 1_000_000_000

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// complete fills in what follows from other settings, and makes paths independent of the folder that the program was started in.
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
				return usageError("there is no place for data: set %s (%v)", settingName("LLM_PROXY_DATA_DIR"), err)
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
	for _, path := range []*string{&s.DataDir, &s.DB, &s.PIDFile, &s.Providers, &s.EventLog, &s.LogFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}
