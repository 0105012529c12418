package main

import (
	"io"
	"time"

	"github.com/sofatutor/llm-proxy/internal/emf"
)

// metrics writes a line for each batch, from which CloudWatch makes metrics beside those that SQS has of the queue by itself.
type metrics struct {
	namespace string // empty makes none
	queue     string // its name
	lines     io.Writer
}

// tell notes what became of a batch: messages delivered, tries that are repeated, messages that went to the dead letters.
func (m *metrics) tell(at time.Time, delivered, retried, dead uint64) error {
	if m.namespace == "" {
		return nil
	}
	return emf.Write(m.lines, at, map[string]any{"queue": m.queue, "delivered": delivered, "retried": retried, "dead": dead}, emf.Directive{
		Namespace: m.namespace, Dimensions: [][]string{{"queue"}}, Metrics: []emf.Metric{{Name: "delivered", Unit: "Count"}, {Name: "retried", Unit: "Count"}, {Name: "dead", Unit: "Count"}},
	})
}
