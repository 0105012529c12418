package manage

import (
	"github.com/sofatutor/llm-proxy/internal/provider"
)

// Documents are the committed forms of the API's description, by file: openapi.yaml for readers and for the site's types, and the same
// as OpenAPI 3.0 for the generator of the client, which knows no 3.1.
func Documents() (map[string][]byte, error) {
	h, err := NewHandler(HandlerConfig{Service: New(Config{}), Authenticators: []Authenticator{&bearer{}}, Providers: &provider.Set{}})
	if err != nil {
		return nil, err
	}
	h.Prepare()
	current, err := h.api.OpenAPI().YAML()
	if err != nil {
		return nil, err
	}
	old, err := h.api.OpenAPI().DowngradeYAML()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{"openapi.yaml": current, "client/openapi-3.0.yaml": old}, nil
}
