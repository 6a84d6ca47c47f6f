package cluster

import (
	"slices"
	"testing"

	"slipstream/tracker/server"
)

// codes are why a tracker says that it is not ready.
func (tr *tracker) codes() (codes []string) {
	for _, why := range tr.relay.Unready() {
		codes = append(codes, why.Code)
	}
	return codes
}

func TestTheRosterNamesWhoIsHeardAndHow(t *testing.T) {
	net := newNetwork()
	one, two := net.open(t, 1), net.open(t, 2)
	net.run(3)
	states := func() (all []string) {
		for _, n := range one.relay.Nodes() {
			all = append(all, n.Name+" "+n.State)
		}
		return all
	}
	if got := states(); !slices.Equal(got, []string{"node 1 ready", "node 2 ready"}) {
		t.Errorf("one hears %q", got)
	}
	if codes := two.codes(); codes != nil {
		t.Errorf("two is not ready: %q", codes)
	}
	two.relay.giveAway()
	net.run(2)
	if got := states(); !slices.Equal(got, []string{"node 1 ready", "node 2 draining"}) {
		t.Errorf("one hears %q", got)
	}
	if codes := two.codes(); !slices.Equal(codes, []string{"draining"}) {
		t.Errorf("two, which drains, says %q", codes)
	}
	if _, ok := server.Relay(two.relay).(server.Roster); !ok {
		t.Error("statistics do not find the roster")
	}
}

func TestWhoIsCutOffFromNATSIsNotReady(t *testing.T) {
	net := newNetwork()
	one := net.open(t, 1)
	net.run(2)
	for range awayTicks + 1 { // and nothing comes back
		one.relay.tick()
	}
	if codes := one.relay.Unready(); len(codes) != 1 || codes[0].Code != "nats" {
		t.Errorf("it says %v", codes)
	}
	net.run(1)
	if codes := one.relay.Unready(); codes != nil {
		t.Errorf("after it heard itself it says %v", codes)
	}
}
