//go:build !linux

package server

import (
	"errors"
	"os"
)

func fileInMemory([]byte) (*os.File, error) { return nil, errors.ErrUnsupported }
