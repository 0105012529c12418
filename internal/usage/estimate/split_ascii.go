package estimate

import "unicode/utf8"

// class is what the patterns tell apart of a byte.
type class uint8

const (
	sign class = iota // ASCII that is none of the others
	lowerCase
	upperCase
	digit
	blank   // a space that ends no line
	lineEnd // \r or \n
	beyond  // not ASCII: what it is, its character tells
)

// classOf has the class of each byte.
var classOf = func() (of [256]class) {
	for b := range of {
		switch {
		case b >= utf8.RuneSelf:
			of[b] = beyond
		case 'a' <= b && b <= 'z':
			of[b] = lowerCase
		case 'A' <= b && b <= 'Z':
			of[b] = upperCase
		case '0' <= b && b <= '9':
			of[b] = digit
		case b == '\r' || b == '\n':
			of[b] = lineEnd
		case b == ' ' || b == '\t' || b == '\v' || b == '\f':
			of[b] = blank
		}
	}
	return of
}()

// nextASCII returns the length of the first piece if that is ASCII and so is the character behind it: then no table of Unicode has to
// be asked. It is what the functions of split.go say, 0 if it is theirs to say.
func (r *rules) nextASCII(text string) int {
	first, at := classOf[text[0]], 0
	switch first {
	case beyond:
		return 0
	case digit:
		return digitsASCII(text)
	case sign:
		if text[0] == '\'' && !r.cased {
			if n := contraction(text); n > 0 {
				return n
			}
		}
		at = 1
	case blank:
		at = 1
	}
	switch end, told := r.wordASCII(text, at); {
	case !told:
		return 0
	case end > at:
		return end // with the one sign or blank before it
	}
	switch {
	case first == sign:
		return r.signsASCII(text, 1)
	case text[0] == ' ' && len(text) > 1 && classOf[text[1]] == sign:
		return r.signsASCII(text, 2)
	}
	return spacesASCII(text)
}

// wordASCII is where the word ends that begins at a place, the place itself if none does; it reports false if ASCII does not tell.
func (r *rules) wordASCII(text string, at int) (end int, told bool) {
	end = at
	if r.cased {
		for end < len(text) && classOf[text[end]] == upperCase {
			end++
		}
		for end < len(text) && classOf[text[end]] == lowerCase {
			end++
		}
	} else {
		for end < len(text) && (classOf[text[end]] == lowerCase || classOf[text[end]] == upperCase) {
			end++
		}
	}
	if end < len(text) && classOf[text[end]] == beyond {
		return 0, false
	}
	if r.cased && end > at && end < len(text) && text[end] == '\'' {
		end += contraction(text[end:])
	}
	return end, true
}

func digitsASCII(text string) int {
	n := 1
	for n < 3 && n < len(text) && classOf[text[n]] == digit {
		n++
	}
	if n < 3 && n < len(text) && classOf[text[n]] == beyond {
		return 0
	}
	return n
}

// signsASCII is where the signs end of which some are known, with the line ends behind them.
func (r *rules) signsASCII(text string, known int) int {
	end := known
	for end < len(text) && classOf[text[end]] == sign {
		end++
	}
	if end < len(text) && classOf[text[end]] == beyond {
		return 0
	}
	for end < len(text) && (classOf[text[end]] == lineEnd || r.slashes && text[end] == '/') {
		end++
	}
	return end
}

// spacesASCII is as spaces.
func spacesASCII(text string) int {
	end, lines := 0, 0
	for end < len(text) && (classOf[text[end]] == blank || classOf[text[end]] == lineEnd) {
		if end++; classOf[text[end-1]] == lineEnd {
			lines = end
		}
	}
	switch {
	case end < len(text) && classOf[text[end]] == beyond:
		return 0
	case lines > 0:
		return lines
	case end < len(text) && end > 1:
		return end - 1
	}
	return end
}
