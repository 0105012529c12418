package demo

import (
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/tidwall/gjson"
)

// The endpoints that need no more than a few lines.

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func modelNamed(id string) model { return model{id, "model", 1715367049, "demo"} }

func listModels(*provider, *call) answer {
	var l struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}
	l.Object = "list"
	for _, id := range []string{"gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "gpt-4o-transcribe", "tts-1", "gpt-image-1", "omni-moderation-latest"} {
		l.Data = append(l.Data, modelNamed(id))
	}
	return object(l)
}

// oneModel knows any model, so that a test can number its requests by their path.
func oneModel(_ *provider, c *call) answer { return object(modelNamed(c.id)) }

// maxDimensions bounds an embedding, and maxInputs how many of them one request may ask for.
const (
	dimensions    = 1536
	maxDimensions = 4096
	maxInputs     = 2048
)

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"`
}

func embeddings(_ *provider, c *call) answer {
	q, bad := c.question("model", "input")
	if bad != nil {
		return *bad
	}
	inputs := []gjson.Result{q.Get("input")}
	if list := inputs[0]; list.IsArray() && list.Get("0").Type != gjson.Number { // a list of numbers is one input of tokens
		inputs = list.Array()
	}
	n := dimensions
	if asked := q.Get("dimensions"); asked.Exists() {
		n = int(asked.Int())
	}
	if n < 1 || n > maxDimensions || len(inputs) == 0 || len(inputs) > maxInputs {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", fmt.Sprintf("Invalid request: want 1 to %d inputs and 1 to %d dimensions.", maxInputs, maxDimensions))
	}
	var l struct {
		Object string      `json:"object"`
		Data   []embedding `json:"data"`
		Model  string      `json:"model"`
		Usage  struct {
			Prompt int `json:"prompt_tokens"`
			Total  int `json:"total_tokens"`
		} `json:"usage"`
	}
	l.Object, l.Model = "list", q.Get("model").Str
	for i, input := range inputs {
		e := embedding{Object: "embedding", Index: i}
		v := floats(input.String(), n)
		if e.Embedding = v; q.Get("encoding_format").Str == "base64" {
			e.Embedding = base64.StdEncoding.EncodeToString(littleEndian(v))
		}
		l.Data = append(l.Data, e)
		if input.IsArray() {
			l.Usage.Prompt += len(input.Array())
		} else {
			l.Usage.Prompt += count(input.Str)
		}
	}
	l.Usage.Total = l.Usage.Prompt
	return object(l)
}

// categories are what a moderation looks for.
var categories = []string{
	"harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
	"self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
}

type moderation struct {
	Flagged      bool                `json:"flagged"`
	Categories   map[string]bool     `json:"categories"`
	Scores       map[string]float64  `json:"category_scores"`
	AppliedTypes map[string][]string `json:"category_applied_input_types"`
}

// moderations finds nothing wrong with anything.
func moderations(_ *provider, c *call) answer {
	q, bad := c.question("input")
	if bad != nil {
		return *bad
	}
	var m struct {
		ID      string       `json:"id"`
		Model   string       `json:"model"`
		Results []moderation `json:"results"`
	}
	m.ID, m.Model = identifier("modr-demo-", string(c.body)), "omni-moderation-latest"
	if asked := q.Get("model").Str; asked != "" {
		m.Model = asked
	}
	n := 1
	if input := q.Get("input"); input.IsArray() && input.Get("0").Type == gjson.String {
		n = len(input.Array())
	}
	for range n {
		result := moderation{Categories: map[string]bool{}, Scores: map[string]float64{}, AppliedTypes: map[string][]string{}}
		for _, name := range categories {
			result.Categories[name], result.Scores[name], result.AppliedTypes[name] = false, 0.0001, []string{"text"}
		}
		m.Results = append(m.Results, result)
	}
	return object(m)
}

// pixel is a picture of one point, PNG in base64.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

type image struct {
	Base64 string `json:"b64_json,omitempty"`
	URL    string `json:"url,omitempty"`
}

type imageUsage struct {
	Total        int `json:"total_tokens"`
	Input        int `json:"input_tokens"`
	Output       int `json:"output_tokens"`
	InputDetails struct {
		Text  int `json:"text_tokens"`
		Image int `json:"image_tokens"`
	} `json:"input_tokens_details"`
}

// tokensOfImage is what one picture costs.
const tokensOfImage = 196

// images draws the same picture for everybody, new ones and edits alike.
func images(p *provider, c *call) answer {
	if c.form != nil {
		c.body = formAsJSON(c.form)
	}
	q, bad := c.question("prompt")
	if bad != nil {
		return *bad
	}
	n := max(1, int(q.Get("n").Int()))
	if n > 10 {
		return c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_request", "Invalid 'n': want 1 to 10.")
	}
	var a struct {
		Created int64      `json:"created"`
		Data    []image    `json:"data"`
		Usage   imageUsage `json:"usage"`
	}
	a.Created = p.born
	for range n {
		if q.Get("response_format").String() == "url" {
			a.Data = append(a.Data, image{URL: "https://images.example.invalid/" + identifier("img-demo-", string(c.body)) + ".png"})
		} else {
			a.Data = append(a.Data, image{Base64: pixel})
		}
	}
	a.Usage.InputDetails.Text = count(q.Get("prompt").String())
	a.Usage.InputDetails.Image = tokensOfImage * len(c.files)
	a.Usage.Input = a.Usage.InputDetails.Text + a.Usage.InputDetails.Image
	a.Usage.Output = tokensOfImage * n
	a.Usage.Total = a.Usage.Input + a.Usage.Output
	if q.Get("stream").Bool() {
		event := map[string]any{"type": "image_generation.completed", "b64_json": pixel, "created_at": a.Created, "size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png", "usage": a.Usage}
		if c.form != nil {
			event["type"] = "image_edit.completed"
		}
		return stream(func(yield func([]byte) bool) { yield(typed(event["type"].(string), event)) })
	}
	return object(a)
}
