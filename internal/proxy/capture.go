package proxy

import (
	"bytes"
	"sync"

	"github.com/sofatutor/llm-proxy/internal/llmproxy"
)

// What capture keeps of a body.
const (
	requestHead  = 64 << 10
	responseHead = 256 << 10
	responseTail = 16 << 10 // usage stands at the end of a stream
)

// Sizes of pooled buffers. A capture begins small and moves up, so that a thousand quiet streams cost little.
var bufferSizes = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10}

var bufferPools = [len(bufferSizes)]sync.Pool{
	{New: func() any { return &buffer{b: make([]byte, bufferSizes[0]), class: 0} }},
	{New: func() any { return &buffer{b: make([]byte, bufferSizes[1]), class: 1} }},
	{New: func() any { return &buffer{b: make([]byte, bufferSizes[2]), class: 2} }},
	{New: func() any { return &buffer{b: make([]byte, bufferSizes[3]), class: 3} }},
}

// buffer is pooled memory.
type buffer struct {
	b     []byte
	class int
}

// getBuffer returns a buffer of at least n bytes, or of the largest size.
func getBuffer(n int) *buffer {
	for class, size := range bufferSizes {
		if n <= size {
			return bufferPools[class].Get().(*buffer)
		}
	}
	return bufferPools[len(bufferPools)-1].Get().(*buffer)
}

// put gives the buffer back; nil is nothing.
func (b *buffer) put() {
	if b != nil {
		bufferPools[b.class].Put(b)
	}
}

// capture keeps the head and the tail of an answer's body while it flows past. The body is read straight into the capture's own
// memory and written on from there.
type capture struct {
	head     *buffer
	headLen  int
	tail     *buffer // where the body goes once head is full
	tailLen  int
	size     int64 // all that has passed
	full     bool  // the last read filled the space it was given
	counting bool  // it is an event stream
	events   eventCounter
}

// minRead is the least space that a read is given.
const minRead = 1 << 10

// start prepares for a body of this length; -1 is unknown.
func (c *capture) start(length int64, eventStream bool) {
	c.counting = eventStream
	if length < 0 || length > responseHead {
		length = 0
	}
	c.head = getBuffer(int(length))
}

// space is where the next bytes of the body go.
func (c *capture) space() []byte {
	if c.tail == nil {
		free := len(c.head.b) - c.headLen
		if (free < minRead || c.full) && len(c.head.b) < responseHead {
			larger := getBuffer(len(c.head.b) + 1)
			copy(larger.b, c.head.b[:c.headLen])
			c.head.put()
			c.head = larger
			free = len(c.head.b) - c.headLen
		}
		if free > 0 {
			return c.head.b[c.headLen:]
		}
		c.tail = getBuffer(4 * responseTail)
	}
	if len(c.tail.b)-c.tailLen < responseTail {
		copy(c.tail.b, c.tail.b[c.tailLen-responseTail:c.tailLen])
		c.tailLen = responseTail
	}
	return c.tail.b[c.tailLen:]
}

// advance notes that n bytes were read into the space.
func (c *capture) advance(space []byte, n int) {
	c.size += int64(n)
	c.full = n == len(space)
	if c.tail == nil {
		c.headLen += n
	} else {
		c.tailLen += n
	}
	if c.counting {
		c.events.write(space[:n])
	}
}

// keep puts what was captured into a message. The memory stays the capture's.
func (c *capture) keep(m *llmproxy.Message, body *llmproxy.Body) {
	m.Bytes, m.Events = c.size, c.events.n
	if c.head == nil || c.size == 0 {
		return
	}
	*body = llmproxy.Body{Head: c.head.b[:c.headLen], Size: c.size}
	if c.tail != nil {
		body.Tail = c.tail.b[max(0, c.tailLen-responseTail):c.tailLen]
	}
	m.Body = body
}

// release gives the memory back.
func (c *capture) release() {
	c.head.put()
	c.tail.put()
	*c = capture{}
}

// eventCounter counts the events of an event stream: blocks of lines that end in an empty line and have more than comments (HTML
// Standard, section 9.2.6). It needs no memory of the bytes before.
type eventCounter struct {
	n       int64
	lineLen int  // bytes of the line so far
	comment bool // it began with a colon
	field   bool // the block has a line that is no comment
	cr      bool // the byte before was a carriage return
}

func (c *eventCounter) write(p []byte) {
	for len(p) > 0 {
		if c.cr {
			c.cr = false
			if p[0] == '\n' { // CR LF is one line end
				p = p[1:]
				continue
			}
		}
		if c.lineLen == 0 {
			c.comment = p[0] == ':'
		}
		i := bytes.IndexByte(p, '\n')
		line := p
		if i >= 0 {
			line = p[:i]
		}
		if j := bytes.IndexByte(line, '\r'); j >= 0 {
			i, line, c.cr = j, p[:j], true
		}
		c.lineLen += len(line)
		if i < 0 {
			return
		}
		c.endLine()
		p = p[i+1:]
	}
}

func (c *eventCounter) endLine() {
	switch {
	case c.lineLen == 0:
		if c.field {
			c.n++
		}
		c.field = false
	case !c.comment:
		c.field = true
	}
	c.lineLen = 0
}
