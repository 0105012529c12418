// Package base is what the functions have in common: their settings, their log and their way to AWS.
package base

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/caarlos0/env/v11"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sofatutor/llm-proxy/internal/awshttp"
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

// Origins are those whose pages may change things beside the one that a request was sent to: the site's, where it has a URL.
func Origins(siteURL string) []string {
	if siteURL == "" {
		return nil
	}
	return []string{siteURL}
}

// Log logs JSON lines to standard error, which Lambda keeps.
func Log(level zapcore.Level) (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.Level = zap.NewAtomicLevelAt(level)
	cfg.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return cfg.Build()
}

// endpoints are those of single services, AWS_ENDPOINT_URL_DYNAMODB and the like, as the SDK asks for them.
type endpoints struct{}

// GetServiceBaseEndpoint is what the SDK's clients call.
func (endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (url string, found bool, err error) {
	url = os.Getenv("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(service, " ", "_")))
	return url, url != "", nil
}

// AWS reads where AWS is and who we are from the environment, which is all that Lambda has to say of it: the SDK's own package for that
// looks for profiles, metadata services and single sign-on too, and each start of a function would pay for it.
func AWS() (aws.Config, error) {
	region := cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region == "" {
		return aws.Config{}, errors.New("AWS settings: AWS_REGION is not set")
	}
	cfg := aws.Config{
		Region:      region,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		// A function that slept finds its connections cut without having been told: they are dropped before that.
		HTTPClient: awshttp.New(&http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: time.Second, KeepAlive: idleTimeout}).DialContext,
			TLSHandshakeTimeout:   time.Second,
			ResponseHeaderTimeout: 5 * time.Second,
			IdleConnTimeout:       idleTimeout,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     false,
		}}),
		ConfigSources: []any{endpoints{}},
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" {
		cfg.BaseEndpoint = &url
	}
	return cfg, nil
}

// idleTimeout is how long an unused connection to AWS is kept.
const idleTimeout = 20 * time.Second

// PathStyle reports whether the bucket has to stand in the path: where AWS is not AWS, its name is no name of a host.
func PathStyle(cfg aws.Config) bool { return cfg.BaseEndpoint != nil }
