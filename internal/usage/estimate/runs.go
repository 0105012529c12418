package estimate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRun is the length in bytes of the longest run that is encoded in one piece: the time for a run grows with its square, so 100 kB
// of one letter take 0.1 s with 512, twice that with 1,024. It is a multiple of the longest units (128 spaces, 64 dashes, 8 equal
// letters), so that cutting there costs no unit in a run of one of them; in a run of other text it may cost one.
const maxRun = 512

// maxText bounds what is encoded at once, and with it memory; it is cut only where a line ends.
const maxText = 64 << 10

// window is half of maxRun: a run that is too long has a whole one in it, counted from where the text begins.
const window = maxRun / 2

// isOrdinary reports whether a text has no run that is too long: there is a space and a letter in each window, which no run has both.
// It may report false of such a text.
func isOrdinary(text string) bool {
	for ; len(text) >= window; text = text[window:] {
		if strings.IndexByte(text[:window], ' ') < 0 || !hasLetter(text[:window]) {
			return false
		}
	}
	return true
}

// hasLetter reports whether there is one of ASCII.
func hasLetter(text string) bool {
	for i := range len(text) {
		if c := classOf[text[i]]; c == lowerCase || c == upperCase {
			return true
		}
	}
	return false
}

// nextCut returns how much of the text is to be encoded at once: all of it, or up to the place where a run has become too long. A run
// is what the encodings' patterns keep together: letters and marks, spaces, or other characters with the line ends and slashes that
// follow them.
func nextCut(text string) int {
	if len(text) <= maxText && isOrdinary(text) {
		return len(text)
	}
	return cutOfRuns(text)
}

// cutOfRuns is nextCut for any text.
func cutOfRuns(text string) int {
	var letters, spaces, others int // lengths of the runs that reach to i
	inLineEnds := false             // others has come to the line ends that follow it
	for i, r := range text {
		size := utf8.RuneLen(r) // what is not UTF-8 is encoded as the three bytes of U+FFFD
		mark, letter, number, space := unicode.IsMark(r), unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsSpace(r)
		lineEnd := r == '\r' || r == '\n'
		if letters+size > maxRun && (letter || mark) || spaces+size > maxRun && space || others+size > maxRun && (lineEnd || !letter && !number && !space) {
			return i
		}
		if i >= maxText && !space && i > 0 && text[i-1] == '\n' {
			return i
		}
		switch {
		case letter || mark:
			letters += size
		default:
			letters = 0
		}
		switch {
		case space:
			spaces += size
		default:
			spaces = 0
		}
		switch {
		case lineEnd && others > 0, r == '/' && inLineEnds:
			others, inLineEnds = others+size, true
		case letter || number || space:
			others, inLineEnds = 0, false
		case inLineEnds:
			others, inLineEnds = size, false
		default:
			others += size
		}
	}
	return len(text)
}
