package ranks

//go:generate go run write.go

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

const (
	perBucket = 3   // units, about: fewer take more pilots, more of them longer to find
	maxFill   = 0.8 // of the slots: beyond that pilots are hard to find
	pilots    = 1 << 8
)

// Pack makes the table of units, given by rank. The same units make the same table.
func Pack(units []string) ([]byte, error) {
	if len(units) == 0 || len(units) > 1<<rankBits {
		return nil, fmt.Errorf("there are %d units", len(units))
	}
	pilotBits, slotBits := bits.Len(uint(len(units)/perBucket)), 1
	for float64(len(units)) > maxFill*float64(int(1)<<slotBits) {
		slotBits++
	}
	chosen, slots, err := place(units, pilotBits, slotBits)
	if err != nil {
		return nil, err
	}
	var file []byte
	for _, n := range []int{len(units), pilotBits, slotBits} {
		file = binary.LittleEndian.AppendUint32(file, uint32(n))
	}
	file = append(file, chosen...)
	for _, slot := range slots {
		file = binary.LittleEndian.AppendUint32(file, slot)
	}
	end := 0
	file = append(file, 0, 0, 0)
	for _, unit := range units {
		if end += len(unit); end >= 1<<(8*endSize) {
			return nil, errors.New("the texts are too long")
		}
		file = append(file, byte(end), byte(end>>8), byte(end>>16))
	}
	return append(file, strings.Join(units, "")...), nil
}

// keyed is a unit by its hash.
type keyed struct {
	hash uint64
	rank uint32
}

// place chooses a pilot for each bucket, and with it a slot for each unit. Those of large buckets are chosen first, while slots are free.
func place(units []string, pilotBits, slotBits int) (chosen []byte, slots []uint32, err error) {
	buckets := make([][]keyed, 1<<pilotBits)
	for rank, unit := range units {
		h := hash(unit)
		if unit == "" || slices.ContainsFunc(buckets[bucketOf(h, pilotBits)], func(k keyed) bool { return k.hash == h }) {
			return nil, nil, fmt.Errorf("the unit %q of rank %d is empty or there twice", unit, rank)
		}
		buckets[bucketOf(h, pilotBits)] = append(buckets[bucketOf(h, pilotBits)], keyed{h, uint32(rank)})
	}
	order := make([]int, len(buckets))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(buckets[b]), len(buckets[a])) })
	chosen, slots = make([]byte, len(buckets)), make([]uint32, 1<<slotBits)
	taken := make([]bool, len(slots))
	for _, i := range order {
		pilot, ok := pilotFor(buckets[i], taken, slotBits)
		if !ok {
			return nil, nil, fmt.Errorf("there is no pilot for a bucket of %d units", len(buckets[i]))
		}
		chosen[i] = pilot
		for _, k := range buckets[i] {
			slots[slotOf(k.hash, pilot, slotBits)] = fingerprint(k.hash)<<rankBits | k.rank
		}
	}
	return chosen, slots, nil
}

// pilotFor finds a pilot with which all of a bucket have free slots, and takes these.
func pilotFor(bucket []keyed, taken []bool, slotBits int) (byte, bool) {
	for pilot := range pilots {
		n := 0
		for n < len(bucket) && !taken[slotOf(bucket[n].hash, byte(pilot), slotBits)] {
			taken[slotOf(bucket[n].hash, byte(pilot), slotBits)] = true
			n++
		}
		if n == len(bucket) {
			return byte(pilot), true
		}
		for _, k := range bucket[:n] {
			taken[slotOf(k.hash, byte(pilot), slotBits)] = false
		}
	}
	return 0, false
}
