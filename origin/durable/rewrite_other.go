//go:build !linux

package durable

import "os"

// exchange has the first file take the second's place: there is no portable way to have both.
func exchange(a, b string) error { return os.Rename(a, b) }
