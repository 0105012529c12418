// Package emf writes lines from which CloudWatch makes metrics by itself: its embedded metric format.
package emf

import (
	"encoding/json"
	"io"
	"strings"
	"time"
)

// Directive says which members of a line are metrics, and by which of its other members they are told apart.
type Directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []Metric
}

// Metric is one of a line. Units are those of CloudWatch, such as Count and Milliseconds.
type Metric struct{ Name, Unit string }

// Metadata is the member of a line by which CloudWatch knows its metrics. It stands under the name [Member].
type Metadata struct {
	Timestamp         int64 // milliseconds since 1970
	CloudWatchMetrics []Directive
}

// Member is the name of a line's Metadata.
const Member = "_aws"

// Write writes one line with members, strings and finite numbers, to which the directives refer. It adds their Metadata to members.
func Write(w io.Writer, at time.Time, members map[string]any, directives ...Directive) error {
	members[Member] = Metadata{at.UnixMilli(), directives}
	return json.NewEncoder(w).Encode(members)
}

// Rule is what a namespace has to be, for errors.
const Rule = "CloudWatch takes up to 256 of A-Z a-z 0-9 . _ # : / -"

// IsNamespace reports whether CloudWatch takes a name as a namespace. Empty is none.
func IsNamespace(name string) bool {
	return len(name) <= 256 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._#:/-") == ""
}
