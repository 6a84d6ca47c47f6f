package cluster

import (
	"testing"
	"unsafe"
)

// Of these there is one for each client.
func TestAStayIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(stay{}); size > 160 {
		t.Errorf("a stay has %d bytes", size)
	}
}
