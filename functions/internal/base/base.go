// Package base is what the functions have in common: their settings, their log and their way to AWS.
package base

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/caarlos0/env/v11"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// Settings reads the settings of a function, which the template fills in. An error names all that are missing or wrong.
func Settings[T any](environ []string) (T, error) {
	s, err := env.ParseAsWithOptions[T](env.Options{Environment: env.ToMap(environ)})
	if err != nil {
		return s, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// Providers reads a providers.yaml, or the one that is built in where there is no path.
func Providers(path string) (*provider.Set, error) {
	if path == "" {
		return provider.Default(), nil
	}
	return provider.Load(path)
}

// Log logs JSON lines to standard error, which Lambda keeps.
func Log(level zapcore.Level) (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(level)
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return cfg.Build()
}

// AWS reads where AWS is and who we are from the environment, which is all that Lambda has to say of it: the SDK's own way would look
// for profiles and metadata services too, and each binary would hold the code for it.
func AWS() (aws.Config, error) {
	e, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, fmt.Errorf("AWS settings: %w", err)
	}
	cfg := aws.Config{
		Region:      e.Region,
		Credentials: credentials.StaticCredentialsProvider{Value: e.Credentials},
		// A function that slept finds its connections cut without having been told: they are dropped before that.
		HTTPClient: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: time.Second, KeepAlive: idleTimeout}).DialContext,
			TLSHandshakeTimeout:   time.Second,
			ResponseHeaderTimeout: 5 * time.Second,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     false,
		}},
		ConfigSources: []any{e},
	}
	if e.BaseEndpoint != "" {
		cfg.BaseEndpoint = &e.BaseEndpoint
	}
	return cfg, nil
}

// idleTimeout is how long an unused connection to AWS is kept.
const idleTimeout = 20 * time.Second

// PathStyle reports whether the bucket has to stand in the path: where AWS is not AWS, its name is no name of a host.
func PathStyle(cfg aws.Config) bool { return cfg.BaseEndpoint != nil }
