package cluster

import (
	"testing"
	"unsafe"
)

// Of these there is one for each client.
func TestAStayIsSmall(t *testing.T) {
	if stay, counted := unsafe.Sizeof(stay{}), unsafe.Sizeof(counted{}); stay > 160 || counted > 24 {
		t.Errorf("a stay has %d bytes, a seat that is counted %d", stay, counted)
	}
}
