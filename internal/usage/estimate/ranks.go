package estimate

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"strconv"
)

//go:embed ranks/*.tiktoken.gz
var tables embed.FS

// ranks are the units of an encoding, each with its rank: of two neighbours in a text, those merge first that make the unit of least
// rank. The table lives in processes that carry requests: it has no pointer in it and lies outside of the heap, of which the garbage
// collector keeps a multiple.
type ranks struct {
	text  []byte  // of all units, by rank, one behind the other
	ends  numbers // where in text each ends
	slots numbers // ranks by hash, each plus one; 0 is none. The next slot has what found its own taken
	seed  maphash.Seed
}

// numbers are of 32 bits each.
type numbers []byte

func (n numbers) len() int { return len(n) / 4 }

func (n numbers) at(i int) uint32 { return binary.LittleEndian.Uint32(n[4*i:]) }

func (n numbers) put(i int, v uint32) { binary.LittleEndian.PutUint32(n[4*i:], v) }

// noRank is that of a text that is no unit.
const noRank = math.MaxUint32

const (
	mostUnits = 1 << 20 // more than any encoding has
	usualUnit = 8       // bytes of the packed table for one unit
)

// readRanks reads a table that is compiled in.
func readRanks(name string) (*ranks, error) {
	packed, err := tables.ReadFile("ranks/" + name + ".tiktoken.gz")
	if err != nil {
		return nil, err
	}
	table, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return parseRanks(table, len(packed))
}

// parseRanks reads a table as OpenAI publishes it: a line for each unit, in base64, with its rank, in the order of ranks. About as many bytes
// of units are expected.
func parseRanks(table io.Reader, size int) (*ranks, error) {
	text, ends := make([]byte, 0, size), make(numbers, 0, 4*size/usualUnit)
	lines, due := bufio.NewScanner(table), []byte(nil)
	for lines.Scan() {
		unit, rank, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		if due = strconv.AppendInt(due[:0], int64(ends.len()), 10); !bytes.Equal(rank, due) || ends.len() == mostUnits {
			return nil, fmt.Errorf("the rank %q stands where %s is due", rank, due)
		}
		var err error
		if text, err = base64.StdEncoding.AppendDecode(text, unit); err != nil {
			return nil, err
		}
		ends = binary.LittleEndian.AppendUint32(ends, uint32(len(text)))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	r := &ranks{text: outside(len(text)), ends: outside(len(ends)), seed: maphash.MakeSeed()}
	copy(r.text, text)
	copy(r.ends, ends)
	return r, r.index()
}

// index makes the slots, of which at most half are taken.
func (r *ranks) index() error {
	size := 1
	for size < 2*r.ends.len() {
		size *= 2
	}
	r.slots = outside(4 * size)
	for i := range r.ends.len() {
		unit := r.unit(uint32(i))
		slot := r.slot(unit)
		if len(unit) == 0 || r.slots.at(slot) != 0 {
			return errors.New("a unit is empty or there twice")
		}
		r.slots.put(slot, uint32(i)+1)
	}
	return nil
}

// unit is the text of a rank.
func (r *ranks) unit(rank uint32) []byte {
	begin := uint32(0)
	if rank > 0 {
		begin = r.ends.at(int(rank) - 1)
	}
	return r.text[begin:r.ends.at(int(rank))]
}

// slot is where the rank of a text stands, or would.
func (r *ranks) slot(text []byte) int {
	mask := r.slots.len() - 1
	at := int(maphash.Bytes(r.seed, text)) & mask
	for r.slots.at(at) != 0 && !bytes.Equal(r.unit(r.slots.at(at)-1), text) {
		at = (at + 1) & mask
	}
	return at
}

// rank is that of a text, or noRank.
func (r *ranks) rank(text []byte) uint32 { return r.slots.at(r.slot(text)) - 1 }

// part is where a part of a piece begins, and the rank of what it would be together with the next part.
type part struct{ begin, rank uint32 }

// usualPiece is the length of pieces that are merged without allocating.
const usualPiece = 64

// count is how many units a piece is. The work grows with the square of the piece's length: who calls it bounds that.
func (r *ranks) count(piece string) int {
	var bytesOf [usualPiece]byte
	text := append(bytesOf[:0], piece...)
	if len(text) == 1 || r.rank(text) != noRank {
		return 1
	}
	var partsOf [usualPiece + 1]part
	parts := partsOf[:0]
	for i := range len(text) + 1 {
		parts = append(parts, part{uint32(i), noRank})
	}
	merged := func(i int) uint32 { // the rank of parts i and i+1 together
		if i+2 >= len(parts) {
			return noRank
		}
		return r.rank(text[parts[i].begin:parts[i+2].begin])
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
		if parts[least].rank == noRank {
			return len(parts) - 1 // the last is the end
		}
		parts = append(parts[:least+1], parts[least+2:]...)
		parts[least].rank = merged(least)
		if least > 0 {
			parts[least-1].rank = merged(least - 1)
		}
	}
}
