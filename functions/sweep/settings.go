package main

import "go.uber.org/zap/zapcore"

// settings come from the environment, which the template fills in.
type settings struct {
	TokensTable  string        `env:"LLM_PROXY_TOKENS_TABLE,notEmpty" help:"table of tokens"`
	ControlTable string        `env:"LLM_PROXY_CONTROL_TABLE,notEmpty" help:"table of projects, listings and audit"`
	EventBus     string        `env:"LLM_PROXY_EVENT_BUS,notEmpty" help:"bus that audit events are published to"`
	LogLevel     zapcore.Level `env:"LLM_PROXY_LOG_LEVEL" envDefault:"info" help:"least severe level that is logged: debug, info, warn or error"`
}
