package dispatch

import (
	"strings"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
)

// callPaths are how the paths of model calls end, and how their answers report usage.
var callPaths = []struct{ end, kind string }{
	{"/chat/completions", "openai-chat"},
	{"/completions", "openai-completions"},
	{"/responses", "openai-responses"},
	{"/embeddings", "openai-embeddings"},
	{"/messages", "anthropic-messages"},
}

// kindOfPath tells how an endpoint reports usage from its path, for records of earlier versions, which do not say; "" if the path is
// none of a model call.
func kindOfPath(path string) string {
	for _, p := range callPaths {
		if strings.HasSuffix(path, p.end) {
			return p.kind
		}
	}
	return ""
}

// call is a model call as the tools that watch such calls see it.
type call struct {
	*llmproxy.Event
	kind     string
	request  []byte // its JSON, nil if there is none
	response []byte // the answer's JSON, a stream assembled; nil if there is none
	partial  bool   // a piece of request or response is missing
}

// callOf reads a call; it reports false if the event is none.
func callOf(e *llmproxy.Event) (call, bool) {
	c := call{Event: e, kind: e.UsageKind}
	if c.kind == "" {
		c.kind = kindOfPath(e.Path)
	}
	if c.kind == "" {
		return call{}, false
	}
	request, cut := usage.Request(&e.Request)
	c.request, c.partial = request, cut
	event := *e
	event.UsageKind = c.kind
	answer, err := usage.Assemble(&event)
	if err != nil {
		c.partial = true // a damaged answer; usage.Read has told of it
		return c, true
	}
	c.response, c.partial = answer.JSON, c.partial || answer.Partial
	return c, true
}

// upstreamPath is the path without the provider's name that led it.
func (c *call) upstreamPath() string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(c.Path, "/"+c.Provider+"/"), "/")
}
