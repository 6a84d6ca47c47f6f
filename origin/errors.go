package origin

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"slipstream/origin/listen"
)

// What may keep an origin from starting. Errors of Run match them with errors.Is; their text is a sentence for people.
var (
	ErrPortInUse = errors.New("the port is in use")
	ErrDataDir   = errors.New("the data directory cannot be used")
	ErrNoFFmpeg  = errors.New("ffmpeg is missing")
	ErrConfig    = errors.New("the configuration is wrong")
)

// setupError is a sentence that belongs to one of the kinds above.
type setupError struct {
	kind     error
	sentence string
	cause    error
}

func (e *setupError) Error() string   { return e.sentence }
func (e *setupError) Unwrap() []error { return []error{e.kind, e.cause} }

// setup keeps the sentence of cause.
func setup(kind, cause error) error { return &setupError{kind, cause.Error(), cause} }

// listenError says what is wrong with an address to listen on; other errors are of the configuration.
func listenError(err error) error {
	var failed *listen.Error
	if !errors.As(err, &failed) {
		return setup(ErrConfig, err)
	}
	what, address, cause := failed.Protocol, failed.Address, failed.Err
	switch {
	case errors.Is(cause, syscall.EADDRINUSE):
		return &setupError{ErrPortInUse, fmt.Sprintf("%s cannot listen on %s: another program uses the port; stop it or choose another port", what, address), cause}
	case errors.Is(cause, syscall.EACCES):
		return &setupError{ErrConfig, fmt.Sprintf("%s cannot listen on %s: this user may not use the port; choose one above 1023", what, address), cause}
	}
	var op *net.OpError
	if errors.As(cause, &op) {
		cause = op.Err
	}
	return &setupError{ErrConfig, fmt.Sprintf("%s cannot listen on %q: %v", what, address, cause), cause}
}
