package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"strings"

	"modernc.org/sqlite"
)

// SQLite's LIKE knows upper and lower case of ASCII alone, and would look into JSON as it is written: "R&D" stands there as "R\u0026D".
// These functions look for a part in any case, as every store does; the part comes in lower case.
func init() {
	sqlite.MustRegisterDeterministicScalarFunction("holds", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		return holds(textOf(args[0]), textOf(args[1])), nil
	})
	sqlite.MustRegisterDeterministicScalarFunction("holds_value", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		text, part := textOf(args[0]), textOf(args[1])
		if !strings.Contains(text, `\`) && !holds(text, part) { // nothing in it is written otherwise than it is
			return false, nil
		}
		for _, value := range mapOf(text) {
			if holds(value, part) {
				return true, nil
			}
		}
		return false, nil
	})
}

func holds(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }

// textOf is an argument that is a text; the columns that are searched cannot be null.
func textOf(v driver.Value) string {
	text, _ := v.(string)
	return text
}

// likeOf are patterns by which LIKE finds a part wherever holds does, in a text and in JSON as this package writes it; false where there
// are none. LIKE is much faster, and leaves few rows to look into. (Of letters beyond ASCII two become one of these in lower case: the
// signs of kelvin and of dotted I, which a search in plain letters passes over.)
func likeOf(part string) (plain, written string, ok bool) {
	for i := range len(part) {
		if c := part[i]; c < ' ' || c > '~' {
			return "", "", false
		}
	}
	text, err := json.Marshal(part)
	if err != nil {
		return "", "", false
	}
	escape := strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")
	return "%" + escape.Replace(part) + "%", "%" + escape.Replace(string(text[1:len(text)-1])) + "%", true
}
