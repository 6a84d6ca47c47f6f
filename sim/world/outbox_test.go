package world

import (
	"slices"
	"testing"

	"slipstream/peer/sched"
	"slipstream/sim/network"
)

// listened are the messages that a viewer's neighbour gets, as the kinds of what each says.
func listened(t *testing.T, do func(v *viewer)) (heard [][]kind) {
	t.Helper()
	cfg := fewViewers(2)
	w := newWorld(cfg, 0)
	for range 10 {
		w.window()
	}
	a, b := w.viewers[0], w.viewers[1]
	if !a.present() || !b.present() {
		t.Fatal("they have not come")
	}
	a.member.meeting = append(a.member.meeting, b)
	w.open(a, b, 30_000)
	before := len(w.inboxes.of[b.index].soon)
	do(a)
	for _, e := range w.inboxes.of[b.index].soon[before:] {
		var kinds []kind
		for _, s := range append(slices.Clone(w.batches.list(e.batch)), e.saying) {
			kinds = append(kinds, s.kind)
		}
		heard = append(heard, kinds)
	}
	return heard
}

func TestWhatIsSaidInOneMillisecondIsOneMessage(t *testing.T) {
	gain := func(piece int32) sched.Action { return sched.Action{Kind: sched.SendGain, Piece: piece} }
	for _, c := range []struct {
		name string
		do   func(v *viewer)
		want [][]kind
	}{
		{"gains of pieces that lie together", func(v *viewer) {
			v.sayBatch([]sched.Action{gain(1), gain(7), gain(31)})
			v.speak()
		}, [][]kind{{kindGain}}},
		{"gains of pieces that do not", func(v *viewer) {
			v.sayBatch([]sched.Action{gain(1), gain(32)})
			v.speak()
		}, [][]kind{{kindGain, kindGain}}},
		{"a refusal and a gain, and then another", func(v *viewer) {
			v.sayBatch([]sched.Action{{Kind: sched.SendRefuse, Reason: sched.Busy}})
			v.sayBatch([]sched.Action{gain(1)})
			v.speak()
			v.sayBatch([]sched.Action{gain(2)})
			v.speak()
		}, [][]kind{{kindRefuse, kindGain}, {kindGain}}},
		{"a loss, which waits for company", func(v *viewer) {
			v.mention(0, saying{kind: kindLost}, network.LostBytes)
			v.speak()
		}, nil},
		{"a loss in company", func(v *viewer) {
			v.mention(0, saying{kind: kindLost}, network.LostBytes)
			v.speak()
			v.sayBatch([]sched.Action{gain(2)})
			v.speak()
		}, [][]kind{{kindLost, kindGain}}},
		{"a loss that found none", func(v *viewer) {
			v.mention(0, saying{kind: kindLost}, network.LostBytes)
			v.w.nowMs += companyMs - 1
			v.sendLonely()
			v.w.nowMs++
			v.w.windowMs = v.w.nowMs
			v.sendLonely()
		}, [][]kind{{kindLost}}},
		{"what a leaf takes along", func(v *viewer) {
			v.sayBatch([]sched.Action{gain(2)})
			batch, bytes := v.takeAlong(0)
			v.send(event{end: 0, batch: batch, saying: saying{kind: kindLeaf}}, bytes+leafSize)
			v.speak()
		}, [][]kind{{kindGain, kindLeaf}}},
	} {
		if heard := listened(t, c.do); !slices.EqualFunc(heard, c.want, slices.Equal[[]kind]) {
			t.Errorf("%s: %v, want %v", c.name, heard, c.want)
		}
	}
}
