package swarm

import (
	"testing"
	"unsafe"
)

// Of these there is one for each viewer, and a dozen: what few of them have belongs into the record.
func TestAViewerIsSmall(t *testing.T) {
	if viewer, edge := unsafe.Sizeof(viewer{}), unsafe.Sizeof(edge{}); viewer > 176 || edge > 16 {
		t.Errorf("a viewer has %d bytes, an edge %d", viewer, edge)
	}
}
