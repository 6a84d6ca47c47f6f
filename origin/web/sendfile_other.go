//go:build !linux

package web

import (
	"errors"
	"os"
)

// sendFile is never called: only Linux has files that are memory.
func (c *conn) sendFile(*os.File, int64, int64) (int64, error) { return 0, errors.ErrUnsupported }
