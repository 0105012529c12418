package estimate

import (
	"strings"

	"github.com/tidwall/gjson"
)

// What a prompt has beside its texts, as OpenAI publishes it for chat completions.
const (
	eachMessage  = 3
	eachName     = 1
	eachReply    = 3 // the reply is begun for the model
	eachProperty = 3
	eachEnum     = -3
	eachItem     = 3
	allTools     = 12
	eachCall     = 3 // ours: of a tool call in the history
)

// eachFunction is what a tool takes beside its texts.
func eachFunction(model string) int {
	if EncodingOf(model) == Cl100k {
		return 10
	}
	return 7
}

// eachImage is what a picture of unknown size takes at least.
func eachImage(model string) int {
	for _, m := range []struct {
		prefix string
		units  int
	}{
		{"gpt-4o-mini", 2833}, {"gpt-4o", 85}, {"chatgpt-4o", 85}, {"gpt-4.1", 85}, {"gpt-4.5", 85}, {"o1", 75}, {"o3", 75}, {"gpt-5", 70},
	} {
		if strings.HasPrefix(strings.TrimPrefix(model, "ft:"), m.prefix) {
			return m.units
		}
	}
	return 85
}

// tally counts for one model.
type tally struct {
	Counter
	model string
	image int // units of a picture
}

// Prompt returns how many units the texts of a request are, with what stands around them: request is its JSON, kind a name of package
// usage. It reports false if requests of the kind have no prompt that can be counted, or this one has none.
func Prompt(kind, model string, request []byte) (int, bool) {
	return tally{CounterFor(model), model, 0}.prompt(kind, request)
}

// promptWithImages adds for each picture what it takes at least.
func promptWithImages(kind, model string, request []byte) (int, bool) {
	return tally{CounterFor(model), model, eachImage(model)}.prompt(kind, request)
}

func (t tally) prompt(kind string, request []byte) (int, bool) {
	r := gjson.ParseBytes(request)
	switch kind {
	case "openai-chat":
		messages := r.Get("messages")
		return t.messages(messages) + t.tools(r.Get("tools"), r.Get("functions")), messages.IsArray()
	case "openai-completions":
		prompt := r.Get("prompt")
		return t.input(prompt), prompt.Exists()
	case "openai-embeddings":
		input := r.Get("input")
		return t.input(input), input.Exists()
	case "openai-responses":
		return t.responsesPrompt(r), r.Get("input").Exists()
	case "anthropic-messages":
		n := t.messages(r.Get("messages")) + t.tools(r.Get("tools"), gjson.Result{})
		if system := r.Get("system"); system.Exists() {
			n += eachMessage + t.Count("system") + t.content(system)
		}
		return n, r.Get("messages").IsArray()
	}
	return 0, false
}

// messages counts a conversation.
func (t tally) messages(list gjson.Result) int {
	n := eachReply
	list.ForEach(func(_, m gjson.Result) bool {
		n += t.message(m)
		return true
	})
	return n
}

func (t tally) message(m gjson.Result) int {
	n := eachMessage + t.Count(m.Get("role").Str) + t.content(m.Get("content"))
	if name := m.Get("name"); name.Type == gjson.String {
		n += t.Count(name.Str) + eachName
	}
	m.Get("tool_calls").ForEach(func(_, call gjson.Result) bool {
		n += t.call(call.Get("function")) + eachCall
		return true
	})
	if call := m.Get("function_call"); call.IsObject() {
		n += t.call(call) + eachCall
	}
	return n
}

// call counts the name and the arguments of a call.
func (t tally) call(function gjson.Result) int {
	return t.Count(function.Get("name").Str) + t.Count(function.Get("arguments").String())
}

// content counts a message's content: a string, or parts of which texts and pictures count.
func (t tally) content(c gjson.Result) int {
	if c.Type == gjson.String {
		return t.Count(c.Str)
	}
	n := 0
	c.ForEach(func(_, part gjson.Result) bool {
		switch part.Get("type").Str {
		case "text", "input_text", "output_text":
			n += t.Count(part.Get("text").Str)
		case "image_url", "input_image", "image":
			n += t.image
		case "tool_use":
			n += t.Count(part.Get("name").Str) + t.Count(part.Get("input").Raw) + eachCall
		case "tool_result":
			n += t.content(part.Get("content"))
		}
		return true
	})
	return n
}

// tools counts the functions that the model may call; of their schemas the outer level.
func (t tally) tools(tools, functions gjson.Result) int {
	n, found := 0, false
	add := func(f gjson.Result) {
		found = true
		n += t.function(f)
	}
	tools.ForEach(func(_, tool gjson.Result) bool {
		switch {
		case tool.Get("function").IsObject():
			add(tool.Get("function"))
		case tool.Get("name").Exists():
			add(tool)
		}
		return true
	})
	functions.ForEach(func(_, f gjson.Result) bool {
		add(f)
		return true
	})
	if found {
		n += allTools
	}
	return n
}

func (t tally) function(f gjson.Result) int {
	n := eachFunction(t.model) + t.Count(f.Get("name").Str+":"+description(f))
	schema := f.Get("parameters")
	if !schema.Exists() {
		schema = f.Get("input_schema")
	}
	first := true
	schema.Get("properties").ForEach(func(key, property gjson.Result) bool {
		if first {
			n, first = n+eachProperty, false
		}
		n += eachProperty + t.Count(key.Str+":"+property.Get("type").String()+":"+description(property))
		if enum := property.Get("enum"); enum.IsArray() {
			n += eachEnum
			enum.ForEach(func(_, item gjson.Result) bool {
				n += eachItem + t.Count(item.String())
				return true
			})
		}
		return true
	})
	return n
}

// description is that of a function or a property, without the point at its end.
func description(of gjson.Result) string {
	return strings.TrimSuffix(of.Get("description").String(), ".")
}

// input counts what is embedded or completed: a text, units by their numbers, or a list of either.
func (t tally) input(in gjson.Result) int {
	switch {
	case in.Type == gjson.String:
		return t.Count(in.Str)
	case in.Type == gjson.Number:
		return 1
	}
	n := 0
	in.ForEach(func(_, one gjson.Result) bool {
		n += t.input(one)
		return true
	})
	return n
}

// responsesPrompt counts a request of the responses API as a conversation.
func (t tally) responsesPrompt(r gjson.Result) int {
	n := eachReply + t.tools(r.Get("tools"), gjson.Result{})
	if instructions := r.Get("instructions"); instructions.Type == gjson.String {
		n += eachMessage + t.Count("system") + t.Count(instructions.Str)
	}
	input := r.Get("input")
	if input.Type == gjson.String {
		return n + eachMessage + t.Count("user") + t.Count(input.Str)
	}
	input.ForEach(func(_, item gjson.Result) bool {
		switch item.Get("type").Str {
		case "function_call":
			n += t.call(item) + eachCall
		case "function_call_output":
			n += eachMessage + t.content(item.Get("output"))
		case "", "message":
			n += t.message(item)
		}
		return true
	})
	return n
}

// Completion returns how many units an answer is: what the model wrote, its tool calls and all of its choices included. Answer is its
// JSON, as [usage.Assemble] gives it. It reports false if answers of the kind cannot be counted, or this one has nothing to count.
func Completion(kind, model string, answer []byte) (int, bool) {
	t, a := tally{Counter: CounterFor(model), model: model}, gjson.ParseBytes(answer)
	n := 0
	switch kind {
	case "openai-chat":
		choices := a.Get("choices")
		choices.ForEach(func(_, choice gjson.Result) bool {
			n += t.reply(choice.Get("message"))
			return true
		})
		return n, choices.IsArray()
	case "openai-completions":
		choices := a.Get("choices")
		choices.ForEach(func(_, choice gjson.Result) bool {
			n += t.Count(choice.Get("text").Str)
			return true
		})
		return n, choices.IsArray()
	case "openai-responses":
		output := a.Get("output")
		output.ForEach(func(_, item gjson.Result) bool {
			switch item.Get("type").Str {
			case "function_call":
				n += t.call(item)
			case "message":
				item.Get("content").ForEach(func(_, part gjson.Result) bool {
					n += t.Count(part.Get("text").Str) + t.Count(part.Get("refusal").Str)
					return true
				})
			}
			return true
		})
		return n, output.IsArray()
	case "anthropic-messages":
		content := a.Get("content")
		content.ForEach(func(_, block gjson.Result) bool {
			n += t.Count(block.Get("text").Str) + t.Count(block.Get("thinking").Str)
			if block.Get("type").Str == "tool_use" {
				input := block.Get("input")
				written := input.Raw
				if input.Type == gjson.String {
					written = input.Str
				}
				n += t.Count(block.Get("name").Str) + t.Count(written)
			}
			return true
		})
		return n, content.IsArray()
	}
	return 0, false
}

// reply counts one choice's message.
func (t tally) reply(m gjson.Result) int {
	n := t.Count(m.Get("content").String()) + t.Count(m.Get("refusal").Str)
	m.Get("tool_calls").ForEach(func(_, call gjson.Result) bool {
		n += t.call(call.Get("function"))
		return true
	})
	if call := m.Get("function_call"); call.IsObject() {
		n += t.call(call)
	}
	return n
}
