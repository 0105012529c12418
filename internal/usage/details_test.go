package usage

import (
	"strings"
	"testing"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/stretchr/testify/require"
)

func TestWhatPricesDependOnIsRead(t *testing.T) {
	for name, c := range map[string]struct{ kind, contentType, body, want string }{
		"a tier and parts of a chat": {
			"openai-chat", jsonType,
			`{"model":"m","service_tier":"priority","usage":{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"audio_tokens":3,"image_tokens":2},"completion_tokens_details":{"audio_tokens":4}}}`,
			`{"input":9,"output":8,"total":17,"source":"upstream","details":{"tier":"priority","input_audio":3,"input_image":2,"output_audio":4}}`,
		},
		"a tier in each chunk": {
			"openai-chat", streamType,
			"data: {\"model\":\"m\",\"service_tier\":\"flex\",\"choices\":[]}\n\ndata: {\"service_tier\":\"flex\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8}}\n\n",
			`{"input":9,"output":8,"total":17,"source":"upstream","details":{"tier":"flex"}}`,
		},
		"the ordinary tier and nothing else": {
			"openai-chat", jsonType,
			`{"model":"m","service_tier":"default","usage":{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"audio_tokens":0}}}`,
			`{"input":9,"output":8,"total":17,"source":"upstream"}`,
		},
		"searches and a long cache of a response": {
			"openai-responses", streamType,
			`data: {"type":"response.completed","response":{"model":"m","service_tier":"default","tool_usage":{"web_search":{"num_requests":3}},"usage":{"input_tokens":9,"output_tokens":8,"input_tokens_details":{"cache_write_tokens":7,"cache_write_tokens_details":{"ttl_12h_tokens":5}}}}}` + "\n\n",
			`{"input":9,"output":8,"total":17,"cache_write":7,"source":"upstream","details":{"cache_write_long":5,"searches":3}}`,
		},
		"a message": {
			"anthropic-messages", streamType,
			"data: {\"type\":\"message_start\",\"message\":{\"model\":\"m\",\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":4,\"cache_creation\":{\"ephemeral_1h_input_tokens\":4},\"service_tier\":\"priority\"}}}\n\n" +
				"data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":8,\"server_tool_use\":{\"web_search_requests\":1}}}\n\n",
			`{"input":9,"output":8,"total":17,"cache_write":4,"source":"upstream","details":{"tier":"priority","cache_write_long":4,"searches":1}}`,
		},
		"damaged values": {
			"openai-audio", jsonType, `{"model":"m","service_tier":7,"usage":{"seconds":-3,"input_tokens":1,"input_token_details":{"audio_tokens":"x"}}}`, `{"input":1,"source":"upstream"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := answered(c.kind, c.contentType, c.body)
			require.NoError(t, Read(e))
			require.Equal(t, c.want, shown(t, e))
		})
	}
}

func TestTheTierStandsAtTheEndOfALargeAnswer(t *testing.T) {
	e := answered("openai-chat", jsonType, "")
	e.Response.Body = &llmproxy.Body{
		Head: []byte(`{"model":"m","choices":["` + strings.Repeat("x", 100)), Size: 1 << 20,
		Tail: []byte(`xxx"],"usage":{"prompt_tokens":3,"completion_tokens":4},"service_tier":"priority","tool_usage":{"web_search":{"num_requests":2}}}`),
	}
	require.NoError(t, Read(e))
	require.Equal(t, `{"input":3,"output":4,"total":7,"source":"upstream","details":{"tier":"priority","searches":2}}`, shown(t, e))
}

func TestSpokenCharactersAreCountedInTheRequest(t *testing.T) {
	e := answered("openai-speech", "audio/mpeg", "ID3")
	e.Request.Body = captured(`{"model":"tts-1","input":"Grüße!","voice":"alloy"}`)
	require.NoError(t, Read(e))
	require.Equal(t, `{"source":"upstream","details":{"characters":6}}`, shown(t, e))
	require.Equal(t, "tts-1", e.Model)

	e.Usage = nil
	e.Request.Body.Size += 5
	require.NoError(t, Read(e))
	require.Nil(t, e.Usage, "a request that capture has cut")
}
