package estimate

import "github.com/sofatutor/llm-proxy/internal/usage/estimate/ranks"

// unitsOf is how many units a piece is: one if it is a unit, else what merging its bytes leaves. Of two neighbours in a piece, those merge
// first that make the unit of least rank.
func unitsOf(t *ranks.Table, piece string) int {
	if len(piece) == 1 || t.Rank(piece) != ranks.None {
		return 1
	}
	return merge(t, piece)
}

// part is where a part of a piece begins, and the rank of what it would be together with the next part.
type part struct{ begin, rank uint32 }

// usualPiece is the length of pieces that are merged without allocating.
const usualPiece = 64

// merge counts what a piece of several units comes to. The work grows with the square of the piece's length: who calls it bounds that.
func merge(t *ranks.Table, piece string) int {
	var partsOf [usualPiece + 1]part
	parts := partsOf[:0]
	for i := range len(piece) + 1 {
		parts = append(parts, part{uint32(i), ranks.None})
	}
	merged := func(i int) uint32 { // the rank of parts i and i+1 together
		if i+2 >= len(parts) {
			return ranks.None
		}
		return t.Rank(piece[parts[i].begin:parts[i+2].begin])
	}
	for i := range len(parts) - 2 {
		parts[i].rank = merged(i)
	}
	for {
		least := 0
		for i := range parts {
			if parts[i].rank < parts[least].rank {
				least = i
			}
		}
		if parts[least].rank == ranks.None {
			return len(parts) - 1 // the last is the end
		}
		parts = append(parts[:least+1], parts[least+2:]...)
		parts[least].rank = merged(least)
		if least > 0 {
			parts[least-1].rank = merged(least - 1)
		}
	}
}
