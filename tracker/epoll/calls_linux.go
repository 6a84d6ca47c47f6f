package epoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls that a loop makes thousands of times a second. None of them waits, so Go's scheduler is not told: it would take the
// processor away from a goroutine whose call takes 20 µs, as a write does on its way to a receiver of the same machine, wake another
// thread for it, and have its monitor look every 20 µs for more of the kind.

// receive reads what has come. The error is 0 if there is none.
func receive(fd int, b []byte) (n int, err syscall.Errno) {
	r, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return count(r, err), err
}

// send writes. More says that what follows, a close, comes at once and goes with it.
func send(fd int, b []byte, more bool) (n int, err syscall.Errno) {
	flags := uintptr(unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	r, _, err := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	return count(r, err), err
}

// hangUp closes a connection.
func hangUp(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) } //nolint:errcheck // it is open

// happened tells what has. To be interrupted is as good as nothing.
func happened(epfd int, events []unix.EpollEvent) int {
	r, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return count(r, err)
}

func count(r uintptr, err syscall.Errno) int {
	if err != 0 {
		return 0
	}
	return int(r)
}
