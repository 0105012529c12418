package llmproxy

import (
	"cmp"
	"strconv"
	"strings"
)

// TokenOrder is what a listing of tokens is ordered by; a minus before it begins with the largest. Tokens with as much are in the order
// of their ids. Empty is the newest first.
type TokenOrder string

// Orders, each from the smallest on.
const (
	OrderName     TokenOrder = "name" // without regard to the case of A to Z
	OrderExpiry   TokenOrder = "expires_at"
	OrderRequests TokenOrder = "request_count"
	OrderLastUsed TokenOrder = "last_used_at" // what was never used comes first
)

// Key is what it orders by, and whether the largest come first.
func (o TokenOrder) Key() (key TokenOrder, descending bool) {
	name, descending := strings.CutPrefix(string(o), "-")
	return TokenOrder(name), descending
}

// KeyOf is what a token is ordered by, as a text.
func (o TokenOrder) KeyOf(t *Token) string {
	switch key, _ := o.Key(); key {
	case OrderName:
		return strings.Map(lowerASCII, t.Name)
	case OrderExpiry:
		return strconv.FormatInt(t.ExpiresAt.UnixMilli(), 10)
	case OrderRequests:
		return strconv.FormatInt(t.RequestCount, 10)
	case OrderLastUsed:
		if !t.LastUsedAt.IsZero() {
			return strconv.FormatInt(t.LastUsedAt.UnixMilli(), 10)
		}
		return "0"
	default:
		return ""
	}
}

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// Compare is negative where a key with its id comes before another.
func (o TokenOrder) Compare(key string, id TokenID, otherKey string, otherID TokenID) int {
	by, descending := o.Key()
	order := 0
	if by == OrderName {
		order = strings.Compare(key, otherKey)
	} else {
		order = cmp.Compare(NumberOf(key), NumberOf(otherKey))
	}
	order = cmp.Or(order, strings.Compare(id.String(), otherID.String()))
	if descending {
		return -order
	}
	return order
}

// NumberOf is the number that a key is, 0 where it is none.
func NumberOf(key string) int64 {
	n, _ := strconv.ParseInt(key, 10, 64)
	return n
}
