// Code generated from presets/ by default_test.go. DO NOT EDIT.

package provider

import (
	"net/url"
	"time"
)

func defaultSet() *Set {
	return &Set{Default: "openai", Providers: map[string]*Provider{
		"openai": &Provider{Name: "openai", BaseURL: &url.URL{Scheme: "https", Host: "api.openai.com"}, Auth: Auth{Header: "Authorization", Scheme: "Bearer"}, Errors: "openai", RequestHeaders: HeaderPolicy{Drop: []string{"Openai-Organization", "Openai-Project"}}, ResponseHeaders: HeaderPolicy{Drop: []string{"Set-Cookie", "Alt-Svc", "Openai-Organization"}}, Endpoints: []*Endpoint{
			&Endpoint{Path: "/v1/chat/completions", Methods: []string{"POST"}, Usage: "openai-chat", Group: "inference"},
			&Endpoint{Path: "/v1/completions", Methods: []string{"POST"}, Usage: "openai-completions", Group: "inference"},
			&Endpoint{Path: "/v1/responses", Methods: []string{"POST"}, Usage: "openai-responses", Group: "inference"},
			&Endpoint{Path: "/v1/responses/compact", Methods: []string{"POST"}, Usage: "openai-responses", Group: "inference"},
			&Endpoint{Path: "/v1/responses/input_tokens", Methods: []string{"POST"}, Group: "inference"},
			&Endpoint{Path: "/v1/embeddings", Methods: []string{"POST"}, Usage: "openai-embeddings", Group: "inference"},
			&Endpoint{Path: "/v1/moderations", Methods: []string{"POST"}, Group: "inference"},
			&Endpoint{Path: "/v1/audio/speech", Methods: []string{"POST"}, Usage: "openai-speech", Group: "inference"},
			&Endpoint{Path: "/v1/audio/transcriptions", Methods: []string{"POST"}, Usage: "openai-audio", Group: "inference"},
			&Endpoint{Path: "/v1/audio/translations", Methods: []string{"POST"}, Usage: "openai-audio", Group: "inference"},
			&Endpoint{Path: "/v1/images/generations", Methods: []string{"POST"}, Usage: "openai-images", Group: "inference"},
			&Endpoint{Path: "/v1/images/edits", Methods: []string{"POST"}, Usage: "openai-images", Group: "inference"},
			&Endpoint{Path: "/v1/images/variations", Methods: []string{"POST"}, Usage: "openai-images", Group: "inference"},
			&Endpoint{Path: "/v1/models", Methods: []string{"GET"}, Group: "inference"},
			&Endpoint{Path: "/v1/models/{model}", Methods: []string{"GET"}, Group: "inference"},
			&Endpoint{Path: "/v1/responses/{response_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/responses/{response_id}/cancel", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/responses/{response_id}/input_items", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/chat/completions", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/chat/completions/{completion_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/chat/completions/{completion_id}/messages", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/conversations", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/conversations/{conversation_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/conversations/{conversation_id}/items", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/conversations/{conversation_id}/items/{item_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/files", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/files/{file_id}", Methods: []string{"GET", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/files/{file_id}/content", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/uploads", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/uploads/{upload_id}/parts", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/uploads/{upload_id}/complete", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/uploads/{upload_id}/cancel", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/batches", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/batches/{batch_id}", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/batches/{batch_id}/cancel", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/events", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/file_batches", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", Methods: []string{"POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/files", Methods: []string{"GET", "POST"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/files/{file_id}", Methods: []string{"GET", "POST", "DELETE"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/files/{file_id}/content", Methods: []string{"GET"}, Group: "stored"},
			&Endpoint{Path: "/v1/vector_stores/{vector_store_id}/search", Methods: []string{"POST"}, Group: "stored"},
		}, Timeouts: Timeouts{Connect: 5 * time.Second, ResponseHeader: 600 * time.Second, Idle: 300 * time.Second}, Limits: Limits{RequestBytes: 545259520, ConnectionsPerHost: 256}, RetryAttempts: 1, Breaker: Breaker{Failures: 5, Window: 10 * time.Second, Cooldown: 5 * time.Second}},
	}}
}
