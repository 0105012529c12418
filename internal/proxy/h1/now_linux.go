package h1

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// writeNow writes as much of the pieces as the connection takes without waiting, in one system call. Over TLS that is nothing.
func writeNow(c net.Conn, pieces ...[]byte) (n int, err error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Write(func(fd uintptr) bool {
		n, err = unix.Writev(int(fd), pieces)
		return true
	})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return n, controlErr
}
