//go:build linux

package bench

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of a thread that has a process for itself. Go's scheduler is not told of them: it had a quarter of the crowd's processor, for
// nobody else.

// receive reads what has come. The error is 0 if there is none.
func receive(fd int, b []byte) (n int, err syscall.Errno) {
	r, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return count(r, err), err
}

// send writes, and tells how much the socket took.
func send(fd int, b []byte) int {
	r, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return count(r, err)
}

func hangUp(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) } //nolint:errcheck // it is open

// happened tells what has, and waits for it if it may. To be interrupted is as good as nothing.
func happened(epfd int, events []unix.EpollEvent, waitMs int) int {
	if waitMs != 0 {
		n, _ := unix.EpollWait(epfd, events, waitMs)
		return max(n, 0)
	}
	r, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	return count(r, err)
}

// rest gives the processor away. A signal may end it early.
func rest(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) //nolint:errcheck // that is no matter
}

func count(r uintptr, err syscall.Errno) int {
	if err != 0 {
		return 0
	}
	return int(r)
}
