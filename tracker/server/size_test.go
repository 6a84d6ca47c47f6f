package server

import (
	"testing"
	"unsafe"
)

// Of these there is one for each client. A join leaves many objects of 129 to 144 bytes to the collector, and few that are a little
// larger: a socket among those would keep gaps of 100 bytes around it.
func TestAClientIsSmall(t *testing.T) {
	if socket := unsafe.Sizeof(socket{}); socket <= 144 || socket > 160 {
		t.Errorf("a client's socket has %d bytes", socket)
	}
	if seat, member := unsafe.Sizeof(seat{}), unsafe.Sizeof(member{}); seat > 48 || member > 48 {
		t.Errorf("a client's seat has %d bytes, its member %d", seat, member)
	}
}
