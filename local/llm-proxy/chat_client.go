package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/tmaxmax/go-sse"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// message is one of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// conversation is what was said so far, with whom.
type conversation struct {
	client   *chatClient
	model    string
	system   string
	stream   bool
	messages []message
}

// answer is what a model said.
type answer struct {
	text   string
	finish string // why it ended: stop, length, content_filter, ...
	tokens int64  // of prompt and answer together; 0 if it was not said
}

// unfinished says why an answer is not all that the model had to say; "" if it is.
func (a *answer) unfinished() string {
	switch a.finish {
	case "length":
		return "the answer is cut: it has reached the length that the model allows"
	case "content_filter":
		return "the answer is cut: the provider's content filter stopped it"
	}
	return ""
}

// ask asks a question and hands the answer to each piece by piece. Question and answer become part of the conversation, but for a
// question that got no answer at all: it could be asked again.
func (c *conversation) ask(ctx context.Context, question string, each func(piece string)) (answer, error) {
	messages := slices.Clone(c.messages)
	if c.system != "" {
		messages = slices.Insert(messages, 0, message{"system", c.system})
	}
	asked := message{"user", question}
	a, err := c.client.complete(ctx, c.model, append(messages, asked), c.stream, each)
	if a.text != "" {
		c.messages = append(c.messages, asked, message{"assistant", a.text})
	}
	return a, err
}

// clear begins anew.
func (c *conversation) clear() { c.messages = nil }

// chatClient speaks the part of OpenAI's API that a conversation needs.
type chatClient struct {
	base  string
	token llmproxy.Secret
	http  *http.Client
}

func newChatClient(base *url.URL, token llmproxy.Secret) *chatClient {
	return &chatClient{base: base.String(), token: token, http: &http.Client{
		// A token is for the server that was named, not for where that one points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// apiError is an answer that is no success.
type apiError struct {
	status    int
	code      string
	message   string
	requestID string
}

// Error is the proxy's sentence, and what to quote when asking about it.
func (e *apiError) Error() string {
	details := []string{e.code}
	if e.requestID != "" {
		details = append(details, "request "+e.requestID)
	}
	details = slices.DeleteFunc(details, func(s string) bool { return s == "" })
	text := firstOf(e.message, fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status)))
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	return text
}

// errUnreachable: nobody answered.
var errUnreachable = errors.New("cannot be reached")

// errCut: an answer broke off.
var errCut = errors.New("the answer broke off before its end")

// Bounds of an answer.
const (
	maxAnswerBody = 32 << 20
	maxAnswerSSE  = 4 << 20 // of one event
	maxErrorBody  = 64 << 10
)

// complete sends messages to a model and returns its answer, which is what came until then if there is an error too.
func (c *chatClient) complete(ctx context.Context, model string, messages []message, stream bool, each func(string)) (answer, error) {
	type streamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	}
	body := struct {
		Model         string         `json:"model"`
		Messages      []message      `json:"messages"`
		Stream        bool           `json:"stream,omitempty"`
		StreamOptions *streamOptions `json:"stream_options,omitempty"`
	}{Model: model, Messages: messages, Stream: stream}
	if stream {
		body.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	res, err := c.do(ctx, http.MethodPost, "/chat/completions", data)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	if mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); mediaType == "text/event-stream" {
		return readStream(ctx, res, each)
	}
	data, err = io.ReadAll(io.LimitReader(res.Body, maxAnswerBody))
	if err != nil {
		return answer{}, cutError(ctx, res, err)
	}
	a := answer{text: choiceText(gjson.GetBytes(data, "choices.0.message")), finish: gjson.GetBytes(data, "choices.0.finish_reason").String(), tokens: gjson.GetBytes(data, "usage.total_tokens").Int()}
	if !gjson.GetBytes(data, "choices.0.message").Exists() {
		return answer{}, fmt.Errorf("%s answered something that is no chat completion", c.base)
	}
	each(a.text)
	return a, nil
}

// readStream reads a streamed answer. It has ended at [DONE], or where the model said that it has finished and nothing more came:
// anything else broke off.
func readStream(ctx context.Context, res *http.Response, each func(string)) (answer, error) {
	var a answer
	var text strings.Builder
	for event, err := range sse.Read(io.LimitReader(res.Body, maxAnswerBody), &sse.ReadConfig{MaxEventSize: maxAnswerSSE}) {
		a.text = text.String()
		if err != nil {
			return a, cutError(ctx, res, err)
		}
		if event.Data == "[DONE]" {
			return a, nil
		}
		if e := gjson.Get(event.Data, "error"); e.IsObject() {
			return a, &apiError{status: http.StatusBadGateway, code: e.Get("code").String(), message: printable(e.Get("message").String()), requestID: requestID(res)}
		}
		if tokens := gjson.Get(event.Data, "usage.total_tokens"); tokens.Exists() {
			a.tokens = tokens.Int()
		}
		if finish := gjson.Get(event.Data, "choices.0.finish_reason").String(); finish != "" {
			a.finish = finish
		}
		if piece := choiceText(gjson.Get(event.Data, "choices.0.delta")); piece != "" {
			text.WriteString(piece)
			each(piece)
		}
	}
	a.text = text.String()
	if a.finish != "" {
		return a, nil
	}
	return a, cutError(ctx, res, io.ErrUnexpectedEOF)
}

// choiceText is what a message or a part of one says, be it that the model refuses.
func choiceText(m gjson.Result) string {
	return m.Get("content").String() + m.Get("refusal").String()
}

// cutError is that an answer broke off, unless it was the caller who stopped it.
func cutError(ctx context.Context, res *http.Response, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if id := requestID(res); id != "" {
		return fmt.Errorf("%w (request %s): %w", errCut, id, err)
	}
	return fmt.Errorf("%w: %w", errCut, err)
}

func requestID(res *http.Response) string {
	return printable(firstOf(res.Header.Get("X-Llm-Proxy-Request-Id"), res.Header.Get("X-Request-Id")))
}

// models are the names that the API lists, in its order.
func (c *chatClient) models(ctx context.Context) ([]string, error) {
	res, err := c.do(ctx, http.MethodGet, "/models", nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBody))
	if err != nil {
		return nil, cutError(ctx, res, err)
	}
	var names []string
	for _, id := range gjson.GetBytes(data, "data.#.id").Array() {
		names = append(names, printable(id.String()))
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s lists no models", c.base)
	}
	return names, nil
}

// do sends a request and returns an answer that is a success, or the error that it is.
func (c *chatClient) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("User-Agent", "llm-proxy/"+version)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%s %w: %w", c.base, errUnreachable, innermost(err))
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
	if err != nil {
		return nil, cutError(ctx, res, err)
	}
	return nil, &apiError{
		status: res.StatusCode, code: printable(firstOf(gjson.GetBytes(data, "error.code").String(), gjson.GetBytes(data, "error.type").String())),
		message: printable(gjson.GetBytes(data, "error.message").String()), requestID: requestID(res),
	}
}

// innermost is an error of the HTTP client without method and URL.
func innermost(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return withURL.Err
	}
	return err
}
