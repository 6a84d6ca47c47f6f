package server

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileInMemory is a file without a name that holds a copy of the data.
func fileInMemory(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("segment", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "segment")
	if _, err := file.Write(data); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
