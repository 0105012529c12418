package demo

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// question is the JSON of a request, or the answer that says what is wrong with it or which required member is missing.
func (c *call) question(required ...string) (gjson.Result, *answer) {
	if !gjson.ValidBytes(c.body) || !gjson.ParseBytes(c.body).IsObject() {
		bad := c.fail(http.StatusBadRequest, "invalid_request_error", "invalid_json", "We could not parse the JSON body of your request.")
		return gjson.Result{}, &bad
	}
	q := gjson.ParseBytes(c.body)
	for _, name := range required {
		if !q.Get(name).Exists() {
			bad := c.missing(name)
			return q, &bad
		}
	}
	return q, nil
}

func (c *call) missing(name string) answer {
	return c.fail(http.StatusBadRequest, "invalid_request_error", "missing_required_parameter", fmt.Sprintf("Missing required parameter: '%s'.", name))
}

func join(parts []string) *string {
	all := strings.Join(parts, "")
	return &all
}
