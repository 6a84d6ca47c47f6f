// Package prefetch tells the processor which memory is needed soon, so that it comes while
// something else is computed. It is for those who run thousands of cores in turn, whose
// state lies in no cache. It reads and changes nothing, and does nothing at all on a
// processor of which it does not know how to ask.
package prefetch

import "unsafe"

const line = 64 // bytes

// Value asks for what p points to.
func Value[T any](p *T) {
	if p != nil {
		lines(unsafe.Pointer(p), (unsafe.Sizeof(*p)+line-1)/line)
	}
}

// First asks for the first so many lines of the cache, of 64 bytes, of what p points to.
func First[T any](p *T, count uintptr) {
	if p != nil {
		lines(unsafe.Pointer(p), count)
	}
}

// Slice asks for the elements of s.
func Slice[S ~[]T, T any](s S) {
	if len(s) > 0 {
		lines(unsafe.Pointer(&s[0]), (uintptr(len(s))*unsafe.Sizeof(s[0])+line-1)/line)
	}
}
