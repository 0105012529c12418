package spool

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// scanChunk is how much of a segment is read at once. Only a record that is longer asks for more memory.
const scanChunk = 256 << 10

var (
	errTorn    = errors.New("the record breaks off at the end of the segment")
	errDamaged = errors.New("the bytes are not a record that was written here")
)

// scanner reads the records of one segment one after the other, also while it is written.
type scanner struct {
	file *os.File
	seed uint32
	off  int64  // where the next record starts
	base int64  // where buf starts in the file
	buf  []byte // what was read of the file
	late bool   // the end of buf was read later than its beginning: a writer may have taken a torn record back in between
}

// next returns the record at off and moves behind it. It returns io.EOF at the end of the file, errTorn where the file ends within
// the record and errDamaged where the bytes are no record; off then stays. An off beyond the end of the file goes back to the end.
func (s *scanner) next() (record, error) {
	r, err := s.read()
	if err != nil && s.late {
		s.forget()
		r, err = s.read()
	}
	if err != nil {
		s.forget()
	}
	return r, err
}

func (s *scanner) read() (record, error) {
	head, err := s.view(headerSize)
	if err != nil {
		return record{}, err
	}
	if len(head) == 0 {
		return record{}, s.end()
	}
	if len(head) < headerSize {
		if !bytes.HasPrefix(head, magic[:min(len(head), len(magic))]) {
			return record{}, errDamaged
		}
		return record{}, errTorn
	}
	h, err := parseHeader(head, s.seed)
	if err != nil {
		return record{}, errDamaged
	}
	whole, err := s.view(int(h.length()))
	if err != nil {
		return record{}, err
	}
	if int64(len(whole)) < h.length() {
		return record{}, errTorn
	}
	// The view may have been read anew, and a writer may have taken a torn record back in between.
	if again, err := parseHeader(whole, s.seed); err != nil || again != h {
		return record{}, errDamaged
	}
	payload := whole[headerSize:]
	if crc32.Update(s.seed, castagnoli, payload) != h.payloadCRC {
		return record{}, errDamaged
	}
	s.off += h.length()
	return record{h, payload}, nil
}

// header returns the header at off and stays there. It returns nil where the file ends within it and errDamaged where the bytes are none.
func (s *scanner) header() (*header, error) {
	head, err := s.view(headerSize)
	if err != nil {
		return nil, err
	}
	if len(head) < headerSize {
		return nil, nil
	}
	h, err := parseHeader(head, s.seed)
	if err != nil {
		return nil, errDamaged
	}
	return &h, nil
}

// end is io.EOF, with off at the end of the file if it was beyond.
func (s *scanner) end() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.off = min(s.off, info.Size())
	return io.EOF
}

// resync moves off forward to the first place, from off on, where a record's header stands, and reports whether there is one. If there
// is none, off stands where the next one could start at the earliest.
func (s *scanner) resync() (found bool, err error) {
	for {
		window, err := s.view(scanChunk)
		if err != nil {
			return false, err
		}
		at := 0
		for {
			i := bytes.Index(window[at:], magic)
			if i < 0 {
				at = max(at, len(window)-len(magic)+1)
				break
			}
			at += i
			if len(window)-at < headerSize {
				break // too near the end of the window to tell
			}
			if _, err := parseHeader(window[at:], s.seed); err == nil {
				s.off += int64(at)
				return true, nil
			}
			at++
		}
		s.off += int64(at)
		if len(window) < scanChunk {
			return false, nil
		}
	}
}

// view returns the n bytes at off, or fewer where the file ends. They are valid until the next view.
func (s *scanner) view(n int) ([]byte, error) {
	if from := s.off - s.base; from >= 0 && from+int64(n) <= int64(len(s.buf)) {
		return s.buf[from : from+int64(n)], nil
	}
	var kept []byte // what is there of it
	if from := s.off - s.base; from >= 0 && from < int64(len(s.buf)) {
		kept = s.buf[from:]
	}
	size := max(n, scanChunk)
	buf := s.buf[:cap(s.buf)]
	if len(buf) < size || len(buf) > scanChunk && size == scanChunk {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	copied := copy(buf, kept)
	got, err := s.file.ReadAt(buf[copied:], s.off+int64(copied))
	if err != nil && err != io.EOF {
		s.forget()
		return nil, err
	}
	s.base, s.buf, s.late = s.off, buf[:copied+got], copied > 0
	return s.buf[:min(n, len(s.buf))], nil
}

// forget drops what was read, so that the file is looked at again.
func (s *scanner) forget() { s.buf = s.buf[:0] }
