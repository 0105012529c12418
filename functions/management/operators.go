package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/sofatutor/llm-proxy/functions/internal/secret"
	"github.com/sofatutor/llm-proxy/internal/llmproxy"
	"github.com/sofatutor/llm-proxy/internal/manage"
)

// operators authenticates by the management token in the operators secret, {"management_token": "..."}. It implements
// [manage.Authenticator].
type operators struct {
	secret.Value[manage.Authenticator]
}

func newOperators(secrets secret.Reader, id string) *operators {
	return &operators{secret.Value[manage.Authenticator]{Reader: secrets, ID: id, Make: func(text string) (manage.Authenticator, error) {
		var content struct {
			ManagementToken string `json:"management_token"`
		}
		if json.Unmarshal([]byte(text), &content) != nil || content.ManagementToken == "" { // its text is in no error
			return nil, errors.New(`it is not {"management_token": "..."}`)
		}
		return manage.NewBearer(llmproxy.NewSecret(content.ManagementToken))
	}}}
}

// Authenticate implements [manage.Authenticator]. Where the secret cannot be read, nobody can tell who asks.
func (o *operators) Authenticate(r *http.Request) (string, error) {
	if len(r.Header.Values("Authorization")) == 0 {
		return "", manage.ErrNoCredential
	}
	bearer, err := o.Current(r.Context())
	if err != nil {
		return "", err
	}
	return bearer.Authenticate(r)
}
