package network

import "testing"

func TestALossyPathIsAsFastAsMathisSays(t *testing.T) {
	loss := NewLoss(0.01)
	var p Path
	var sent int64
	for range 1000 {
		sent, _ = p.Send(loss, 0, 25_000, 10_000, 1, 1) // no packet is lost
	}
	// 1172 B / 50 ms · √150 = 287 kB/s
	if rate := 10_000_000 * 1_000_000 / sent; rate < 280_000 || rate > 295_000 {
		t.Errorf("%d bytes/s at 1 %% and 50 ms", rate)
	}
}

func TestALostPacketComesLater(t *testing.T) {
	loss := NewLoss(0.01)
	for _, c := range []struct {
		name       string
		bytes      int64
		lost, late float64
		arrives    int64
	}{
		{"nothing lost", 1000, 0.5, 0, 25_000},
		{"the only packet", 1000, 0.005, 0, 25_000 + 1_000_000},
		{"one of many", 100_000, 0.5, 0.5, 25_000 + 50_000},
		{"one of the last of many", 100_000, 0.5, 0.01, 25_000 + 1_000_000},
	} {
		var p Path
		sent, arrives := p.Send(loss, 0, 25_000, c.bytes, c.lost, c.late)
		if want := sent + c.arrives; arrives != want {
			t.Errorf("%s: there at %d, want %d", c.name, arrives, want)
		}
		if _, next := p.Send(loss, 0, 25_000, 10, 1, 1); next < arrives {
			t.Errorf("%s: the next message overtakes it", c.name)
		}
	}
	if NewLoss(0).P != 0 {
		t.Error("no loss is a loss")
	}
}
