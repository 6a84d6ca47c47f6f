// Package listen has the error of those who listen: which address could not be bound, for which protocol.
package listen

import "fmt"

// Error says which address could not be bound.
type Error struct {
	Protocol, Address string
	Err               error
}

// Error returns the sentence.
func (e *Error) Error() string {
	return fmt.Sprintf("%s cannot listen on %s: %v", e.Protocol, e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
