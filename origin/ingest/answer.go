package ingest

import "fmt"

// An answerError is a refusal with its HTTP status.
type answerError struct {
	status int
	err    error
}

func (e *answerError) Error() string { return e.err.Error() }
func (e *answerError) Unwrap() error { return e.err }

func answer(status int, format string, args ...any) error {
	return &answerError{status, fmt.Errorf(format, args...)}
}
