package session

import (
	"bytes"
	"hash/fnv"
	"slices"
	"testing"

	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

// listener is the far end of a link, which notes the types of the messages in each bundle that comes.
type listener struct {
	t       *testing.T
	bundles [][]wire.Type
}

func (l *listener) Send(bundle []byte) error {
	if len(bundle) > wire.MaxMessage {
		l.t.Errorf("a bundle has %d bytes", len(bundle))
	}
	var types []wire.Type
	for m, err := range wire.Unbundle(bundle) {
		if err != nil {
			l.t.Fatalf("a bundle is not valid: %v", err)
		}
		types = append(types, m.Type())
	}
	l.bundles = append(l.bundles, types)
	return nil
}

func (l *listener) Signal(announce.Signal) error { return nil }
func (l *listener) BufferedAmount() int          { return 0 }
func (l *listener) Close()                       {}

// heard are the bundles since the last call.
func (l *listener) heard(want ...[]wire.Type) {
	l.t.Helper()
	if !slices.EqualFunc(l.bundles, want, slices.Equal) {
		l.t.Errorf("the neighbour got %v, want %v", l.bundles, want)
	}
	l.bundles = nil
}

func TestWhatIsSaidInOneStepIsOneBundle(t *testing.T) {
	var all talk
	far := &listener{t: t}
	n := &neighbour{talk: &all, conn: far}
	ns := neighbours{byID: map[int32]*neighbour{1: n}}
	gain, lost := wire.Gain{Pieces: []uint16{1}}, wire.Lost{}

	n.send(gain)
	n.send(wire.Ask{})
	far.heard() // the step is not over
	all.speak()
	far.heard([]wire.Type{wire.TypeGain, wire.TypeAsk})
	all.speak()
	far.heard()

	n.send(gain)
	n.sendLeaf(wire.Leaf{Data: []byte{1}})
	n.sendLeaf(wire.Leaf{Leaf: 1, Data: []byte{1}})
	n.send(gain)
	all.speak()
	far.heard([]wire.Type{wire.TypeGain, wire.TypeLeaf}, []wire.Type{wire.TypeLeaf}, []wire.Type{wire.TypeGain})

	n.mention(lost, 10_000)
	all.speak()
	far.heard()
	n.send(gain)
	all.speak()
	far.heard([]wire.Type{wire.TypeLost, wire.TypeGain})
	n.mention(lost, 10_000)
	n.mention(lost, 11_000)
	ns.sendLonely(10_000 + companyMs - 1)
	far.heard()
	ns.sendLonely(10_000 + companyMs)
	far.heard([]wire.Type{wire.TypeLost, wire.TypeLost})

	list := wire.Leaves{Hashes: bytes.Repeat([]byte{7}, wire.MaxListLeaves*wire.HashSize)}
	n.send(gain)
	n.send(list) // fills a bundle alone
	n.send(gain)
	all.speak()
	far.heard([]wire.Type{wire.TypeGain}, []wire.Type{wire.TypeLeaves}, []wire.Type{wire.TypeGain})

	n.mention(lost, 20_000)
	n.leave("enough")
	far.heard([]wire.Type{wire.TypeLost, wire.TypeBye})
	if all.messages[wire.TypeGain] != 6 || all.messages[wire.TypeLeaf] != 2 || all.bundles != 10 {
		t.Errorf("counted %v in %d bundles", all.messages, all.bundles)
	}
}

func TestLotsAreTheHashesOfTheProtocol(t *testing.T) {
	h := fnv.New32a()
	h.Write([]byte{0, 0, 0, 0, 0, 0, 4, 210, 1, 2, 3, 4, 5, 6, 7, 8})
	if got := lot(wire.Instance{1, 2, 3, 4, 5, 6, 7, 8}, 1234); got != h.Sum32() {
		t.Errorf("the lot is %d, want %d", got, h.Sum32())
	}
}
