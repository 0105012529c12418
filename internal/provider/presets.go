// Code generated from presets/ by default_test.go. DO NOT EDIT.

package provider

func anthropicPreset() stanza {
	return stanza{BaseURL: field[string]{"https://api.anthropic.com", ours}, Auth: authFile{Header: field[string]{"X-Api-Key", ours}}, Errors: field[string]{"anthropic", ours}, Response: responseHeadersFile{Drop: field[[]string]{[]string{"Set-Cookie", "Alt-Svc", "Anthropic-Organization-Id"}, ours}}, Endpoints: []field[endpointFile]{
		field[endpointFile]{endpointFile{Path: "/v1/messages", Methods: []string{"POST"}, Usage: "anthropic-messages"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/messages/count_tokens", Methods: []string{"POST"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/messages/batches", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/messages/batches/{message_batch_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/messages/batches/{message_batch_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/messages/batches/{message_batch_id}/results", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models", Methods: []string{"GET"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models/{model_id}", Methods: []string{"GET"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files/{file_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files/{file_id}/content", Methods: []string{"GET"}, Group: "stored"}, ours},
	}}
}

func defaultsPreset() stanza {
	return stanza{Private: field[bool]{false, ours}, Auth: authFile{Header: field[string]{"Authorization", ours}, Scheme: field[string]{"Bearer", ours}}, Errors: field[string]{"openai", ours}, Response: responseHeadersFile{Drop: field[[]string]{[]string{"Set-Cookie", "Alt-Svc"}, ours}}, Timeouts: timeoutsFile{Connect: field[string]{"5s", ours}, ResponseHeader: field[string]{"10m", ours}, Idle: field[string]{"5m", ours}}, Limits: limitsFile{RequestBytes: field[string]{"520MiB", ours}, ConnectionsPerHost: field[int]{256, ours}}, Retry: retryFile{Attempts: field[int]{1, ours}}, CircuitBreaker: breakerFile{Failures: field[int]{5, ours}, Window: field[string]{"10s", ours}, Cooldown: field[string]{"5s", ours}}}
}

func openaiPreset() stanza {
	return stanza{BaseURL: field[string]{"https://api.openai.com", ours}, Auth: authFile{Header: field[string]{"Authorization", ours}, Scheme: field[string]{"Bearer", ours}}, Errors: field[string]{"openai", ours}, Request: requestHeadersFile{Drop: field[[]string]{[]string{"OpenAI-Organization", "OpenAI-Project"}, ours}}, Response: responseHeadersFile{Drop: field[[]string]{[]string{"Set-Cookie", "Alt-Svc", "OpenAI-Organization"}, ours}}, Endpoints: []field[endpointFile]{
		field[endpointFile]{endpointFile{Path: "/v1/chat/completions", Methods: []string{"POST"}, Usage: "openai-chat"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/completions", Methods: []string{"POST"}, Usage: "openai-completions"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses", Methods: []string{"POST"}, Usage: "openai-responses"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses/compact", Methods: []string{"POST"}, Usage: "openai-responses"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses/input_tokens", Methods: []string{"POST"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/embeddings", Methods: []string{"POST"}, Usage: "openai-embeddings"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/moderations", Methods: []string{"POST"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/audio/speech", Methods: []string{"POST"}, Usage: "openai-speech"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/audio/transcriptions", Methods: []string{"POST"}, Usage: "openai-audio"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/audio/translations", Methods: []string{"POST"}, Usage: "openai-audio"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/images/generations", Methods: []string{"POST"}, Usage: "openai-images"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/images/edits", Methods: []string{"POST"}, Usage: "openai-images"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/images/variations", Methods: []string{"POST"}, Usage: "openai-images"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models", Methods: []string{"GET"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models/{model}", Methods: []string{"GET"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses/{response_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses/{response_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/responses/{response_id}/input_items", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/chat/completions", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/chat/completions/{completion_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/chat/completions/{completion_id}/messages", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/conversations", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/conversations/{conversation_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/conversations/{conversation_id}/items", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/conversations/{conversation_id}/items/{item_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files/{file_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/files/{file_id}/content", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/uploads", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/uploads/{upload_id}/parts", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/uploads/{upload_id}/complete", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/uploads/{upload_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/batches", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/batches/{batch_id}", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/batches/{batch_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/events", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/file_batches", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", Methods: []string{"POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/files", Methods: []string{"GET", "POST"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/files/{file_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/files/{file_id}/content", Methods: []string{"GET"}, Group: "stored"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/vector_stores/{vector_store_id}/search", Methods: []string{"POST"}, Group: "stored"}, ours},
	}}
}

func openaiCompatiblePreset() stanza {
	return stanza{Auth: authFile{Header: field[string]{"Authorization", ours}, Scheme: field[string]{"Bearer", ours}}, Errors: field[string]{"openai", ours}, Endpoints: []field[endpointFile]{
		field[endpointFile]{endpointFile{Path: "/v1/chat/completions", Methods: []string{"POST"}, Usage: "openai-chat"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/completions", Methods: []string{"POST"}, Usage: "openai-completions"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/embeddings", Methods: []string{"POST"}, Usage: "openai-embeddings"}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models", Methods: []string{"GET"}}, ours},
		field[endpointFile]{endpointFile{Path: "/v1/models/{model}", Methods: []string{"GET"}}, ours},
	}}
}
