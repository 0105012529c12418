package demo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/tidwall/gjson"
)

// vocabulary is what the stand-in has to say.
var vocabulary = strings.Fields(`a the one every small large quiet bright river mountain window letter garden engine harbour lantern morning winter
paper copper silver answer question number pattern signal travels carries opens closes follows turns holds keeps brings finds slowly early
again often never beside under over between without and but while because so then here there now`)

// source is a generator that depends on nothing but the words given.
func source(seed ...string) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256([]byte(strings.Join(seed, "\x00"))))) //nolint:gosec // it has to be the same each time
}

// identifier is an id that depends on nothing but the words given.
func identifier(prefix string, seed ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(seed, "\x00")))
	return prefix + hex.EncodeToString(sum[:12])
}

// count is how many tokens a text has: one for each four bytes or part of them.
func count(text string) int { return (len(text) + 3) / 4 }

// pieceBytes is how long a piece of a text is whose size was asked for, if their number was not.
const pieceBytes = 1 << 10

// echo is how much of a question its answer repeats, in runes.
const echo = 80

// say returns the pieces of an answer: the text that belongs to the question, as long and in as many pieces as was asked for.
func (b *behaviour) say(question string, choice int) []string {
	r := source(question, fmt.Sprint(choice))
	if b.size > 0 {
		n := b.events
		if n == 0 {
			n = int(b.size+pieceBytes-1) / pieceBytes
		}
		return split(ramble(r, b.size), n)
	}
	if b.events > 0 {
		words := make([]string, b.events)
		for i := range words {
			words[i] = vocabulary[r.IntN(len(vocabulary))] + " "
		}
		return words
	}
	question = strings.Join(strings.Fields(question), " ")
	if runes := []rune(question); len(runes) > echo {
		question = string(runes[:echo]) + "…"
	}
	text := fmt.Sprintf("You said: “%s”. I am a stand-in, and my answer is always this:", question)
	for range 12 {
		text += " " + vocabulary[r.IntN(len(vocabulary))]
	}
	return strings.SplitAfter(text+".", " ")
}

// ramble is a text of exactly n bytes.
func ramble(r *rand.Rand, n int64) string {
	var page strings.Builder // said again and again: a generator that is asked for each word is slow
	for page.Len() < 16<<10 {
		page.WriteString(vocabulary[r.IntN(len(vocabulary))])
		page.WriteByte(' ')
	}
	return strings.Repeat(page.String(), int(n)/page.Len()+1)[:n]
}

// split cuts a text, which has to be ASCII, in n pieces of about the same length.
func split(text string, n int) []string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = text[len(text)*i/n : len(text)*(i+1)/n]
	}
	return parts
}

// clip leaves the pieces that fit into so many tokens, and says whether something is missing then. 0 is no limit.
func clip(parts []string, limit int64) ([]string, bool) {
	length := 0
	for i, part := range parts {
		if length += len(part); limit > 0 && int64((length+3)/4) > limit {
			return parts[:i], true
		}
	}
	return parts, false
}

// textOf is the text of a message's content, or of an input: a string, or a list of parts and messages.
func textOf(content gjson.Result) string {
	if content.Type == gjson.String {
		return content.Str
	}
	var b strings.Builder
	content.ForEach(func(_, item gjson.Result) bool {
		switch {
		case item.Type == gjson.String:
			b.WriteString(item.Str)
		case item.Get("text").Type == gjson.String:
			b.WriteString(item.Get("text").Str)
		case item.Get("content").Exists():
			b.WriteString(textOf(item.Get("content")))
		default:
			b.WriteString(item.Get("output").Str)
			b.WriteString(item.Get("arguments").Str)
		}
		return true
	})
	return b.String()
}

// lastText is the text of the last message that says something.
func lastText(messages gjson.Result) string {
	if messages.Type == gjson.String {
		return messages.Str
	}
	all := messages.Array()
	for i := len(all) - 1; i >= 0; i-- {
		if said := textOf(gjson.Parse("[" + all[i].Raw + "]")); said != "" {
			return said
		}
	}
	return ""
}

// arguments are what the stand-in calls a tool with: a value of the right type for each required property of its schema.
func arguments(schema gjson.Result, question string) string {
	values := map[string]any{}
	schema.Get("properties").ForEach(func(name, property gjson.Result) bool {
		switch {
		case property.Get("enum.0").Exists():
			values[name.Str] = property.Get("enum.0").Value()
		case property.Get("type").Str == "number" || property.Get("type").Str == "integer":
			values[name.Str] = len(question)
		case property.Get("type").Str == "boolean":
			values[name.Str] = true
		case property.Get("type").Str == "array":
			values[name.Str] = []string{}
		case property.Get("type").Str == "object":
			values[name.Str] = map[string]any{}
		default:
			values[name.Str] = strings.TrimSpace(question)
		}
		return true
	})
	return string(encode(values))
}

// floats are the numbers of an embedding: a direction that depends on the text, of length 1.
func floats(text string, n int) []float32 {
	r := source("embedding", text)
	v := make([]float32, n)
	var square float64
	for i := range v {
		v[i] = r.Float32()*2 - 1
		square += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(square))
	}
	return v
}

// littleEndian writes numbers as OpenAI does in base64.
func littleEndian(v []float32) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err) // of fixed size
	}
	return b
}
