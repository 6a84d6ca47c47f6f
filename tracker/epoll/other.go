//go:build !linux

package epoll

import (
	"errors"
	"net"
)

// Available tells whether this system has epoll.
const Available = false

// Server does not exist here.
type Server struct{}

// Conn does not exist here.
type Conn struct{}

// Serve says that it cannot.
func Serve(net.Listener, Config) (*Server, error) {
	return nil, errors.New("there is no epoll on this system")
}

// Rest listens for nothing.
func (*Server) Rest() net.Listener { return nil }

// Close has nothing to close.
func (*Server) Close() {}

// Send sends nothing.
func (*Conn) Send([]byte) {}

// SendWithin sends nothing.
func (*Conn) SendWithin(Patience, []byte) {}

// SetMaxMessage sets nothing.
func (*Conn) SetMaxMessage(int) {}

// SetPatient sets nothing.
func (*Conn) SetPatient() {}

// End ends nothing.
func (*Conn) End(Status, string) {}

// Cut cuts nothing.
func (*Conn) Cut() {}
