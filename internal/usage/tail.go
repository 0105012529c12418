package usage

import (
	"bytes"

	"github.com/tidwall/gjson"
)

// lastMembers reads usage, model, time and what prices depend on from the end of a JSON object whose beginning is missing. It reads backwards from the
// closing brace, so it knows at each byte how deep it is, and takes members of the object itself or, if holder is set, of its member
// holder; what stands in a string is none. The rule for strings: a quote begins or ends one unless an odd number of backslashes
// stands before it. Where the missing part reaches into a string or hides the holder's name, what was found until there counts.
func lastMembers(b []byte, holder string) found {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[len(b)-1] != '}' {
		return found{}
	}
	level := 1 // the depth of the members that count
	if holder != "" {
		level = 2
	}
	var f found
	depth, end := 0, 0 // end is where the value of the member at level ends
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case '}', ']':
			if depth++; depth == level {
				end = i
			}
		case ',':
			if depth == level {
				end = i
			}
		case '{', '[':
			if depth--; depth == 0 && holder != "" {
				return found{} // the object has no such member
			} else if depth == 0 {
				return f
			}
		case '"':
			if backslashes(b[:i])%2 == 1 {
				return found{} // b ends in a string
			}
			start := stringStart(b[:i])
			if start < 0 {
				return f
			}
			rest := bytes.TrimLeft(b[i+1:], " \t\r\n")
			if len(rest) > 0 && rest[0] == ':' {
				name := b[start+1 : i]
				switch {
				case depth == level:
					f.add(name, b[len(b)-len(rest)+1:end])
				case depth == 1 && string(name) == holder:
					return f
				case depth == 1:
					f = found{} // it was another member's
				}
			}
			i = start
		}
	}
	return f
}

// add takes the value of a member; the last of several with one name, which is met first, stands.
func (f *found) add(name, value []byte) {
	var to *gjson.Result
	switch string(name) {
	case "usage":
		to = &f.usage
	case "model":
		to = &f.model
	case "created", "created_at":
		to = &f.created
	case "service_tier":
		to = &f.tier
	case "tool_usage":
		to = &f.tools
	default:
		return
	}
	if !to.Exists() {
		*to = gjson.ParseBytes(value)
	}
}

// stringStart is the place of the quote that begins the string which ends behind b; -1 if that is before b, or may be.
func stringStart(b []byte) int {
	for {
		quote := bytes.LastIndexByte(b, '"')
		if quote < 0 {
			return -1
		}
		n := backslashes(b[:quote])
		if n > 0 && n == quote {
			return -1 // more of them may be missing
		}
		if n%2 == 0 {
			return quote
		}
		b = b[:quote-n]
	}
}

// backslashes counts those that b ends in.
func backslashes(b []byte) int {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n
}
