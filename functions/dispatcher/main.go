// Dispatcher is the function behind the queue of one destination: it delivers events there, and tells SQS which of a batch have to come
// again, and when.
package main

import (
	"fmt"
	"os"
	"path"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sofatutor/llm-proxy/functions/internal/base"
	"github.com/sofatutor/llm-proxy/internal/dispatch/batch"
)

func main() {
	d, err := join(os.Environ())
	if err != nil {
		fmt.Fprintln(os.Stderr, "llm-proxy:", err)
		os.Exit(1)
	}
	lambda.Start(d.handle)
}

// join makes the dispatcher from its parts. It waits for no network.
func join(environ []string) (*dispatcher, error) {
	s, err := loadSettings(environ)
	if err != nil {
		return nil, err
	}
	log, err := base.Log(s.LogLevel)
	if err != nil {
		return nil, err
	}
	cfg, err := base.AWS()
	if err != nil {
		return nil, err
	}
	d := &dispatcher{
		settings: s, environ: environ, aws: cfg, secrets: secretsmanager.NewFromConfig(cfg), log: log,
		queue:   &batch.Queue{Client: sqs.NewFromConfig(cfg), URL: s.Queue, Dead: s.DeadLetters},
		metrics: metrics{namespace: s.Metrics, queue: path.Base(s.Queue), lines: os.Stdout},
	}
	if s.Secret == "" {
		d.consumer, err = d.open(s)
	}
	return d, err
}
