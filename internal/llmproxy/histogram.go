package llmproxy

import (
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"math/bits"
)

// Histogram counts whole numbers in buckets that grow with them: each number below 32 has its own, and each power of two above is cut
// into 16. So a quantile is off by at most 1/32 of itself, and two histograms add up to that of all their numbers.
type Histogram struct{ counts []int64 }

// stepsLog is the binary logarithm of the buckets of a power of two.
const stepsLog = 4

func bucketOf(n int64) int {
	if n < 2<<stepsLog {
		return int(max(n, 0))
	}
	shift := bits.Len64(uint64(n)) - stepsLog - 1
	return shift<<stepsLog + int(n>>shift)
}

// middleOf is the number that stands for a bucket.
func middleOf(bucket int) int64 {
	if bucket < 2<<stepsLog {
		return int64(bucket)
	}
	shift := bucket>>stepsLog - 1
	low := int64(bucket-shift<<stepsLog) << shift
	return low + (int64(1)<<shift-1)/2
}

// maxBucket is the bucket of the largest number.
var maxBucket = bucketOf(math.MaxInt64)

// Add counts a number; one below zero counts as zero.
func (h *Histogram) Add(n int64) { h.add(bucketOf(n), 1) }

func (h *Histogram) add(bucket int, n int64) {
	if bucket >= len(h.counts) {
		h.counts = append(h.counts, make([]int64, bucket+1-len(h.counts))...)
	}
	h.counts[bucket] += n
}

func (h *Histogram) merge(o *Histogram, sign int64) {
	for bucket := len(o.counts) - 1; bucket >= 0; bucket-- {
		if n := o.counts[bucket]; n != 0 {
			h.add(bucket, sign*n)
		}
	}
}

// All are the buckets that have counts.
func (h *Histogram) All() iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		for bucket, n := range h.counts {
			if n != 0 && !yield(bucket, n) {
				return
			}
		}
	}
}

// AddBucket adds a count to a bucket, as All has told it.
func (h *Histogram) AddBucket(bucket int, n int64) error {
	if bucket < 0 || bucket > maxBucket {
		return errHistogram
	}
	h.add(bucket, n)
	return nil
}

// Count is how many numbers were counted.
func (h *Histogram) Count() int64 {
	n := int64(0)
	for _, c := range h.counts {
		n += c
	}
	return n
}

// Quantile is the number below or at which a part q of all lies, by nearest rank; false if there are none.
func (h *Histogram) Quantile(q float64) (int64, bool) {
	count := h.Count()
	if count <= 0 {
		return 0, false
	}
	rank := max(int64(math.Ceil(q*float64(count))), 1)
	for bucket, n := range h.counts {
		if rank -= n; rank <= 0 {
			return middleOf(bucket), true
		}
	}
	return middleOf(len(h.counts) - 1), true
}

// AppendBinary adds the buckets that have counts: the distance from the bucket before, then the count, each as a varint.
func (h *Histogram) AppendBinary(dst []byte) []byte {
	last := 0
	for bucket, n := range h.counts {
		if n != 0 {
			dst = binary.AppendUvarint(dst, uint64(bucket-last))
			dst = binary.AppendVarint(dst, n)
			last = bucket
		}
	}
	return dst
}

var errHistogram = errors.New("damaged histogram")

// AddBinary adds what AppendBinary has written.
func (h *Histogram) AddBinary(data []byte) error {
	bucket := uint64(0)
	for len(data) > 0 {
		step, size := binary.Uvarint(data)
		if size <= 0 || step > uint64(maxBucket) {
			return errHistogram
		}
		data = data[size:]
		n, size := binary.Varint(data)
		if bucket += step; size <= 0 || bucket > uint64(maxBucket) {
			return errHistogram
		}
		data = data[size:]
		h.add(int(bucket), n)
	}
	return nil
}
