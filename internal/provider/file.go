package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// setFile is the YAML form of a [Set].
type setFile struct {
	Default   field[string] `yaml:"default"`
	Providers stanzas       `yaml:"providers"`
}

// stanza is the YAML form of a [Provider]. An absent field has no node.
type stanza struct {
	Preset         field[string]         `yaml:"preset"`
	BaseURL        field[string]         `yaml:"base_url"`
	PathPrefix     field[string]         `yaml:"path_prefix"`
	Private        field[bool]           `yaml:"private"`
	Auth           authFile              `yaml:"auth"`
	Errors         field[string]         `yaml:"errors"`
	Request        requestHeadersFile    `yaml:"request_headers"`
	Response       responseHeadersFile   `yaml:"response_headers"`
	Endpoints      []field[endpointFile] `yaml:"endpoints"`
	Timeouts       timeoutsFile          `yaml:"timeouts"`
	Limits         limitsFile            `yaml:"limits"`
	CORS           corsFile              `yaml:"cors"`
	Retry          retryFile             `yaml:"retry"`
	CircuitBreaker breakerFile           `yaml:"circuit_breaker"`
}

type (
	authFile struct {
		Header field[string] `yaml:"header"`
		Scheme field[string] `yaml:"scheme"`
	}
	requestHeadersFile struct {
		Drop field[[]string]          `yaml:"drop"`
		Set  field[map[string]string] `yaml:"set"`
	}
	responseHeadersFile struct {
		Drop field[[]string] `yaml:"drop"`
	}
	endpointFile struct {
		Path         string   `yaml:"path"`
		Methods      []string `yaml:"methods"`
		Usage        string   `yaml:"usage"`
		Group        string   `yaml:"group"`
		RequestBytes string   `yaml:"request_bytes"`
	}
	timeoutsFile struct {
		Connect        field[string] `yaml:"connect"`
		ResponseHeader field[string] `yaml:"response_header"`
		Idle           field[string] `yaml:"idle"`
	}
	limitsFile struct {
		RequestBytes       field[string] `yaml:"request_bytes"`
		ConnectionsPerHost field[int]    `yaml:"connections_per_host"`
	}
	corsFile struct {
		AllowedOrigins field[[]string] `yaml:"allowed_origins"`
	}
	retryFile struct {
		Attempts field[int] `yaml:"attempts"`
	}
	breakerFile struct {
		Failures field[int]    `yaml:"failures"`
		Window   field[string] `yaml:"window"`
		Cooldown field[string] `yaml:"cooldown"`
	}
)

// field is a value and where it stands in the file.
type field[T any] struct {
	value T
	node  ast.Node // nil if the file does not have it
}

// UnmarshalYAML decodes the node, refusing unknown keys.
func (f *field[T]) UnmarshalYAML(_ context.Context, node ast.Node) error {
	f.node = node
	return yaml.NodeToValue(node, &f.value, yaml.Strict())
}

// or returns the first of the fields that is there.
func (f field[T]) or(others ...field[T]) field[T] {
	for _, o := range append([]field[T]{f}, others...) {
		if o.node != nil {
			return o
		}
	}
	return f
}

// stanzas are the providers in the order of the file.
type stanzas []named

type named struct {
	name field[string]
	body stanza
}

// UnmarshalYAML keeps the order and the places of the names.
func (s *stanzas) UnmarshalYAML(_ context.Context, node ast.Node) error {
	m, ok := node.(*ast.MappingNode)
	if !ok {
		return errAt(node, "providers is a mapping of names to providers")
	}
	for _, v := range m.Values {
		n := named{name: field[string]{value: v.Key.String(), node: v.Key}}
		if v.Value.Type() != ast.MappingType {
			return errAt(v.Key, "provider %s is a mapping", v.Key)
		}
		if err := yaml.NodeToValue(v.Value, &n.body, yaml.Strict()); err != nil {
			return err
		}
		*s = append(*s, n)
	}
	return nil
}

// placedError is a mistake and the token it stands at.
type placedError struct {
	token *token.Token
	cause string
}

func (e *placedError) Error() string { return e.cause }

func errAt(node ast.Node, format string, args ...any) error {
	e := &placedError{cause: fmt.Sprintf(format, args...)}
	if node != nil {
		e.token = node.GetToken()
	}
	return e
}

// oneLine is the error as file:line:col: cause.
func oneLine(name string, err error) error {
	line, column, cause := 1, 1, err.Error()
	var t *token.Token
	var placed *placedError
	var decode yaml.Error
	switch {
	case errors.As(err, &placed):
		t, cause = placed.token, placed.cause
	case errors.As(err, &decode):
		t, cause = decode.GetToken(), decode.GetMessage()
	}
	if t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	return fmt.Errorf("%s:%d:%d: %s", name, line, column, strings.Join(strings.Fields(cause), " "))
}
