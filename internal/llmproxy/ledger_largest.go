package llmproxy

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Size is what groups of usage are compared by.
type Size string

// Sizes.
const (
	SizeRequests Size = "requests"
	SizeErrors   Size = "errors"
	SizeInput    Size = "input"
	SizeOutput   Size = "output"
	SizeTotal    Size = "total"
	SizeCost     Size = "cost_usd"
)

// Amount is how much there is of a size: a number, or of cost millionths of a dollar, and millionths of those.
type Amount [2]int64

// Amount is how much a tally has of it.
func (s Size) Amount(t *Tally) Amount {
	switch s {
	case SizeErrors:
		return Amount{t.Errors}
	case SizeInput:
		return Amount{t.Input.Sum}
	case SizeOutput:
		return Amount{t.Output.Sum}
	case SizeTotal:
		return Amount{t.Total.Sum}
	case SizeCost:
		return Amount{t.Cost.Micro, t.Cost.Pico}
	default:
		return Amount{t.Requests}
	}
}

// Add adds another amount of the same size.
func (a *Amount) Add(o Amount) { a[0], a[1] = a[0]+o[0], a[1]+o[1] }

// Compare is negative where there is less than of another, 0 where it is the same, else positive.
func (a Amount) Compare(o Amount) int { return Cost{a[0], a[1]}.Compare(Cost{o[0], o[1]}) }

// Compare orders groups by project, token and model.
func (g *UsageGroup) Compare(o *UsageGroup) int {
	return cmp.Or(bytes.Compare(g.ProjectID.UUID[:], o.ProjectID.UUID[:]), bytes.Compare(g.TokenID.UUID[:], o.TokenID.UUID[:]), strings.Compare(g.Model, o.Model))
}

// Largest keeps the largest groups of those that it is shown, from the largest on. Of those with as much the first ones in order are larger.
type Largest struct {
	most   int
	groups []sizedGroup
}

type sizedGroup struct {
	of     UsageGroup
	amount Amount
}

// NewLargest keeps at most so many.
func NewLargest(most int) *Largest { return &Largest{most: most} }

// Show shows a group with all that it has, once.
func (l *Largest) Show(of UsageGroup, amount Amount) {
	one := sizedGroup{of, amount}
	if len(l.groups) == l.most && (l.most == 0 || one.compare(&l.groups[l.most-1]) > 0) {
		return
	}
	at, _ := slices.BinarySearchFunc(l.groups, &one, func(a sizedGroup, b *sizedGroup) int { return a.compare(b) })
	l.groups = slices.Insert(l.groups, at, one)
	l.groups = l.groups[:min(len(l.groups), l.most)]
}

// compare is negative where a group comes before another.
func (g *sizedGroup) compare(o *sizedGroup) int {
	return cmp.Or(o.amount.Compare(g.amount), g.of.Compare(&o.of))
}

// Groups are the largest, the largest first.
func (l *Largest) Groups() []UsageGroup {
	groups := make([]UsageGroup, len(l.groups))
	for i := range groups {
		groups[i] = l.groups[i].of
	}
	return groups
}

// LargestOf are the largest groups of rows, of which each group has one.
func LargestOf(rows []UsageRow, by Size, most int) []UsageGroup {
	l := NewLargest(most)
	for i := range rows {
		l.Show(rows[i].UsageGroup, by.Amount(&rows[i].Tally))
	}
	return l.Groups()
}
