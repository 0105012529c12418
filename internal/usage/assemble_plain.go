package usage

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// addPlain takes a chunk that brings nothing but some more of one choice's content, as nearly all chunks of a stream do, without decoding it.
// It reports false if there may be more to the chunk: then nothing is done.
func (c *chunks) addPlain(data []byte) bool {
	if !c.chat || c.whole == nil || !utf8.Valid(data) || bytes.Contains(data, []byte(`\u`)) || !gjson.ValidBytes(data) {
		return false
	}
	plain, choices, seen := true, gjson.Result{}, 0
	gjson.ParseBytes(data).ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "choices":
			choices = value
			seen++
		case "obfuscation":
		case "usage":
			plain = value.Type == gjson.Null
		default:
			old := c.whole[key.Str] // the first value of a member is the one that stays
			plain = old != nil && old != ""
		}
		return plain
	})
	list := choices.Array()
	if !plain || seen != 1 || !choices.IsArray() || len(list) != 1 {
		return false
	}
	index, content, seen := -1, gjson.Result{}, 0
	list[0].ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "index":
			n, err := strconv.Atoi(value.Raw)
			if plain = err == nil && n >= 0 && n < len(c.choices) && index < 0 && c.choices[n]["index"] == json.Number(value.Raw); plain {
				index = n
			}
		case "delta":
			value.ForEach(func(key, value gjson.Result) bool {
				content = value
				seen++
				plain = key.Str == "content" && value.Type == gjson.String
				return plain
			})
			plain = plain && value.IsObject()
		case "logprobs", "finish_reason":
			plain = value.Type == gjson.Null
		default:
			plain = false
		}
		return plain
	})
	if !plain || index < 0 || seen != 1 {
		return false
	}
	choice := c.choices[index]
	for _, member := range []string{"logprobs", "finish_reason"} { // null is told where nothing else was
		if _, known := choice[member]; !known && list[0].Get(member).Exists() {
			return false
		}
	}
	message, ok := choice["message"].(object)
	if !ok {
		return false
	}
	grow(message, "content", content.Str)
	return true
}
