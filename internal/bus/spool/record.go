package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// A record is a header of headerSize bytes and a payload. All numbers are little-endian.
//
//	 0  magic
//	 4  CRC-32C of the header from byte 8 on
//	 8  CRC-32C of the payload
//	12  kind, 1 byte
//	13  flags, 1 byte: which bodies there are
//	14  length of the usage kind, 2 bytes
//	16  lengths of metadata, request head, request tail, response head, response tail, 4 bytes each
//	36  true sizes of the request's and the response's body, 8 bytes each
//	52  id of the request, 16 bytes
//
// The payload is the metadata as JSON, the usage kind and the four pieces of bodies, in that order. Both checksums start from the
// writer's seed.
const (
	headerSize = 68
	maxRecord  = 64 << 20 // bytes; what says it is longer is not a record
)

// joinBelow is the size up to which a record is copied together and written from one buffer; above it the copy would cost more than
// handing the pieces to the kernel.
const joinBelow = 32 << 10

var (
	magic      = []byte("LPS1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

type kind uint8

const (
	kindBegin kind = 1 // a request was admitted
	kindEvent kind = 2 // a request has ended
	kindAudit kind = 3 // an operator changed something
)

// isEvent reports whether a follower reads it. What a later version of this program may write besides is passed over.
func (k kind) isEvent() bool { return k == kindEvent || k == kindAudit }

const (
	flagRequestBody  = 1 << 0
	flagResponseBody = 1 << 1
)

// header is what stands before a record's payload.
type header struct {
	payloadCRC uint32
	kind       kind
	flags      uint8
	usageKind  int
	meta       int
	pieces     [4]int // request head, request tail, response head, response tail
	sizes      [2]int64
	id         llmproxy.EventID
}

var errNoHeader = errors.New("these bytes are not a record's header")

// parseHeader reads the headerSize bytes at the start of b. Lengths that it returns are those which were written.
func parseHeader(b []byte, seed uint32) (header, error) {
	if !bytes.Equal(b[:4], magic) || binary.LittleEndian.Uint32(b[4:]) != crc32.Update(seed, castagnoli, b[8:headerSize]) {
		return header{}, errNoHeader
	}
	h := header{
		payloadCRC: binary.LittleEndian.Uint32(b[8:]),
		kind:       kind(b[12]),
		flags:      b[13],
		usageKind:  int(binary.LittleEndian.Uint16(b[14:])),
		meta:       int(binary.LittleEndian.Uint32(b[16:])),
		sizes:      [2]int64{int64(binary.LittleEndian.Uint64(b[36:])), int64(binary.LittleEndian.Uint64(b[44:]))},
	}
	for i := range h.pieces {
		h.pieces[i] = int(binary.LittleEndian.Uint32(b[20+4*i:]))
	}
	copy(h.id.UUID[:], b[52:headerSize])
	if h.length() > maxRecord {
		return header{}, errNoHeader
	}
	return h, nil
}

// length is the size of the whole record in bytes.
func (h *header) length() int64 {
	n := int64(headerSize) + int64(h.meta) + int64(h.usageKind)
	for _, p := range h.pieces {
		n += int64(p)
	}
	return n
}

// record is one whole record. Its payload is valid until the next one is read.
type record struct {
	header
	payload []byte
}

// event decodes an event. Nothing of it points into the record, but while preview, which may be nil, sees it: bodies that preview takes
// out of it are not copied.
func (r *record) event(preview func(*llmproxy.Event)) (*llmproxy.Event, error) {
	e := new(llmproxy.Event)
	if err := e.UnmarshalJSON(r.payload[:r.meta]); err != nil {
		return nil, fmt.Errorf("metadata of event %s: %w", r.id, err)
	}
	rest := r.payload[r.meta:]
	e.UsageKind = string(rest[:r.usageKind])
	rest = rest[r.usageKind:]
	cut := func(n int) []byte {
		if n == 0 {
			return nil
		}
		piece := rest[:n:n]
		rest = rest[n:]
		return piece
	}
	for i, body := range []**llmproxy.Body{&e.Request.Body, &e.Response.Body} {
		if r.flags&(flagRequestBody<<i) != 0 {
			*body = &llmproxy.Body{Head: cut(r.pieces[2*i]), Tail: cut(r.pieces[2*i+1]), Size: r.sizes[i]}
		} else if r.pieces[2*i]+r.pieces[2*i+1] > 0 {
			return nil, fmt.Errorf("event %s has the bytes of a body it says it has not", r.id)
		}
	}
	if preview != nil {
		preview(e)
	}
	ownBodies(e)
	return e, nil
}

// ownBodies copies the bodies of an event into one piece of memory.
func ownBodies(e *llmproxy.Event) {
	size := 0
	for _, body := range []*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if body != nil {
			size += len(body.Head) + len(body.Tail)
		}
	}
	if size == 0 {
		return
	}
	memory := make([]byte, 0, size)
	own := func(piece []byte) []byte {
		if len(piece) == 0 {
			return nil
		}
		start := len(memory)
		memory = append(memory, piece...)
		return memory[start:len(memory):len(memory)]
	}
	for _, body := range []*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if body != nil {
			body.Head, body.Tail = own(body.Head), own(body.Tail)
		}
	}
}

// begin decodes a begin.
func (r *record) begin() (llmproxy.Begin, error) {
	var b llmproxy.Begin
	if err := b.UnmarshalJSON(r.payload[:r.meta]); err != nil {
		return llmproxy.Begin{}, fmt.Errorf("begin %s: %w", r.id, err)
	}
	return b, nil
}

// draft is a record, or several in a row, on the way to the disk.
type draft struct {
	buf    []byte   // headers and metadata, and bodies where they were joined
	bodies [][]byte // pieces that follow buf; they are the caller's memory
	size   int      // bytes in all
}

var (
	errTooLarge = fmt.Errorf("an event is larger than %d MiB", maxRecord>>20)
	noHeader    [headerSize]byte
)

// addBegin adds a begin behind what the draft holds.
func (d *draft) addBegin(seed uint32, b *llmproxy.Begin) {
	start := len(d.buf)
	d.buf = b.AppendJSON(append(d.buf, noHeader[:]...))
	h := d.buf[start:]
	h[12] = byte(kindBegin)
	binary.LittleEndian.PutUint32(h[16:], uint32(len(h)-headerSize))
	d.finish(h, seed, crc32.Update(seed, castagnoli, h[headerSize:]), b.ID)
	d.size = len(d.buf)
}

// setEvent makes the draft hold this event alone.
func (d *draft) setEvent(seed uint32, e *llmproxy.Event) error {
	d.buf = e.AppendMeta(append(d.buf[:0], noHeader[:]...))
	meta := len(d.buf) - headerSize
	if len(e.UsageKind) > math.MaxUint16 {
		return errTooLarge
	}
	d.buf = append(d.buf, e.UsageKind...)
	d.buf[12] = byte(kindEvent)
	if e.Audit != nil {
		d.buf[12] = byte(kindAudit)
	}
	binary.LittleEndian.PutUint16(d.buf[14:], uint16(len(e.UsageKind)))
	binary.LittleEndian.PutUint32(d.buf[16:], uint32(meta))
	crc := crc32.Update(seed, castagnoli, d.buf[headerSize:])
	d.size = len(d.buf)
	for i, body := range [2]*llmproxy.Body{e.Request.Body, e.Response.Body} {
		if body == nil {
			continue
		}
		d.buf[13] |= flagRequestBody << i
		binary.LittleEndian.PutUint64(d.buf[36+8*i:], uint64(body.Size))
		for j, piece := range [2][]byte{body.Head, body.Tail} {
			if len(piece) > maxRecord-d.size {
				return errTooLarge
			}
			binary.LittleEndian.PutUint32(d.buf[20+8*i+4*j:], uint32(len(piece)))
			if len(piece) > 0 {
				crc = crc32.Update(crc, castagnoli, piece)
				d.size += len(piece)
				d.bodies = append(d.bodies, piece)
			}
		}
	}
	if d.size > maxRecord {
		return errTooLarge
	}
	d.finish(d.buf, seed, crc, e.ID)
	if d.size <= joinBelow {
		d.join()
	}
	return nil
}

// finish fills in the checksums and the id of the record that starts h.
func (d *draft) finish(h []byte, seed, payloadCRC uint32, id llmproxy.EventID) {
	copy(h, magic)
	binary.LittleEndian.PutUint32(h[8:], payloadCRC)
	copy(h[52:], id.UUID[:])
	binary.LittleEndian.PutUint32(h[4:], crc32.Update(seed, castagnoli, h[8:headerSize]))
}

// join copies the bodies behind the metadata.
func (d *draft) join() {
	for _, piece := range d.bodies {
		d.buf = append(d.buf, piece...)
	}
	d.dropBodies()
}

func (d *draft) dropBodies() {
	clear(d.bodies)
	d.bodies = d.bodies[:0]
}

// reset empties the draft for the next record and lets go of the caller's memory.
func (d *draft) reset() {
	d.dropBodies()
	d.buf, d.size = d.buf[:0], 0
}
