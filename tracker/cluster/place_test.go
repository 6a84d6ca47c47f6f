package cluster

import (
	"fmt"
	"testing"

	"slipstream/tracker/server"
)

func TestANodeThatComesMovesOnlyWhatItOwns(t *testing.T) {
	nodes := []server.NodeID{11, 22, 33}
	more := append(nodes, 44)
	owned, moved := map[server.NodeID]int{}, 0
	const places = 10_000
	for i := range places {
		p := place{fmt.Sprint("channel ", i), i % 3}
		before, after := owner(nodes, p), owner(more, p)
		owned[after]++
		if before != after {
			moved++
			if after != 44 {
				t.Fatalf("%v moved from %d to %d, neither of which is new", p, before, after)
			}
		}
	}
	for id, n := range owned {
		if n < places/4*9/10 || n > places/4*11/10 {
			t.Errorf("node %d owns %d of %d places", id, n, places)
		}
	}
	if moved != owned[44] {
		t.Errorf("%d places moved for a node that owns %d", moved, owned[44])
	}
}

func TestAllNodesAgreeInWhateverOrderTheyKnowEachOther(t *testing.T) {
	for i := range 1_000 {
		p := place{fmt.Sprint(i), 0}
		if a, b := owner([]server.NodeID{1, 2, 3}, p), owner([]server.NodeID{3, 1, 2}, p); a != b {
			t.Fatalf("%v is owned by %d and %d", p, a, b)
		}
	}
}

func TestShardsFollowTheAudienceWithoutFlutter(t *testing.T) {
	for _, step := range []struct{ before, viewers, want int }{
		{0, 0, 1}, {1, 2_000, 1}, {1, 2_001, 2}, {2, 1_200, 2}, {2, 999, 1}, {1, 3_200_000, 256}, {256, 10, 1}, {8, 9_000, 8},
	} {
		if got := shards(step.before, step.viewers); got != step.want {
			t.Errorf("%d viewers after %d shards: %d, want %d", step.viewers, step.before, got, step.want)
		}
	}
}

func TestThoseOfAnISPAreInAQuarterOfTheShards(t *testing.T) {
	used := map[int]bool{}
	for conn := range server.ConnID(10_000) {
		s := shardOf(16, 3215, conn)
		if s < 0 || s >= 16 {
			t.Fatalf("shard %d of 16", s)
		}
		used[s] = true
	}
	if len(used) != 4 {
		t.Errorf("viewers of one ISP are in %d of 16 shards", len(used))
	}
}
