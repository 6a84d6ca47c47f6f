package sched

// churn is the world that traces are recorded in: a channel with three renditions
// and all that happens to it in two minutes. Viewers come, go, die, switch, stall;
// links hiccup, the CDN fails, hostile neighbours do what they do.
type churn struct {
	net      *network
	sequence int64
}

const churnMs = 120_000

// cast says who takes part; those with a name are recorded.
var cast = []struct {
	name           string
	joinMs, stayMs int64 // 0: to the end
	uplink         int64
	capBytesPerSec int64
	noUpload       bool
	busyMs         int64
	behaviour      behaviour
}{
	{name: "first", uplink: 1 << 20},
	{name: "no-upload", joinMs: 3_000, uplink: 1 << 20, noUpload: true},
	{name: "capped", joinMs: 4_000, uplink: 1 << 20, capBytesPerSec: 60_000, busyMs: 80},
	{name: "slow", joinMs: 6_000, uplink: 16_000},
	{name: "late", joinMs: 41_500, uplink: 400_000},
	{joinMs: 1_000, uplink: 250_000},
	{joinMs: 2_000, stayMs: 50_000, uplink: 250_000},
	{joinMs: 5_000, stayMs: 31_000, uplink: 500_000},
	{joinMs: 12_000, stayMs: 45_000, uplink: 150_000},
	{joinMs: 30_000, uplink: 2 << 20},
	{joinMs: 33_000, stayMs: 40_000, uplink: 100_000},
	{joinMs: 60_000, uplink: 300_000},
	{joinMs: 8_000, stayMs: 60_000, uplink: 500_000, behaviour: mute},
	{joinMs: 15_000, uplink: 500_000, behaviour: flipper},
	{joinMs: 20_000, uplink: 500_000, behaviour: liar},
	{joinMs: 25_000, uplink: 500_000, behaviour: busy},
	{joinMs: 28_000, uplink: 500_000, behaviour: dripper},
	{joinMs: 45_000, uplink: 4 << 20, behaviour: flooder},
}

// newChurn prepares it all, differently for each seed; record is called when a viewer with a name joins.
func newChurn(seed uint32, record func(v *viewer)) *churn {
	w := newNetwork(seed)
	w.bursty, w.cdnRate = true, 700_000
	w.cdnDown = func(nowMs int64) bool {
		t := nowMs - epochMs
		return t > 22_000 && t < 24_500 || t > 70_000 && t < 71_000 || t%10_000 < 150
	}
	c := &churn{net: w, sequence: epochMs / 2000}
	for _, who := range cast {
		w.at(epochMs+who.joinMs, func() {
			var v *viewer
			if who.behaviour != honest {
				v = w.addHostile(who.behaviour, who.uplink)
			} else {
				cfg := DefaultConfig(mix32(uint32(len(w.viewers)) + 77 + seed))
				cfg.UploadBytesPerSec, cfg.NoUpload = who.capBytesPerSec, who.noUpload
				v = w.add(cfg, who.uplink)
				v.name, v.busyMs = who.name, who.busyMs
				v.level = int32(v.draw(3))
				if who.name != "" {
					record(v)
				}
				c.poll(v)
				c.player(v)
			}
			c.neighbours(v)
			if who.stayMs > 0 {
				w.at(w.nowMs+who.stayMs, func() { c.exit(v) })
			}
		})
	}
	c.publish()
	return c
}

// hearCaps has the tracker tell a viewer how much it may upload: less than it has, more, and as much as it likes.
func (v *viewer) hearCaps() {
	for _, told := range []struct{ atMs, bytesPerSec int64 }{{30_000, 20_000}, {60_000, 1 << 20}, {90_000, 40_000}, {110_000, 0}} {
		v.net.at(epochMs+told.atMs, func() { v.emit(Event{Kind: Cap, Value: told.bytesPerSec}) })
	}
}

func (c *churn) exit(v *viewer) {
	if v.draw(2) == 0 {
		v.kill()
	} else {
		v.leave()
	}
}

// publish adds a segment of each rendition every two seconds.
func (c *churn) publish() {
	w := c.net
	c.sequence++
	for rendition, bytes := range []int64{70_000, 250_000, 800_000} {
		size := bytes + int64(mix32(uint32(c.sequence)*3+uint32(rendition)))%(bytes/4)
		g := w.publish(publication{rendition: int32(rendition), sequence: c.sequence,
			leaves: int32((size + leafSize - 1) / leafSize), size: size})
		for _, v := range w.viewers {
			for n := range v.links {
				v.boast(int32(n), g)
			}
		}
	}
	w.at(w.nowMs+2000, c.publish)
}

// poll shows a viewer what is new in its rendition, and takes away what is old.
func (c *churn) poll(v *viewer) {
	if v.diedMs > 0 {
		return
	}
	w := c.net
	for g, p := range w.objects {
		_, known := v.local[g]
		switch {
		case known && w.nowMs-p.publishedMs > 16_000:
			v.forget(g)
		case !known && p.rendition == v.level && w.nowMs-p.publishedMs < 5_000:
			v.learn(g, max(p.publishedMs+4_000, w.nowMs))
		}
	}
	w.at(w.nowMs+300+v.draw(500), func() { c.poll(v) })
}

// player switches levels, jumps, and looks for neighbours when there are few.
func (c *churn) player(v *viewer) {
	w := c.net
	w.at(w.nowMs+4_000+v.draw(9_000), func() {
		if v.diedMs > 0 {
			return
		}
		switch v.draw(4) {
		case 0, 1:
			v.level = int32(v.draw(3))
			for g, p := range w.objects {
				switch due := p.publishedMs + 4_000; {
				case p.rendition != v.level && v.deadline[g] > w.nowMs:
					v.want(g, 0)
				case p.rendition == v.level && due > w.nowMs:
					v.want(g, due)
				}
			}
			w.deal()
		case 2: // jump: all is needed a second earlier
			for g := range w.objects {
				if v.deadline[g] > w.nowMs+1_000 {
					v.want(g, v.deadline[g]-1_000)
				}
			}
		}
		c.neighbours(v)
		c.player(v)
	})
}

// neighbours connects a viewer to some others.
func (c *churn) neighbours(v *viewer) {
	w := c.net
	for range 8 {
		if v.open() >= 7 {
			break
		}
		w.connect(v, w.viewers[v.draw(int64(len(w.viewers)))])
	}
	w.deal()
}
