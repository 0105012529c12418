package estimate

import (
	"fmt"
	"math"
	"net/http"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/usage"
	"github.com/tidwall/gjson"
)

// Fill estimates what the event's Usage does not say of prompt and completion, from its captured bodies; it comes after
// [usage.Read]. It estimates the answer to a POST that succeeded (2xx) and can be counted. Where capture left something out, what it
// kept is scaled, by the stream's events or by bytes, and the usage marked partial. What cannot be told stays unknown. An error
// says why a captured answer could not be read.
func Fill(e *llmproxy.Event) (err error) {
	if e.UsageKind == "" || e.Method != http.MethodPost || e.Status < 200 || e.Status > 299 || e.Response.Body == nil {
		return nil
	}
	var u llmproxy.Usage
	if e.Usage != nil {
		u = *e.Usage
	}
	if u.Input != nil && (u.Output != nil || e.UsageKind == "openai-embeddings") || u.Input == nil && u.Total != nil {
		return nil
	}
	defer func() { // hostile bytes are read here
		if p := recover(); p != nil {
			err = fmt.Errorf("estimate usage of event %s: panic: %v", e.ID, p)
		}
	}()
	input, output, partial := u.Input, u.Output, u.Partial
	if input == nil {
		n, cut := prompt(e)
		input, partial = n, partial || n != nil && cut
	}
	if output == nil && e.UsageKind != "openai-embeddings" {
		n, cut, readErr := completion(e)
		if readErr != nil {
			err = readErr
		}
		output, partial = n, partial || n != nil && cut
	}
	if input == u.Input && output == u.Output {
		return err
	}
	u.Input, u.Output, u.Partial, u.Source = input, output, partial, llmproxy.SourceEstimate
	switch {
	case input != nil && output != nil:
		total := *input + *output
		u.Total = &total
	case input != nil && e.UsageKind == "openai-embeddings":
		u.Total = input
	}
	e.Usage = &u
	return err
}

// prompt estimates the request, and reports whether a part of it was missing.
func prompt(e *llmproxy.Event) (*int64, bool) {
	body := e.Request.Body
	if body == nil {
		return nil, false
	}
	scale := 1.0
	request, cut := usage.Request(&e.Request)
	if request == nil {
		return nil, false
	}
	if cut && body.Truncated() && !endsInData(request) {
		scale = float64(body.Size) / float64(max(1, len(body.Head)))
	}
	n, ok := promptWithImages(e.UsageKind, e.Model, request)
	if !ok {
		return nil, false
	}
	return scaled(n, scale), cut
}

// endsInData reports whether a request that was cut was cut in a picture or a file: then what is missing is taken for the rest of
// it, which has no text.
func endsInData(request []byte) bool {
	last, key := gjson.ParseBytes(request), ""
	for last.IsObject() || last.IsArray() {
		var next gjson.Result
		last.ForEach(func(k, v gjson.Result) bool {
			next = v
			if k.Exists() {
				key = k.Str
			}
			return true
		})
		if !next.Exists() {
			return false
		}
		last = next
	}
	switch key {
	case "url", "image_url", "data", "file_data", "b64_json":
		return last.Type == gjson.String
	}
	return false
}

// completion estimates the answer, and reports whether a part of it was missing.
func completion(e *llmproxy.Event) (n *int64, cut bool, err error) {
	answer, err := usage.Assemble(e)
	if err != nil || answer.JSON == nil {
		return nil, false, err
	}
	units, ok := Completion(e.UsageKind, e.Model, answer.JSON)
	if !ok {
		return nil, false, nil
	}
	body := e.Response.Body
	if !answer.Partial || !body.Truncated() {
		return scaled(units, 1), false, nil // all that came was kept
	}
	switch {
	case answer.Events > 0 && e.Response.Events > answer.Events:
		return scaled(units, float64(e.Response.Events)/float64(answer.Events)), true, nil
	case len(body.Head) > 0:
		return scaled(units, float64(body.Size)/float64(len(body.Head))), true, nil
	}
	return nil, false, nil
}

// maxUnits is the largest count that every reader of JSON holds exactly.
const maxUnits = 1 << 53

func scaled(n int, by float64) *int64 {
	s := int64(min(math.Round(float64(n)*by), maxUnits))
	return &s
}
