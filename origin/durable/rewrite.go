package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// reserved is the room that a file has that is written again and again, in bytes: a block of most file systems.
const reserved = 4096

// Rewrite is Write for a text that changes all the time and must go on doing so when the disk is full. The content before stays beside
// the file as a spare, into whose room the next one is written before the two change places. (A file system that never
// writes to the same place twice, such as btrfs, needs room all the same.) The text is followed by line feeds.
func Rewrite(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the directory %s cannot be made: %w", dir, cause(err))
	}
	if over := len(content) % reserved; over > 0 || len(content) == 0 {
		content = append(bytes.Clone(content), bytes.Repeat([]byte{'\n'}, reserved-over)...)
	}
	if err := rewrite(dir, path, content); err != nil {
		return fmt.Errorf("the file %s cannot be written: %w", path, cause(err))
	}
	return nil
}

func rewrite(dir, path string, content []byte) error {
	spare := filepath.Join(dir, "."+filepath.Base(path)+".spare")
	if err := overwrite(spare, content); err != nil {
		return err
	}
	err := exchange(spare, path)
	if errors.Is(err, fs.ErrNotExist) { // the first time
		if err = os.Rename(spare, path); err == nil {
			err = overwrite(spare, content)
		}
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// overwrite gives a file a content in the room that it has.
func overwrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Truncate(int64(len(content)))
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}
