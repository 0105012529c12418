// Package ranks is a table of an encoding's units in the form in which it is looked up. It is made when it is generated, not when it is
// read: a table is a string that is compiled in, so it lies in pages of the program's file, of which the system reads those that
// are touched, and nothing of it is on the heap.
package ranks

import (
	"errors"
	"math/bits"
)

// A Table says which texts are units of an encoding, each with its rank. A lookup reads one pilot and one slot, whatever is looked up,
// and the text of one unit if the slot's fingerprint fits:
//
//	header  numbers of 32 bits: units, then the binary logarithms of the numbers of pilots and of slots
//	pilots  a byte for each bucket of texts, chosen so that no two units have one slot
//	slots   32 bits each: a fingerprint of the text and its rank. A free slot holds the zero, whose unit is not what is looked up there
//	ends    24 bits each: zero, then where each unit ends in texts
//	texts   of the units, by rank, one behind the other
//
// Numbers are little-endian.
type Table struct {
	pilots, slots, ends, texts string
	pilotBits, slotBits        int
}

// None is the rank of a text that is no unit.
const None = 1<<32 - 1

const (
	headerSize = 3 * 4
	slotSize   = 4
	endSize    = 3
	rankBits   = 18 // of a slot; the others are the fingerprint
)

var errDamaged = errors.New("the table of ranks is damaged")

// Open returns the table that [Pack] made. It reads the header.
func Open(file string) (*Table, error) {
	if len(file) < headerSize {
		return nil, errDamaged
	}
	t := &Table{pilotBits: int(uint32At(file, 4)), slotBits: int(uint32At(file, 8))}
	units := int(uint32At(file, 0))
	if units > 1<<rankBits || t.pilotBits > rankBits || t.slotBits > 2*rankBits {
		return nil, errDamaged
	}
	rest := file[headerSize:]
	for _, part := range []struct {
		of   *string
		size int
	}{{&t.pilots, 1 << t.pilotBits}, {&t.slots, slotSize << t.slotBits}, {&t.ends, endSize * (units + 1)}} {
		if len(rest) < part.size {
			return nil, errDamaged
		}
		*part.of, rest = rest[:part.size], rest[part.size:]
	}
	if t.texts = rest; t.end(units) != len(t.texts) {
		return nil, errDamaged
	}
	return t, nil
}

// Len is the number of units.
func (t *Table) Len() int { return len(t.ends)/endSize - 1 }

// Unit is the text of a rank.
func (t *Table) Unit(rank uint32) string { return t.texts[t.end(int(rank)):t.end(int(rank)+1)] }

// end is where the first n units end.
func (t *Table) end(n int) int {
	b := t.ends[endSize*n:]
	return int(b[0]) | int(b[1])<<8 | int(b[2])<<16
}

// Rank is that of a text, or None.
func (t *Table) Rank(text string) uint32 {
	h := hash(text)
	slot := uint32At(t.slots, slotSize*slotOf(h, t.pilots[bucketOf(h, t.pilotBits)], t.slotBits))
	if slot>>rankBits != fingerprint(h) {
		return None
	}
	if rank := slot & (1<<rankBits - 1); t.Unit(rank) == text {
		return rank
	}
	return None
}

// The hash is part of the table, so it has no seed. Nobody gains by choosing texts for it: a lookup never goes on to a second slot.

// odd numbers without a pattern
const (
	mixer     = 0x9e3779b97f4a7c15
	stepPilot = 0xd6e8feb86659fd93
)

func hash(text string) uint64 {
	h := uint64(len(text)) * stepPilot
	for ; len(text) > 8; text = text[8:] {
		h = fold(h ^ uint64At(text, 0))
	}
	switch n := len(text); {
	case n == 8:
		h ^= uint64At(text, 0)
	case n >= 4:
		h ^= uint64(uint32At(text, 0)) | uint64(uint32At(text, n-4))<<32
	case n > 0:
		h ^= uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	}
	return fold(h)
}

func fold(x uint64) uint64 {
	high, low := bits.Mul64(x, mixer)
	return high ^ low
}

func bucketOf(h uint64, pilotBits int) int { return int(h >> (64 - pilotBits)) }

func slotOf(h uint64, pilot byte, slotBits int) int {
	return int(fold(h+uint64(pilot)*stepPilot) >> (64 - slotBits))
}

func fingerprint(h uint64) uint32 { return uint32(h) >> rankBits }

func uint32At(s string, i int) uint32 {
	s = s[i : i+4]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func uint64At(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
