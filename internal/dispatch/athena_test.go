package dispatch

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// TestTheAthenaTableHasAColumnForAllOfARecord compares the documented table with the documented record. Bodies are left out on purpose.
func TestTheAthenaTableHasAColumnForAllOfARecord(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	schema, err := os.ReadFile("../../docs/event.schema.json")
	require.NoError(t, err)
	table := regexp.MustCompile(`(?s)CREATE EXTERNAL TABLE.*?PARTITIONED`).FindString(string(doc))
	require.NotEmpty(t, table)
	kinds := map[string]string{"string": "(string)", "integer": "(int|bigint)", "number": "(double)", "boolean": "(boolean)", "object": "(struct<|map<)"}
	var check func(path string, properties gjson.Result, between string)
	check = func(path string, properties gjson.Result, between string) {
		properties.ForEach(func(name, p gjson.Result) bool {
			if name.Str == "body" {
				return true
			}
			require.Regexp(t, "[(,<\\s`]"+name.Str+"`?"+between+kinds[p.Get("type").Str], table, "%s%s", path, name.Str)
			check(path+name.Str+".", p.Get("properties"), ":")
			return true
		})
	}
	check("", gjson.GetBytes(schema, "properties"), " ")
}
