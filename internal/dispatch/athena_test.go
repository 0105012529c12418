package dispatch

import (
	"os"
	"regexp"
	"strings"
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

// TestTheQueriesAskForFieldsOfARecord: what the documented queries of Logs Insights name is in the record, or was named by the query itself.
func TestTheQueriesAskForFieldsOfARecord(t *testing.T) {
	doc, err := os.ReadFile("../../docs/events.md")
	require.NoError(t, err)
	schema, err := os.ReadFile("../../docs/event.schema.json")
	require.NoError(t, err)
	block := regexp.MustCompile(`(?s)Logs Insights.*?\n` + "```" + `\n(.*?)` + "```").FindSubmatch(doc)
	require.NotNil(t, block)
	queries := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	require.GreaterOrEqual(t, len(queries), 4)
	words := map[string]bool{}
	for _, word := range strings.Fields("stats filter sort dedup limit by as or and desc asc latest sum count pct avg max min like in not") {
		words[word] = true
	}
	for _, query := range queries {
		own := map[string]bool{}
		for _, as := range regexp.MustCompile(` as ([a-z_]+)`).FindAllStringSubmatch(query, -1) {
			own[as[1]] = true
		}
		asked := 0
		for _, name := range regexp.MustCompile(`[a-z_]+(\.[a-z_]+)*`).FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(query, ""), -1) {
			if words[name] || own[name] {
				continue
			}
			asked++
			require.True(t, gjson.GetBytes(schema, "properties."+strings.ReplaceAll(name, ".", ".properties.")).Exists(), "%s: a record has no %s", query, name)
		}
		require.Positive(t, asked, query)
		require.Regexp(t, `\b(by|dedup) id\b`, query, "each event counts once")
	}
}
