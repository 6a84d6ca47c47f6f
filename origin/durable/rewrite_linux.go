package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange has two files change places, in one step (renameat2(2), RENAME_EXCHANGE). Where the file system cannot do that the first takes
// the second's place.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return os.Rename(a, b)
	}
	return err
}
