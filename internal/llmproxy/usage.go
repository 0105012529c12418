package llmproxy

// Where a usage comes from.
const (
	SourceUpstream = "upstream" // the upstream's own numbers
	SourceEstimate = "estimate" // counted by us from the bodies
)

// Usage is what the model counted. A nil count is unknown, which is not zero.
type Usage struct {
	Input      *int64   `json:"input,omitempty"`       // all prompt units, cached and cache-written ones included
	Output     *int64   `json:"output,omitempty"`      // all completion units, reasoning included
	Total      *int64   `json:"total,omitempty"`       //
	Cached     *int64   `json:"cached,omitempty"`      // part of Input that was read from a cache
	CacheWrite *int64   `json:"cache_write,omitempty"` // part of Input that was written to a cache
	Reasoning  *int64   `json:"reasoning,omitempty"`   // part of Output
	Source     string   `json:"source"`                // SourceUpstream or SourceEstimate
	Partial    bool     `json:"partial,omitempty"`     // an estimate from a body of which capture kept a part
	CostUSD    *float64 `json:"cost_usd,omitempty"`    // absent if any part of it is unknown
}
