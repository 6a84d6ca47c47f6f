package epoll

import (
	"testing"
	"unsafe"
)

// Of these there is one for each connection.
func TestAConnectionIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 96 {
		t.Errorf("a connection has %d bytes", size)
	}
}
