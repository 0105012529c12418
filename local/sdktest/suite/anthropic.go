package suite

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RunAnthropic puts an SDK of Anthropic's through what differs from OpenAI's: the key comes and goes as X-Api-Key, and errors have
// another shape.
func RunAnthropic(t *testing.T, sdk SDK) { runAnthropic(t, newWorld(t), &sdk) }

// RunAnthropicOnLambda does the same with the built function behind a function URL as the proxy.
func RunAnthropicOnLambda(t *testing.T, sdk SDK) { runAnthropic(t, newLambdaWorld(t), &sdk) }

func runAnthropic(t *testing.T, w *world, sdk *SDK) {
	c := sdk.Start(t, w.url+"/anthropic", w.claude)

	t.Run("a message", func(t *testing.T) {
		before := len(w.up.Requests())
		done := c.done(t, Order{Do: "chat"})
		assert.Contains(t, done.Text, question)
		assert.Positive(t, done.Input)
		assert.Positive(t, done.Output)
		got := since(w.up, before)
		require.Len(t, got, 1)
		assert.Equal(t, "/v1/messages", got[0].Path)
		assert.Equal(t, []string{providerKey}, got[0].Header["X-Api-Key"], "the provider gets its own key")
		assert.Empty(t, got[0].Header["Authorization"])
		assert.NotEmpty(t, got[0].Header.Get("Anthropic-Version"))
	})
	t.Run("a streamed message", func(t *testing.T) {
		chunks, end := c.end(t, Order{Do: "stream_chat", Demo: "events=3"})
		require.Nil(t, end.Error, "%+v", end.Error)
		assert.Equal(t, []string{
			"message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_delta",
			"content_block_stop", "message_delta", "message_stop",
		}, chunks)
	})
	t.Run("errors are of the SDK's own types", func(t *testing.T) {
		for status, order := range map[int]Order{
			401: {Do: "chat", Key: "sk-fake-not-a-token"},
			403: {Do: "chat", Key: w.token},
			404: {Do: "unknown"},
			502: {Do: "chat", Demo: "quote-key"},
		} {
			e := c.fails(t, order)
			assert.Equal(t, status, e.Status, "%+v", e)
			assert.Equal(t, sdk.Classes[status], e.Class, "%+v", e)
		}
	})
	t.Run("a stream that is cut looks broken", func(t *testing.T) {
		_, end := c.end(t, Order{Do: "stream_chat", Demo: "events=10, cut-after=5"})
		require.NotNil(t, end.Error, "a cut stream looked complete")
		assert.Zero(t, end.Error.Status, "%+v", end.Error)
	})
}
