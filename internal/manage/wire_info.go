package manage

import (
	"maps"
	"slices"

	"github.com/sofatutor/llm-proxy/internal/provider"
)

// wireInfo tells what the installation is.
type wireInfo struct {
	Version         string         `json:"version"`
	Store           string         `json:"store" doc:"sqlite or dynamodb"`
	Bus             string         `json:"bus" doc:"spool or eventbridge"`
	DefaultProvider string         `json:"default_provider"`
	Providers       []wireProvider `json:"providers" nullable:"false"`
}

// wireProvider is an upstream that projects may be for.
type wireProvider struct {
	Name      string         `json:"name"`
	BaseURL   string         `json:"base_url"`
	Endpoints []wireEndpoint `json:"endpoints" nullable:"false"`
}

// wireEndpoint is one path that tokens may call.
type wireEndpoint struct {
	Path    string   `json:"path" doc:"{x} stands for one segment"`
	Methods []string `json:"methods" nullable:"false"`
	Group   string   `json:"group" doc:"The project has to have it among its endpoints"`
}

func providersOut(set *provider.Set) []wireProvider {
	out := []wireProvider{}
	for _, name := range slices.Sorted(maps.Keys(set.Providers)) {
		p := set.Providers[name]
		one := wireProvider{Name: name, BaseURL: p.BaseURL.String(), Endpoints: []wireEndpoint{}}
		for _, e := range p.Endpoints {
			one.Endpoints = append(one.Endpoints, wireEndpoint{Path: e.Path, Methods: e.Methods, Group: string(e.Group)})
		}
		out = append(out, one)
	}
	return out
}
