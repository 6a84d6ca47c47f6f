package session

import (
	"testing"

	"slipstream/peer/sched"
	"slipstream/peer/wire"
)

// The scheduler imports nothing of ours, so it has the partition of PROTOCOL.md once more.
func TestTheSchedulerAndTheWireCutAnObjectIntoTheSamePieces(t *testing.T) {
	for n := 1; n <= wire.MaxLeaves; n++ {
		if got, want := int(sched.PieceLeaves(int32(n))), wire.PieceLeaves(n); got != want {
			t.Errorf("%d leaves: the scheduler's pieces have %d leaves, the wire's %d", n, got, want)
		}
		if got, want := int(sched.Pieces(int32(n))), wire.Pieces(n); got != want {
			t.Errorf("%d leaves: the scheduler counts %d pieces, the wire %d", n, got, want)
		}
	}
}
