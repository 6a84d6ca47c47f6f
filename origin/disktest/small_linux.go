package disktest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Small mounts a file system of 64 MiB for as long as the test lasts, and skips the test where that is not allowed.
func Small(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a disk to fill cannot be mounted: that takes root")
	}
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", SmallBytes)); err != nil {
		t.Skipf("a disk to fill cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
