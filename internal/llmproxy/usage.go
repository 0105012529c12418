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

	Details *UsageDetails `json:"details,omitempty"` // what a price may depend on beyond the counts; nil if there is nothing
}

// UsageDetails is what a price may depend on beyond the counts of a [Usage]. A nil count is none, or not said.
type UsageDetails struct {
	Tier           string   `json:"tier,omitempty"`             // the service tier that answered, if it is not the default one
	InputAudio     *int64   `json:"input_audio,omitempty"`      // part of Input
	InputImage     *int64   `json:"input_image,omitempty"`      // part of Input
	OutputAudio    *int64   `json:"output_audio,omitempty"`     // part of Output
	OutputImage    *int64   `json:"output_image,omitempty"`     // part of Output
	CacheWriteLong *int64   `json:"cache_write_long,omitempty"` // part of CacheWrite that is kept for hours instead of minutes
	Searches       *int64   `json:"searches,omitempty"`         // searches of the web that the model made
	Seconds        *float64 `json:"seconds,omitempty"`          // of audio, where it is counted by time
	Characters     *int64   `json:"characters,omitempty"`       // of the text that was spoken, where it is counted so
}
