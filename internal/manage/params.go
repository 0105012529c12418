package manage

import (
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// optionalBool is a parameter that may be absent.
type optionalBool struct {
	Value bool
	set   bool
}

// Schema implements [huma.SchemaProvider].
func (optionalBool) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeBoolean} }

// Receiver implements huma.ParamWrapper.
func (o *optionalBool) Receiver() reflect.Value { return reflect.ValueOf(o).Elem().Field(0) }

// OnParamSet implements huma.ParamReactor.
func (o *optionalBool) OnParamSet(isSet bool, _ any) { o.set = isSet }

func (o *optionalBool) pointer() *bool {
	if !o.set {
		return nil
	}
	return &o.Value
}

// span reads a number of minutes, hours or days: 30m, 24h, 7d. Empty is none.
func span(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	unit, ok := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 24)
	return time.Duration(n) * unit, ok && err == nil && n > 0
}

// projectParam reads an optional parameter that names a project.
func projectParam(text string) (llmproxy.ProjectID, error) {
	if text == "" {
		return llmproxy.ProjectID{}, nil
	}
	id, err := llmproxy.ParseProjectID(text)
	if err != nil {
		return id, FieldErrors{{"project_id", "is not the id of a project"}}
	}
	return id, nil
}

// id reads an optional parameter that names a thing.
func (e *FieldErrors) id(field, text string) llmproxy.UUID {
	if text == "" {
		return llmproxy.UUID{}
	}
	id, err := llmproxy.ParseUUID(text)
	if err != nil {
		e.add(field, "is no id")
	}
	return id
}

func isNotFound(err error) bool { return errors.Is(err, llmproxy.ErrNotFound) }
