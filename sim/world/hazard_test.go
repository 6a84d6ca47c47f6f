package world

import (
	"testing"
)

// Attackers of every kind are in the room: no bad byte is played, nobody stalls, and
// honest viewers still help each other.
func TestAttackersHarmNobody(t *testing.T) {
	for name, kind := range HostileKinds {
		t.Run(name, func(t *testing.T) {
			cfg := fewViewers(24)
			cfg.Hostile = Hostile{Share: 0.3, Kind: kind}
			r := run(t, cfg)
			hostile, rejected := 0, int64(0)
			for _, v := range r.Viewers {
				if v.Hostile {
					hostile++
					continue
				}
				rejected += v.RejectedLeaves
				if v.BadBytes != 0 || v.Stalls != 0 {
					t.Errorf("viewer %d played %d bad bytes and stalled %d times", v.Number, v.BadBytes, v.Stalls)
				}
			}
			if hostile < 6 || hostile > 8 {
				t.Errorf("30 %% of 24 are %d", hostile)
			}
			if bad := kind == Pollute || kind == Truncate; bad && rejected == 0 {
				t.Error("no bad leaf was rejected: the attack did not take place")
			}
			if offload := float64(r.Measured.P2PBytes) / float64(r.Measured.ViewerBytes); offload < 0.6 {
				t.Errorf("honest viewers got %.2f of their media from neighbours", offload)
			}
		})
	}
}

func TestAttackersDoWhatTheyAreCalled(t *testing.T) {
	attack := func(kind HostileKind) (given, refused, unasked int64) {
		cfg := fewViewers(12)
		cfg.Hostile = Hostile{Share: 0.5, Kind: kind}
		for _, v := range run(t, cfg).Viewers {
			if v.Hostile {
				given += v.UploadedBytes
				refused += v.Refusals
			} else {
				unasked += v.UnexpectedBytes + v.DuplicateBytes
			}
		}
		return given, refused, unasked
	}
	if given, refused, _ := attack(Freeride); given != 0 || refused == 0 {
		t.Errorf("free riders gave %d bytes and refused %d leaves", given, refused)
	}
	if given, refused, _ := attack(Lie); given != 0 || refused != 0 {
		t.Errorf("liars gave %d bytes and refused %d leaves", given, refused)
	}
	if _, _, unasked := attack(Replay); unasked == 0 {
		t.Error("nobody got anything unasked from those who replay")
	}
}

func TestWhichNATsGetThroughToEachOther(t *testing.T) {
	kinds := []NATKind{EndpointIndependent, AddressDependent, AddressAndPortDependent, Symmetric, Blocked}
	table := []string{
		"yyyyn",
		"yyyyn",
		"yyynn",
		"yynnn",
		"nnnnn",
	}
	for i, a := range kinds {
		for j, b := range kinds {
			if got, want := connectable(a, b), table[i][j] == 'y'; got != want {
				t.Errorf("NATs %d and %d: %v, want %v", a, b, got, want)
			}
		}
	}
}

func TestThoseBehindHopelessNATsPlayFromTheCDN(t *testing.T) {
	cfg := fewViewers(10)
	cfg.NATs = []NAT{{Kind: EndpointIndependent, Share: 0.5}, {Kind: Blocked, Share: 0.5}}
	alone := 0
	for _, v := range run(t, cfg).Viewers {
		if v.P2PBytes == 0 && v.UploadedBytes == 0 {
			alone++
		}
		if v.Stalls != 0 {
			t.Errorf("viewer %d stalls %d times", v.Number, v.Stalls)
		}
	}
	if alone < 4 || alone > 6 {
		t.Errorf("%d of 10 are alone, want about 5", alone)
	}
}

func TestFarPlacesAreFar(t *testing.T) {
	cfg := fewViewers(16)
	slow := cfg
	slow.Places = []Place{
		{Name: "here", Share: 0.5, OneWayMs: []int64{30, 200}},
		{Name: "there", Share: 0.5, OneWayMs: []int64{200, 30}},
	}
	near, far := run(t, cfg), run(t, slow)
	if near.SpreadMs(0.95) >= far.SpreadMs(0.95) {
		t.Errorf("95 %% of deliveries took %d ms, with half of the viewers far away %d", near.SpreadMs(0.95), far.SpreadMs(0.95))
	}
	for _, v := range far.Viewers {
		if v.Stalls != 0 {
			t.Errorf("viewer %d stalls %d times", v.Number, v.Stalls)
		}
	}
}

func TestLossSlowsAndStallsNobody(t *testing.T) {
	cfg := fewViewers(10)
	clean := run(t, cfg)
	cfg.Network.Loss = 0.05
	lossy := run(t, cfg)
	for _, v := range lossy.Viewers {
		if v.Stalls != 0 {
			t.Errorf("viewer %d stalls %d times", v.Number, v.Stalls)
		}
	}
	if lossy.SpreadMs(0.5) <= clean.SpreadMs(0.5) || lossy.Measured.P2PBytes == 0 {
		t.Errorf("half of the deliveries took %d ms with loss, %d without; %d bytes from neighbours",
			lossy.SpreadMs(0.5), clean.SpreadMs(0.5), lossy.Measured.P2PBytes)
	}
}

// While the CDN answers nothing but errors, those who have neighbours with the
// segments go on; afterwards everybody does.
func TestTheCDNFailsAndComesBack(t *testing.T) {
	cfg := fewViewers(6)
	cfg.CDN.Errors = 0.2
	for _, v := range run(t, cfg).Viewers {
		if v.Stalls != 0 {
			t.Errorf("one request in five fails: viewer %d stalls %d times", v.Number, v.Stalls)
		}
	}
	cfg.CDN.Errors = 0
	cfg.CDN.Outages = []Outage{{FromMs: 15_000, ToMs: 23_000}}
	for _, v := range run(t, cfg).Viewers {
		if v.Stalls == 0 || v.StallMs > 8000 || v.LatencyMs > 30_000 {
			t.Errorf("an outage of 8 s: viewer %d stalls %d times, %d ms in all, and is %d ms behind", v.Number, v.Stalls, v.StallMs, v.LatencyMs)
		}
	}
}

func TestASlowCDNIsSlowForAWhile(t *testing.T) {
	cfg := fewViewers(1)
	cfg.PeerToPeer = false // one response at a time
	cfg.CDN.Slow = []Slow{{FromMs: 12_000, ToMs: 30_000, ServerMs: 5, BytesPerSec: cfg.Stream.BytesPerSec / 2}}
	v := run(t, cfg).Viewers[0]
	if v.Stalls == 0 {
		t.Error("a viewer alone on half of the bitrate never stalls")
	}
	cfg.CDN.Slow[0].BytesPerSec = 0
	if v := run(t, cfg).Viewers[0]; v.Stalls != 0 {
		t.Errorf("with unlimited responses it stalls %d times", v.Stalls)
	}
}
