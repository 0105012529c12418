package usage

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// plainChunk is a chunk that brings nothing but content.
type plainChunk struct {
	before  []byte // what stands before the content, its quotation mark included
	between []byte // from there to what hides the content's length; to the chunk's end if nothing does
	padded  bool
	behind  []byte // from there to the chunk's end
	message object // that the content belongs to
}

var (
	contentMember = []byte(`"content":`)
	paddingMember = []byte(`"obfuscation":"`) // OpenAI's, of another length in each chunk
)

// remember keeps what the next chunk may be like.
func (c *chunks) remember(data []byte, content string, message object) {
	at := bytes.Index(data, contentMember)
	if at < 0 || bytes.Contains(data[at+1:], contentMember[:len(contentMember)-1]) {
		return // it cannot be told where the content stands
	}
	at += len(contentMember)
	if !bytes.HasPrefix(data[at:], []byte(content)) {
		return
	}
	last := &plainChunk{before: data[:at+1], between: data[at+len(content)-1:], message: message}
	if at := bytes.LastIndex(last.between, paddingMember); at >= 0 {
		at += len(paddingMember)
		if _, behind, ok := plainText(last.between[at:]); ok {
			last.between, last.padded, last.behind = last.between[:at], true, behind
		}
	}
	c.last = last
}

// plainText cuts b at the quotation mark that ends a JSON string. It reports false if the string is none that means its own bytes.
func plainText(b []byte) (text, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil, nil, false
	}
	text = b[:end]
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return nil, nil, false
		}
	}
	return text, b[end:], utf8.Valid(text)
}

// addLike takes a chunk that is the last one, byte for byte, but for its content and what hides its length. It reports false if it is not.
func (c *chunks) addLike(data []byte) bool {
	if c.last == nil {
		return false
	}
	rest, ok := bytes.CutPrefix(data, c.last.before)
	if !ok {
		return false
	}
	content, rest, ok := plainText(rest)
	if !ok {
		return false
	}
	if rest, ok = bytes.CutPrefix(rest, c.last.between); !ok {
		return false
	}
	if c.last.padded {
		if _, rest, ok = plainText(rest); !ok {
			return false
		}
	}
	if !bytes.Equal(rest, c.last.behind) {
		return false
	}
	grow(c.last.message, "content", string(content))
	return true
}

// addPlain takes a chunk that brings nothing but some more of one choice's content, as nearly all chunks of a stream do, without decoding it.
// It reports false if there may be more to the chunk: then nothing is done.
func (c *chunks) addPlain(data []byte) bool {
	if c.addLike(data) {
		return true
	}
	c.last = nil
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
	c.remember(data, content.Raw, message)
	return true
}
