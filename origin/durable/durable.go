// Package durable writes small files that must survive a crash: keys, delegations, signed heads. After Write returns, the
// new content is on disk; if the machine dies at any moment before, the old content still is. There is no state
// in between, because a rename is atomic (POSIX) and both the file and its directory are flushed.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write replaces the content of path. The file has mode 0600; missing directories are made with mode 0700.
func Write(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the directory %s cannot be made: %w", dir, cause(err))
	}
	if err := write(dir, path, content); err != nil {
		return fmt.Errorf("the file %s cannot be written: %w", path, cause(err))
	}
	return nil
}

func write(dir, path string, content []byte) error {
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, once the file has its final name
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the rename itself durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Read returns the content of a file that Write wrote, and whether there is one. Files that other users can read or write
// are refused: what lies in them is secret, or decides what gets signed.
func Read(path string) (content []byte, found bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, false, fmt.Errorf("the file %s is open to other users (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	if err == nil {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, false, fmt.Errorf("the file %s cannot be read: %w", path, cause(err))
	}
	return content, true, nil
}

// Lock claims a directory for this process until release is called or the process ends, however it ends.
func Lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory %s cannot be made: %w", dir, cause(err))
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the directory %s cannot be used: %w", dir, cause(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the directory %s is in use by another slipstream process: stop that one, or choose another directory", dir)
	}
	return func() { f.Close() }, nil
}

// cause drops the operation and path of an *fs.PathError, which the sentence around it names already.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
