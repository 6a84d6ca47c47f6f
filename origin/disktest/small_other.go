//go:build !linux

package disktest

import "testing"

// Small skips the test: a disk to fill is mounted on Linux only.
func Small(t *testing.T) (dir string) {
	t.Helper()
	t.Skip("a disk to fill can be mounted on Linux only")
	return ""
}
