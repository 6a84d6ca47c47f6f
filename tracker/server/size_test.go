package server

import (
	"testing"
	"unsafe"
)

// Of these there is one for each client.
func TestAClientIsSmall(t *testing.T) {
	if socket, seat, member := unsafe.Sizeof(socket{}), unsafe.Sizeof(seat{}), unsafe.Sizeof(member{}); socket > 160 || seat > 48 || member > 48 {
		t.Errorf("a client's socket has %d bytes, its seat %d, its member %d", socket, seat, member)
	}
}
