package usage

import (
	"strconv"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/tidwall/gjson"
)

// Kinds returns the names that an endpoint may give for how its answers report usage.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i := range kinds {
		names[i] = kinds[i].name
	}
	return names
}

// kind is one way of reporting usage.
type kind struct {
	name    string
	fields  *fields
	holders []string // the members of a streamed event that may hold usage and model; "" is the event itself
}

// kinds is the table of all kinds.
var kinds = []kind{
	{"openai-chat", &chatFields, []string{""}},
	{"openai-completions", &chatFields, []string{""}},
	{"openai-responses", &responsesFields, []string{"response"}},
	{"openai-embeddings", &chatFields, []string{""}},
	{"openai-audio", &responsesFields, []string{""}},
	{"openai-speech", &responsesFields, []string{""}},
	{"openai-images", &responsesFields, []string{""}},
	{"anthropic-messages", &messagesFields, []string{startedMessage, ""}},
}

// startedMessage is the member of Anthropic's first event that holds the message; its output count is of the first piece only.
const startedMessage = "message"

func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].name == name {
			return &kinds[i]
		}
	}
	return nil
}

// fields are the paths of the counts in a usage object; "" where there is none.
type fields struct {
	input, output, total, cached, cacheWrite, reasoning string

	inputAudio, inputImage, outputAudio, outputImage string
	cacheWriteLong, searches, seconds, tier          string

	inputWithoutCache bool // input leaves out what was read from or written to a cache
	outputHidesSome   bool // output may leave out what total has (Gemini's thinking)
}

var (
	chatFields = fields{
		input:           "prompt_tokens",
		output:          "completion_tokens",
		total:           "total_tokens",
		cached:          "prompt_tokens_details.cached_tokens",
		cacheWrite:      "prompt_tokens_details.cache_write_tokens",
		reasoning:       "completion_tokens_details.reasoning_tokens",
		inputAudio:      "prompt_tokens_details.audio_tokens",
		inputImage:      "prompt_tokens_details.image_tokens",
		outputAudio:     "completion_tokens_details.audio_tokens",
		outputHidesSome: true,
	}
	responsesFields = fields{
		input:      "input_tokens",
		output:     "output_tokens",
		total:      "total_tokens",
		cached:     "input_tokens_details.cached_tokens",
		cacheWrite: "input_tokens_details.cache_write_tokens",
		reasoning:  "output_tokens_details.reasoning_tokens",

		inputAudio:     "input_token_details.audio_tokens",
		inputImage:     "input_tokens_details.image_tokens",
		outputImage:    "output_tokens_details.image_tokens",
		cacheWriteLong: "input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
		seconds:        "seconds",
	}
	messagesFields = fields{
		input:             "input_tokens",
		output:            "output_tokens",
		cached:            "cache_read_input_tokens",
		cacheWrite:        "cache_creation_input_tokens",
		reasoning:         "output_tokens_details.thinking_tokens",
		cacheWriteLong:    "cache_creation.ephemeral_1h_input_tokens",
		searches:          "server_tool_use.web_search_requests",
		tier:              "service_tier",
		inputWithoutCache: true,
	}
)

// count is a number that the upstream gave.
type count int64

const (
	absent count = -1 // not said, or null
	broken count = -2 // said, and no count: negative, fractional, too large, not a number
)

// maxCount is the largest count that every reader of JSON holds exactly.
const maxCount = 1<<53 - 1

func countOf(r gjson.Result) count {
	if !r.Exists() || r.Type == gjson.Null {
		return absent
	}
	n, err := strconv.ParseInt(r.Raw, 10, 64)
	if err != nil || r.Type != gjson.Number || n < 0 || n > maxCount {
		return broken
	}
	return count(n)
}

func (c count) known() bool { return c >= 0 }

// pointer is the count as [llmproxy.Usage] has it.
func (c count) pointer() *int64 {
	if !c.known() {
		return nil
	}
	n := int64(c)
	return &n
}

// counts are the counts of one answer as far as they were read.
type counts struct{ input, output, total, cached, cacheWrite, reasoning count }

func noCounts() counts { return counts{absent, absent, absent, absent, absent, absent} }

// add takes over each count that the usage object gives; what it does not give stays. Counts of a stream are cumulative, so the
// last one of each stands.
func (c *counts) add(f *fields, usage gjson.Result, provisional bool) {
	take := func(to *count, path string) {
		if path == "" {
			return
		}
		if n := countOf(usage.Get(path)); n != absent {
			*to = n
		}
	}
	take(&c.input, f.input)
	take(&c.cached, f.cached)
	take(&c.cacheWrite, f.cacheWrite)
	if provisional {
		return
	}
	take(&c.output, f.output)
	take(&c.reasoning, f.reasoning)
	take(&c.total, f.total)
}

// usage is the counts in one form for all kinds, with the details; nil if none is known.
func (c counts) usage(f *fields, details llmproxy.UsageDetails) *llmproxy.Usage {
	if f.inputWithoutCache {
		c.input = sum(c.input, orNone(c.cached), orNone(c.cacheWrite))
	}
	if hidden := sum(c.input, c.output); f.outputHidesSome && hidden.known() && c.total > hidden {
		c.output = c.total - c.input
	}
	if c.total == absent {
		c.total = sum(c.input, c.output)
	}
	u := &llmproxy.Usage{
		Input: c.input.pointer(), Output: c.output.pointer(), Total: c.total.pointer(), Cached: c.cached.pointer(),
		CacheWrite: c.cacheWrite.pointer(), Reasoning: c.reasoning.pointer(), Source: llmproxy.SourceUpstream,
	}
	measured := details
	measured.Tier = "" // it measures nothing
	if *u == (llmproxy.Usage{Source: llmproxy.SourceUpstream}) && measured == (llmproxy.UsageDetails{}) {
		return nil
	}
	if details != (llmproxy.UsageDetails{}) {
		u.Details = &details
	}
	return u
}

// sum is broken if one of its parts is not known, or too large.
func sum(parts ...count) count {
	var s count
	for _, p := range parts {
		if !p.known() {
			return broken
		}
		if s += p; s > maxCount {
			return broken
		}
	}
	return s
}

// orNone takes a part that is not said for none.
func orNone(c count) count {
	if c == absent {
		return 0
	}
	return c
}
