package web

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sendFile sends what is held back and then a part of a file, which the kernel takes from where it is: neither is copied. Unlike Go's own
// way it leaves the file's position alone, so that all connections can share a descriptor.
func (c *conn) sendFile(file *os.File, offset, size int64) (sent int64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	held := c.held
	c.holding, c.held = false, c.held[:0]
	var failed error
	err = raw.Write(func(socket uintptr) bool { // called again whenever there is room
		for len(held) > 0 {
			n, err := unix.SendmsgN(int(socket), held, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
			if failed = err; err != nil {
				return over(err)
			}
			held = held[n:]
		}
		for sent < size {
			n, err := unix.Sendfile(int(socket), int(file.Fd()), &offset, int(min(size-sent, 1<<30)))
			if failed = err; err != nil {
				return over(err)
			}
			if n == 0 {
				failed = io.ErrUnexpectedEOF
				return true
			}
			sent += int64(n)
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, err
}

// over reports whether to give up.
func over(err error) bool { return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) }
