//go:build !linux

package emulate

import (
	"context"
	"errors"
)

var errSystem = errors.New("emulation needs Linux: it is made of network namespaces and TUN devices")

// Run is for Linux.
func Run(context.Context, Config) error { return errSystem }

// Keep is for Linux.
func Keep(context.Context, Config) error { return errSystem }
