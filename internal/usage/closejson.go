package usage

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// closeJSON ends what is open in the beginning of a JSON text. A value or name that was cut in a way that hides what it is, is left
// out; a string keeps what there is of it.
func closeJSON(b []byte) []byte {
	var (
		open     []byte // the brackets that close what is open
		isName   bool   // the string at hand, or the last one, is the name of a member
		good     int    // up to here the text is right, if what is open is closed
		inString bool
		start    int
	)
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case inString && c == '"':
			inString = false
			if !isName {
				good = i + 1
			}
		case inString:
		case c == '"':
			inString, start = true, i
			isName = len(open) > 0 && open[len(open)-1] == '}' && lastOfSpace(b[:i]) != ':'
		case c == '{':
			open, good = append(open, '}'), i+1
		case c == '[':
			open, good = append(open, ']'), i+1
		case c == '}' || c == ']':
			if len(open) == 0 || open[len(open)-1] != c {
				return nil
			}
			open, good = open[:len(open)-1], i+1
		case c == ',' && good < i:
			if last := lastOfSpace(b[:i]); last != ':' && last != ',' {
				good = i // a number or a word ended before it
			}
		}
	}
	closed := slices.Clone(b[:good])
	if inString && !isName {
		closed = append(slices.Clone(b[:start]), closeString(b[start:])...)
	}
	slices.Reverse(open)
	return append(closed, open...)
}

// lastOfSpace is the last character of b that is no space; 0 if there is none.
func lastOfSpace(b []byte) byte {
	b = bytes.TrimRight(b, " \t\r\n")
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1]
}

// closeString ends the string that b begins, leaving out an escape or a character that was cut.
func closeString(b []byte) []byte {
	if i := bytes.LastIndexByte(b[max(0, len(b)-6):], '\\'); i >= 0 {
		i += max(0, len(b)-6)
		escape := b[i:]
		if backslashes(b[:i])%2 == 0 && (len(escape) == 1 || escape[1] == 'u' && len(escape) < 6) {
			b = b[:i]
		}
	}
	return append(trimTorn(slices.Clone(b)), '"')
}

// trimTorn drops a character that the end of b cuts through.
func trimTorn(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
