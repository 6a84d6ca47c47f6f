package prefetch

import "unsafe"

// lines asks for that many lines of the cache, at least one.
//
//go:noescape
func lines(from unsafe.Pointer, count uintptr)
