package gosdk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/sofatutor/llm-proxy/local/sdktest/suite"
)

const question = "Which way to the harbour?"

var chatParams = openai.ChatCompletionNewParams{
	Model: "gpt-4o", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)},
}

var responseParams = responses.ResponseNewParams{
	Model: "gpt-4o", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)},
}

// say writes a line.
type say func(suite.Line)

func (s say) chunk(text string) { s(suite.Line{Chunk: &text}) }

// orders does what the suite orders with the official Go SDK.
var orders = map[string]func(context.Context, *openai.Client, suite.Order, say) (suite.Done, error){
	"chat": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (suite.Done, error) {
		a, err := client.Chat.Completions.New(ctx, chatParams)
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{Text: a.Choices[0].Message.Content, Input: int(a.Usage.PromptTokens), Output: int(a.Usage.CompletionTokens), Total: int(a.Usage.TotalTokens)}, nil
	},

	"stream_chat": func(ctx context.Context, client *openai.Client, _ suite.Order, say say) (suite.Done, error) {
		params := chatParams
		params.StreamOptions.IncludeUsage = openai.Bool(true)
		stream := client.Chat.Completions.NewStreaming(ctx, params)
		defer stream.Close()
		for stream.Next() {
			text := ""
			if choices := stream.Current().Choices; len(choices) > 0 {
				text = choices[0].Delta.Content
			}
			say.chunk(text)
		}
		return suite.Done{}, stream.Err()
	},

	"respond": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (suite.Done, error) {
		a, err := client.Responses.New(ctx, responseParams)
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{Text: a.OutputText(), Input: int(a.Usage.InputTokens), Output: int(a.Usage.OutputTokens), Total: int(a.Usage.TotalTokens)}, nil
	},

	"stream_respond": func(ctx context.Context, client *openai.Client, _ suite.Order, say say) (suite.Done, error) {
		stream := client.Responses.NewStreaming(ctx, responseParams)
		defer stream.Close()
		for stream.Next() {
			say.chunk(stream.Current().Type)
		}
		return suite.Done{}, stream.Err()
	},

	"embed": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (suite.Done, error) {
		a, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
			Model: "text-embedding-3-small", Dimensions: openai.Int(256),
			Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{question, "No."}},
		})
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{Count: len(a.Data[0].Embedding), Input: int(a.Usage.PromptTokens), Total: int(a.Usage.TotalTokens)}, nil
	},

	"models": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (done suite.Done, err error) {
		all := client.Models.ListAutoPaging(ctx)
		for all.Next() {
			done.Count++
		}
		one, err := client.Models.Get(ctx, "ft:gpt-4o:acme::17")
		if err != nil {
			return done, err
		}
		done.Text = one.ID
		return done, all.Err()
	},

	"images": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (suite.Done, error) {
		a, err := client.Images.Generate(ctx, openai.ImageGenerateParams{Model: "gpt-image-1", Prompt: question, N: openai.Int(2)})
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{Count: len(a.Data), Text: a.Data[0].B64JSON[:11]}, nil
	},

	"upload": func(ctx context.Context, client *openai.Client, order suite.Order, _ say) (suite.Done, error) {
		file, err := os.Open(order.File)
		if err != nil {
			return suite.Done{}, err
		}
		defer file.Close()
		a, err := client.Files.New(ctx, openai.FileNewParams{File: file, Purpose: openai.FilePurposeBatch})
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{IDs: []string{a.ID}, Bytes: int(a.Bytes)}, nil
	},

	"transcribe": func(ctx context.Context, client *openai.Client, order suite.Order, _ say) (suite.Done, error) {
		file, err := os.Open(order.File)
		if err != nil {
			return suite.Done{}, err
		}
		defer file.Close()
		a, err := client.Audio.Transcriptions.New(ctx, openai.AudioTranscriptionNewParams{Model: "gpt-4o-transcribe", File: file})
		if err != nil {
			return suite.Done{}, err
		}
		return suite.Done{Text: a.Text}, nil
	},

	"list_files": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (done suite.Done, err error) {
		all := client.Files.ListAutoPaging(ctx, openai.FileListParams{})
		for all.Next() {
			done.Count++
		}
		return done, all.Err()
	},

	"unknown": func(ctx context.Context, client *openai.Client, _ suite.Order, _ say) (suite.Done, error) {
		return suite.Done{}, client.Post(ctx, "no/such/endpoint", map[string]any{}, nil)
	},
}

// options are what an order changes of the client that the environment gives.
func options(o suite.Order) (changes []option.RequestOption) {
	if o.BaseURL != "" {
		changes = append(changes, option.WithBaseURL(o.BaseURL))
	}
	if o.Key != "" {
		changes = append(changes, option.WithAPIKey(o.Key))
	}
	if o.Retries != nil {
		changes = append(changes, option.WithMaxRetries(*o.Retries))
	}
	if o.Demo != "" {
		changes = append(changes, option.WithHeader("X-Demo", o.Demo))
	}
	return changes
}

// serve takes orders until there are no more.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	var failed error
	say := say(func(l suite.Line) { failed = errors.Join(failed, answers.Encode(l)) })
	for failed == nil && lines.Scan() {
		var o suite.Order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		client := openai.NewClient(options(o)...)
		done, err := orders[o.Do](ctx, &client, o, say)
		if err == nil {
			say(suite.Line{Done: &done})
			continue
		}
		said := suite.Error{Class: strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), Message: err.Error()}
		var api *openai.Error
		if errors.As(err, &api) {
			said = suite.Error{Class: "openai.Error", Status: api.StatusCode, Code: api.Code, Message: api.Message}
		}
		say(suite.Line{Error: &said})
	}
	return errors.Join(failed, lines.Err())
}

func TestTheGoSDKWorksThroughTheProxy(t *testing.T) { suite.Run(t, sdk()) }

func TestTheGoSDKWorksThroughTheFunctionURL(t *testing.T) { suite.RunOnLambda(t, sdk()) }

func sdk() suite.SDK {
	return suite.SDK{
		Start: func(t *testing.T, baseURL, key string) *suite.Client {
			t.Setenv("OPENAI_BASE_URL", baseURL)
			t.Setenv("OPENAI_API_KEY", key)
			orders, in := io.Pipe()
			out, lines := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				err := serve(t.Context(), orders, lines)
				lines.Close()
				ended <- err
			}()
			t.Cleanup(func() {
				in.Close() // it ends then
				if err := <-ended; err != nil {
					t.Errorf("the client ended with %v", err)
				}
			})
			return suite.NewClient(in, out)
		},
		Classes: map[int]string{401: "openai.Error", 403: "openai.Error", 404: "openai.Error", 429: "openai.Error", 502: "openai.Error", 503: "openai.Error"},
	}
}
