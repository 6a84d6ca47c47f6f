package sched

// behaviour is what a hostile neighbour does. It has no core.
type behaviour int

const (
	honest  behaviour = iota
	flipper           // answers with bytes that nobody signed
	liar              // announces everything, then has nothing
	mute              // announces everything, then says nothing
	busy              // announces everything, then never has time
	dripper           // answers, a leaf each 900 ms
	flooder           // sends leaves that nobody asked for and asks without end
)

var behaviours = map[string]behaviour{
	"flipper": flipper, "liar": liar, "mute": mute, "busy": busy, "dripper": dripper, "flooder": flooder,
}

func (w *network) addHostile(b behaviour, uplink int64) *viewer {
	v := w.addViewer(uplink)
	v.behaviour = b
	return v
}

// met is called when a link opened.
func (v *viewer) met(n int32) {
	for g := range v.net.objects {
		v.boast(n, g)
	}
}

// boast announces an object that was never fetched.
func (v *viewer) boast(n int32, g int) {
	if v.core != nil || !v.links[n].open {
		return
	}
	p := v.net.objects[g]
	bits := make([]byte, bitfieldLen(Pieces(p.leaves)))
	for i := range Pieces(p.leaves) {
		setBit(bits, i)
	}
	v.send(v.links[n], func(peer *viewer, far int32) { peer.heard(far, g, bits) })
	if v.behaviour == flooder && p.publishedMs == v.net.nowMs {
		v.flood(n, g)
	}
}

func (v *viewer) flood(n int32, g int) {
	p := v.net.objects[g]
	for range 4 {
		v.sendLeaf(n, g, int32(v.draw(int64(p.leaves))), false)
	}
	v.net.at(v.net.nowMs+400, func() { // by now the victim knows of it
		for i := range int32(40) {
			v.send(v.links[n], func(peer *viewer, far int32) { peer.asked(far, g, i%Pieces(p.leaves), 15) })
		}
	})
}

func (v *viewer) hostileAsked(n int32, g int, piece, mask int32) {
	each := PieceLeaves(v.net.objects[g].leaves)
	answer := func(good bool) {
		for leaf := range each {
			if mask>>leaf&1 != 0 {
				v.sendLeaf(n, g, piece*each+leaf, good)
			}
		}
	}
	refuse := func(reason RefuseReason) {
		v.send(v.links[n], func(p *viewer, far int32) { p.about(Refuse, far, g, piece, int64(reason)) })
	}
	switch v.behaviour {
	case flipper:
		answer(false)
	case liar:
		refuse(NotHeld)
	case busy:
		refuse(Busy)
	case dripper:
		v.dripMs = max(v.dripMs, v.net.nowMs) + 900
		v.net.at(v.dripMs, func() { answer(true) })
	}
}
