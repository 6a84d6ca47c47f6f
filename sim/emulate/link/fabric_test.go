package link

import (
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func addr(n byte) netip.Addr                    { return netip.AddrFrom4([4]byte{10, 0, n, 2}) }
func end(host byte, port uint16) netip.AddrPort { return netip.AddrPortFrom(addr(host), port) }

// network makes hosts 1 … n, 30 ms apart.
func network(t testing.TB, hosts byte, change func(*Config)) *Fabric {
	t.Helper()
	c := Config{DelayUs: func(int, int) int64 { return 30_000 }, Seed: 1}
	for n := range hosts {
		c.Hosts = append(c.Hosts, Host{Addr: addr(n + 1)})
	}
	if change != nil {
		change(&c)
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func twoHosts(t testing.TB, change func(*Config)) *Fabric { return network(t, 2, change) }

// arrived is what came out of a fabric.
type arrived struct {
	to   int
	atUs int64
	data string
}

func drain(f *Fabric) (all []arrived) {
	f.Advance(math.MaxInt64, func(to int, dueUs int64, data []byte) {
		all = append(all, arrived{to, dueUs, string(data)})
	})
	return all
}

// full is a packet of 1000 bytes from host 1 to host 2 with a mark in it.
func full(mark byte) packet {
	payload := make([]byte, 1000-ipHeader-udpHeader)
	payload[0] = mark
	return datagramOf(end(1, 5000), end(2, 6000), payload)
}

func TestAPacketTakesItsLinesAndItsWay(t *testing.T) {
	f := twoHosts(t, func(c *Config) {
		c.Hosts[0].Up = Line{BytesPerSec: 100_000, QueueUs: 1e6}  // 10 ms each
		c.Hosts[1].Down = Line{BytesPerSec: 50_000, QueueUs: 1e6} // 20 ms each
	})
	f.Accept(0, 0, full(1))
	f.Accept(0, 0, full(2))
	if next, ok := f.NextUs(); !ok || next != 40_000 {
		t.Errorf("the first is at the far line at %d, want 40000", next)
	}
	f.Advance(59_999, func(int, int64, []byte) { t.Error("a packet came too early") })
	got := drain(f)
	if len(got) != 2 || got[0].atUs != 60_000 || got[1].atUs != 80_000 || got[0].to != 1 || got[0].data != string(full(1)) {
		t.Errorf("came out: %d packets, at %v", len(got), got)
	}
	if up, down := f.Counts(0), f.Counts(1); up.SentPackets != 2 || up.SentBytes != 2000 || down.ReceivedPackets != 2 || down.ReceivedBytes != 2000 {
		t.Errorf("counted %+v and %+v", up, down)
	}
}

func TestLateDeliveryDoesNotMakeTheNetworkSlower(t *testing.T) {
	f := twoHosts(t, func(c *Config) { c.Hosts[1].Down = Line{BytesPerSec: 50_000, QueueUs: 1e6} })
	f.Accept(0, 0, full(1))
	if got := drain(f); len(got) != 1 || got[0].atUs != 50_000 { // whoever asked at the end of time
		t.Errorf("came out: %v", got)
	}
}

func TestFullQueuesDropAndCount(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		dropped func(*Fabric) int64
	}{
		{"uplink", func(c *Config) { c.Hosts[0].Up = Line{BytesPerSec: 100_000, QueueUs: 100_000} }, func(f *Fabric) int64 { return f.Counts(0).UpDropped }},
		{"downlink", func(c *Config) { c.Hosts[1].Down = Line{BytesPerSec: 100_000, QueueUs: 100_000} }, func(f *Fabric) int64 { return f.Counts(1).DownDropped }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := twoHosts(t, c.change)
			for range 50 {
				f.Accept(0, 0, full(0))
			}
			if got := drain(f); len(got) != 11 || c.dropped(f) != 39 { // 10 wait 100 ms, one is being sent
				t.Errorf("%d arrived, %d were dropped; want 11 and 39", len(got), c.dropped(f))
			}
		})
	}
}

func TestLossIsWhatWasConfiguredAndTheSameEveryTime(t *testing.T) {
	const packets = 10_000
	run := func(others bool) (string, int64) {
		f := network(t, 3, func(c *Config) { c.Loss = 0.05 })
		got := ""
		for i := range packets {
			f.Accept(int64(i), 0, full(byte(i)))
			if others {
				f.Accept(int64(i), 2, datagramOf(end(3, 1), end(2, 2), nil))
			}
			f.Advance(int64(i), func(_ int, _ int64, data []byte) {
				if len(data) == 1000 {
					got += data2(data)
				}
			})
		}
		for _, a := range drain(f) {
			if len(a.data) == 1000 {
				got += data2([]byte(a.data))
			}
		}
		return got, f.Counts(0).Lost
	}
	alone, lost := run(false)
	if int64(len(alone))+lost != packets {
		t.Errorf("%d arrived and %d were lost of %d", len(alone), lost, packets)
	}
	if sigma := math.Sqrt(packets * 0.05 * 0.95); math.Abs(float64(lost)-packets*0.05) > 4*sigma {
		t.Errorf("%d of %d were lost, configured are 5 %%", lost, packets)
	}
	if among, _ := run(true); among != alone {
		t.Error("another host's packets changed which of ours are lost")
	}
}

// data2 is the mark of a full packet.
func data2(data []byte) string { return string(data[ipHeader+udpHeader : ipHeader+udpHeader+1]) }

func TestJitterDelaysButKeepsTheOrderOfAPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := New(Config{
			Hosts:   []Host{{Addr: addr(1)}, {Addr: addr(2)}},
			DelayUs: func(int, int) int64 { return 30_000 }, JitterUs: 20_000, Seed: rapid.Uint64().Draw(t, "seed"),
		})
		if err != nil {
			t.Fatal(err)
		}
		sent := rapid.SliceOfN(rapid.Int64Range(0, 5_000), 1, 40).Draw(t, "gaps")
		nowUs, times := int64(0), []int64{}
		for i, gap := range sent {
			nowUs += gap
			times = append(times, nowUs)
			f.Accept(nowUs, 0, full(byte(i)))
		}
		for i, a := range drain(f) {
			if delay := a.atUs - times[i]; a.data != string(full(byte(i))) || delay < 30_000 || delay > 50_000 {
				t.Fatalf("packet %d comes in the place of %d after %d µs", a.data[ipHeader+udpHeader], i, a.atUs-times[i])
			}
		}
	})
}

func TestMulticastReachesAllOthers(t *testing.T) {
	f := network(t, 4, nil)
	f.Accept(0, 1, datagramOf(end(2, 5353), netip.MustParseAddrPort("224.0.0.251:5353"), []byte("who is x.local?")))
	reached := map[int]bool{}
	for _, a := range drain(f) {
		reached[a.to] = true
	}
	if len(reached) != 3 || reached[1] {
		t.Errorf("reached %v, want all but host 1", reached)
	}
}

func TestWhatGoesNowhereIsCounted(t *testing.T) {
	f := network(t, 3, func(c *Config) { c.Severed = func(a, b int) bool { return a+b == 1 } })
	tcp := datagramOf(end(1, 1), end(2, 2), nil)
	tcp[9] = 6
	for _, p := range []packet{
		{}, {0x60}, full(1)[:500], // nothing, IPv6, cut off
		datagramOf(end(1, 1), end(9, 2), nil), // nobody
		datagramOf(end(2, 1), end(3, 2), nil), // not its own address
		full(1),                               // the pair is severed
		tcp,                                   // but not for TCP
		datagramOf(end(1, 1), end(3, 2), nil), // and not to others
	} {
		f.Accept(0, 0, p)
	}
	if got := drain(f); len(got) != 2 || f.Counts(0).Unroutable != 5 || f.Counts(0).Filtered != 1 {
		t.Errorf("%d arrived, counted %+v", len(got), f.Counts(0))
	}
}

func TestTwoHostsCannotShareAnAddress(t *testing.T) {
	if _, err := New(Config{Hosts: []Host{{Addr: addr(1)}, {Addr: addr(1)}}}); err == nil {
		t.Error("accepted")
	}
}
