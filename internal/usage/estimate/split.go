package estimate

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// How texts are cut into pieces before these are cut into units. It is what OpenAI publishes as regular expressions, of which one
// package for Go has what they need, at fifty times the cost:
//
//	cl100k_base  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//	o200k_base   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	             |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//	             |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// Each of the functions below is one of their alternatives: it returns the length of what the text begins with, 0 if that is not it.

// rules are how an encoding cuts.
type rules struct {
	any     func(text string) (length int) // of the first piece of any text
	cased   bool                           // a word ends where an upper letter follows a lower one, and has its contraction with it
	slashes bool                           // belong to the line ends behind signs
}

var (
	cl100k = &rules{any: nextCl100k}
	o200k  = &rules{any: nextO200k, cased: true, slashes: true}
)

// next returns the length of the first piece of a text that is not empty.
func (r *rules) next(text string) int {
	if n := r.nextASCII(text); n > 0 {
		return n
	}
	return r.any(text)
}

// nextCl100k returns the length of the first piece.
func nextCl100k(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	if n := afterOther(text, letters); n > 0 {
		return n
	}
	return numbersSignsOrSpaces(text, "\r\n")
}

// nextO200k returns the length of the first piece.
func nextO200k(text string) int {
	if n := afterOther(text, lowerWord); n > 0 {
		return n + contraction(text[n:])
	}
	if n := afterOther(text, upperWord); n > 0 {
		return n + contraction(text[n:])
	}
	return numbersSignsOrSpaces(text, "\r\n/")
}

// afterOther is a word, with one character before it that is no letter, number or line end if there is such a one.
func afterOther(text string, word func(string) int) int {
	if r, size := utf8.DecodeRuneInString(text); r != '\r' && r != '\n' && !unicode.IsLetter(r) && !unicode.IsNumber(r) {
		if n := word(text[size:]); n > 0 {
			return size + n
		}
	}
	return word(text)
}

// letters is a word of cl100k_base.
func letters(text string) int { return while(text, unicode.IsLetter) }

// upper are the letters that a word of o200k_base may begin with, lower those that it may go on with. What has no case is both.
func upper(r rune) bool {
	return unicode.IsLetter(r) && !unicode.Is(unicode.Ll, r) || unicode.IsMark(r)
}

func lower(r rune) bool {
	return unicode.IsLetter(r) && !unicode.In(r, unicode.Lu, unicode.Lt) || unicode.IsMark(r)
}

// lowerWord is one of upper letters, which may be missing, and lower ones. Of a word that has no more lower letters behind the upper
// ones, those without case serve as such, and what follows the last of them is left.
func lowerWord(text string) int {
	n := while(text, upper)
	if more := while(text[n:], lower); more > 0 {
		return n + more
	}
	for n > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:n])
		if lower(r) {
			return n
		}
		n -= size
	}
	return 0
}

// upperWord is one of upper letters and lower ones, which may be missing.
func upperWord(text string) int {
	n := while(text, upper)
	if n == 0 {
		return 0
	}
	return n + while(text[n:], lower)
}

// contraction is what English contracts to: 's and the like, of either case.
func contraction(text string) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	switch text[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	}
	if strings.HasPrefix(text[1:], "ſ") { // the long s is an s of either case
		return 1 + len("ſ")
	}
	if len(text) > 2 {
		switch string([]byte{text[1] | 0x20, text[2] | 0x20}) {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

// numbersSignsOrSpaces is what a piece is that is no word: up to three numbers; signs, with a space before them and the given
// characters behind; or spaces.
func numbersSignsOrSpaces(text, behind string) int {
	if n := digits(text); n > 0 {
		return n
	}
	if n := signs(text); n > 0 {
		return n + while(text[n:], func(r rune) bool { return strings.ContainsRune(behind, r) })
	}
	return spaces(text)
}

func digits(text string) (n int) {
	for range 3 {
		r, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || !unicode.IsNumber(r) {
			break
		}
		n += size
	}
	return n
}

func signs(text string) int {
	space := len(text) - len(strings.TrimPrefix(text, " "))
	if n := while(text[space:], isSign); n > 0 {
		return space + n
	}
	return 0
}

func isSign(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) }

// spaces is a run of them up to its last line end; without one all of them, but for the last if something follows, which may belong to
// that.
func spaces(text string) int {
	n := while(text, unicode.IsSpace)
	if end := strings.LastIndexAny(text[:n], "\r\n"); end >= 0 {
		return end + 1
	}
	if _, size := utf8.DecodeLastRuneInString(text[:n]); n < len(text) && n > size {
		return n - size
	}
	return n
}

// while is the length of what the text begins with that is made of such characters.
func while(text string, is func(rune) bool) int {
	for i, r := range text {
		if !is(r) {
			return i
		}
	}
	return len(text)
}
