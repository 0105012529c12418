package dispatch

import (
	"errors"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"github.com/sofatutor/llm-proxy/internal/usage/estimate"
	"github.com/sofatutor/llm-proxy/internal/usage/price"
)

// Meter returns what a loop meters with: the upstream's own numbers first, estimates of what those leave out, and the cost by prices
// where all of it is known.
func Meter(prices *price.Table) func(*llmproxy.Event) error {
	return func(e *llmproxy.Event) error {
		if e.UsageKind == "" {
			e.UsageKind = kindOfPath(e.Path)
		}
		err := usage.Read(e)
		if fillErr := estimate.Fill(e); err == nil || !errors.Is(err, usage.ErrCut) {
			err = errors.Join(err, fillErr) // a body that is cut is told once
		}
		prices.Fill(e)
		return err
	}
}
