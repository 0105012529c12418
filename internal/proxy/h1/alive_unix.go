//go:build unix

package h1

import (
	"net"
	"syscall"
)

// aliveCheck returns a function that looks, without waiting, whether the peer has closed an idle connection or sent what nobody asked
// for. Either makes it unfit for another call.
func aliveCheck(c net.Conn) func() bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var one [1]byte
	quiet := false
	peek := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true
	}
	return func() bool { return raw.Read(peek) == nil && quiet }
}
