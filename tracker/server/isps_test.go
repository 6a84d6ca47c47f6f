package server

import (
	"math"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"slipstream/tracker/announce"
)

// series are the values of one metric, by its labels' values joined.
func (h *hall) series(name string) map[string]float64 {
	h.t.Helper()
	reg := prometheus.NewRegistry()
	if err := h.Register(reg); err != nil {
		h.t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels += l.GetValue() + " "
			}
			all[labels] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// Who has the most viewers is named, whoever else there may be.
func TestViewersAreToldByISPAndState(t *testing.T) {
	h := openHall(t, 2)
	for isp := uint64(1); isp <= 15; isp++ {
		for range isp {
			h.enter(announce.Viewer, isp)
		}
	}
	h.enter(announce.Viewer, 0)
	h.enter(announce.Seeder, 15)
	idle := h.enter(announce.Viewer, 15)
	h.seats[idle].Report(announce.Report{Ready: true, NoUpload: true, Renditions: []string{"360p"}})
	late := h.enter(announce.Viewer, 15)
	h.seats[late].Report(announce.Report{Renditions: []string{"360p"}})
	h.settle()
	got := h.series("slipstream_tracker_isp_viewers")
	for labels, want := range map[string]float64{
		"AS15 sharing ": 15, "AS15 taking ": 1, "AS15 waiting ": 1, "AS15 resting ": 0, "AS6 sharing ": 6, "other sharing ": 5 + 4 + 3 + 2 + 1, "unknown sharing ": 1,
	} {
		if n, told := got[labels]; !told || n != want {
			t.Errorf("%s: %v (told: %v), want %v", labels, n, told, want)
		}
	}
	if want := (toldISPs + 2) * 4; len(got) != want {
		t.Errorf("%d series, want %d: %v", len(got), want, got)
	}
}

func TestISPsHaveNames(t *testing.T) {
	for address, want := range map[string]string{"198.51.100.7": "198.51.0.0/16", "2001:db8:1::1": "2001:db8::/32", "::ffff:203.0.113.9": "203.0.0.0/16"} {
		key, _ := byNetwork{}.Locate(netip.MustParseAddr(address))
		if got := ispName(key); got != want {
			t.Errorf("%s is of %s, want %s", address, got, want)
		}
	}
	if got := ispName(3215); got != "AS3215" {
		t.Error(got)
	}
}

// What a viewer got is dealt out to its neighbours, its first report being the base.
func TestBytesWithinISPsAreEstimated(t *testing.T) {
	h := openHall(t, 1)
	one := h.enter(announce.Viewer, 1)
	h.enter(announce.Viewer, 1)
	h.enter(announce.Viewer, 1)
	h.enter(announce.Viewer, 2)
	h.enter(announce.Seeder, 1)
	h.settle()
	say := func(bytes int64) {
		h.seats[one].Report(announce.Report{Ready: true, Neighbours: 4, Renditions: []string{"360p"}, P2PBytes: bytes})
		h.settle()
	}
	const name = "slipstream_tracker_p2p_bytes_estimate_total"
	say(0)
	say(4_000)
	say(1_000) // another playback
	got := h.series(name)
	for labels, want := range map[string]float64{"same ": 2_000, "other ": 1_000, "unknown ": 1_000} {
		if math.Abs(got[labels]-want) > 1e-6 {
			t.Errorf("%s: %v, want %v", labels, got[labels], want)
		}
	}
}
