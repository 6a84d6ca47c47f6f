package emulate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slipstream/sim/scenario"
)

// needHosts skips where hosts cannot be made. CI runs as root.
func needHosts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("this test makes network namespaces and needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("this kernel has no TUN devices")
	}
}

func newTestStage(t *testing.T, text string) *stage {
	t.Helper()
	needHosts(t)
	p, err := newPlan(parse(t, text), 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStage(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// within runs f in a host's network.
func (s *stage) within(t *testing.T, host int, f func() error) {
	t.Helper()
	if err := inThread(func() error {
		if err := s.spaces[host].enter(); err != nil {
			return err
		}
		return f()
	}); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) udp(t *testing.T, host int) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	s.within(t, host, func() (err error) {
		conn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.plan.hosts[host].addr, 4000)))
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

const twoHosts = `
viewers: { count: 2, lines: [{ uplink: 4Mbps, downlink: 20Mbps }] }
network: { oneWay: 30ms }
`

func TestARoundTripTakesWhatTheScenarioSays(t *testing.T) {
	s := newTestStage(t, twoHosts)
	near, far := s.udp(t, 0), s.udp(t, 1)
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := far.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = far.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	least := time.Hour
	buf := make([]byte, 100)
	for range 20 {
		begin := time.Now()
		if _, err := near.WriteToUDPAddrPort([]byte("ping"), far.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatal(err)
		}
		_ = near.SetReadDeadline(begin.Add(10 * time.Second))
		if _, err := near.Read(buf); err != nil {
			t.Fatal(err)
		}
		least = min(least, time.Since(begin))
	}
	// The fastest of twenty: a busy machine may delay some, the network must delay all.
	if least < 60*time.Millisecond || least > 80*time.Millisecond {
		t.Errorf("the fastest round trip took %v, configured are 60 ms", least)
	}
}

func TestTCPGetsTheRateOfTheUplinkAndItsBytesArrive(t *testing.T) {
	s := newTestStage(t, twoHosts)
	const size = 1_500_000 // 3 s at 4 Mb/s
	sent := bytes.Repeat([]byte("slipstream"), size/10)
	var listener net.Listener
	s.within(t, 1, func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(s.plan.hosts[1].addr, 4001).String())
		return err
	})
	defer listener.Close()
	received := make(chan []byte, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			received <- nil
			return
		}
		all, _ := io.ReadAll(conn)
		conn.Close()
		received <- all
	}()
	conn, err := s.spaces[0].dial(context.Background(), "tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	got := <-received
	took := time.Since(begin)
	if sha256.Sum256(got) != sha256.Sum256(sent) {
		t.Errorf("%d bytes were sent, %d others arrived", len(sent), len(got))
	}
	up := s.carrier.counts(0)
	if least := time.Duration(up.SentBytes-100_000) * time.Second / 500_000; took < least {
		t.Errorf("%d bytes passed a line of 4 Mb/s in %v; %v would be possible", up.SentBytes, took, least)
	}
	// Half of the rate would be something else than what was configured.
	if took > 6*time.Second {
		t.Errorf("1.5 MB over 4 Mb/s took %v", took)
	}
	if overhead := float64(up.SentBytes) / size; overhead > 1.25 {
		t.Errorf("%.2f bytes were sent for each that was to be", overhead)
	}
}

func TestLossBetweenHostsIsCountedAndAsConfigured(t *testing.T) {
	s := newTestStage(t, "viewers: { count: 2 }\nnetwork: { loss: 10% }")
	near, far := s.udp(t, 0), s.udp(t, 1)
	const packets = 1000
	var came atomic.Int64
	arrived := make(chan int, 1)
	go func() {
		buf := make([]byte, 100)
		for {
			if _, err := far.Read(buf); err != nil {
				arrived <- int(came.Load())
				return
			}
			if n := came.Add(1); binary.BigEndian.Uint16(buf) == packets { // more of these follow, should one be lost
				arrived <- int(n)
				return
			}
		}
	}()
	send := func(n int) {
		if _, err := near.WriteToUDPAddrPort(binary.BigEndian.AppendUint16(nil, uint16(n)), far.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
			t.Fatal(err)
		}
	}
	until := time.Now().Add(10 * time.Second)
	for i := range packets {
		// On a busy machine more than some hundred under way would be dropped by the kernel, which is not what is measured.
		for c := s.carrier.counts(0); int64(i) > came.Load()+c.Lost+c.UpDropped+100 && time.Now().Before(until); c = s.carrier.counts(0) {
			time.Sleep(time.Millisecond)
		}
		send(i)
	}
	_ = far.SetReadDeadline(until)
	for i := 0; ; i++ {
		send(packets)
		select {
		case n := <-arrived:
			c := s.carrier.counts(0)
			lost := float64(packets - (n - 1))
			if sigma := math.Sqrt(packets * 0.1 * 0.9); math.Abs(lost-packets*0.1) > 4*sigma+float64(c.UpDropped) {
				t.Errorf("%.0f of %d datagrams did not arrive, configured are 10 %%", lost, packets)
			}
			if int64(lost) > c.Lost+c.UpDropped {
				t.Errorf("%.0f did not arrive, but only %d lost and %d dropped were counted", lost, c.Lost, c.UpDropped)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestClosingLeavesNothing(t *testing.T) {
	s := newTestStage(t, twoHosts)
	child, err := s.run(0, program{name: "child", path: "sleep", args: []string{"1000"}})
	if err != nil {
		t.Fatal(err)
	}
	script, err := s.scripts(1)
	if err != nil {
		t.Fatal(err)
	}
	foreign := exec.Command(script.run, "sh", "-c", "trap '' INT TERM; echo here; sleep 1000 & wait")
	out, _ := foreign.StdoutPipe()
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	inode, err := s.spaces[1].inode()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := netNamespace(foreign.Process.Pid); got != inode {
		t.Error("a host's script runs its arguments somewhere else")
	}
	s.close()
	if !child.ended() {
		t.Error("a child outlived the stage")
	}
	if err := foreign.Wait(); err == nil {
		t.Error("what a script started outlived the stage")
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory is still there")
	}
	for _, pid := range processes() {
		if got, err := netNamespace(pid); err == nil && got == inode && !zombie(pid) {
			t.Errorf("process %d is still on a host", pid)
		}
	}
}

// victim is what a subprocess does to be killed in the middle of it.
const victim = "SLIPSTREAM_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victim) != "" {
		beVictim()
		return
	}
	os.Exit(m.Run())
}

// beVictim sets a stage up, says where it is, and waits for the end.
func beVictim() {
	cfg, err := scenario.Parse([]byte(twoHosts), nil)
	if err != nil {
		panic(err)
	}
	p, err := newPlan(cfg, 1)
	if err != nil {
		panic(err)
	}
	s, err := newStage(p)
	if err != nil {
		panic(err)
	}
	child, err := s.run(0, program{name: "child", path: "sleep", args: []string{"1000"}})
	if err != nil {
		panic(err)
	}
	script, err := s.scripts(1)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(strings.Join([]string{s.dir, script.run, netName(child.cmd.Process.Pid)}, " ") + "\n")
	select {}
}

func netName(pid int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return name
}

func TestAKilledEmulatorsLeftoversAreRemovedByTheNext(t *testing.T) {
	needHosts(t)
	emulator := exec.Command(os.Args[0])
	emulator.Env = append(os.Environ(), victim+"=1")
	emulator.Stderr = os.Stderr
	out, err := emulator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := emulator.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 0, 200)
	for b := make([]byte, 1); len(line) == 0 || line[len(line)-1] != '\n'; line = append(line, b[0]) {
		if _, err := io.ReadFull(out, b); err != nil {
			t.Fatalf("the emulator said %q: %v", line, err)
		}
	}
	said := strings.Fields(string(line))
	dir, script, space := said[0], said[1], said[2]
	foreign := exec.Command(script, "sh", "-c", "echo here; exec sleep 1000")
	ready, _ := foreign.StdoutPipe()
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ready, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}

	if err := emulator.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = emulator.Wait()
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("a killed emulator cannot have tidied up: %v", err)
	}
	if err := removeLeftovers(); err != nil {
		t.Fatal(err)
	}
	if err := foreign.Wait(); err == nil {
		t.Error("what a script started lives on")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory is still there")
	}
	// The emulator's own children are killed by the kernel, which takes a moment: while they die they have a namespace still.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		left := slices.DeleteFunc(processes(), func(pid int) bool { return netName(pid) != space || zombie(pid) })
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the processes %v are still on a host of the dead emulator", left)
		}
	}
}

func TestALivingEmulationIsLeftAlone(t *testing.T) {
	s := newTestStage(t, twoHosts)
	child, err := s.run(0, program{name: "child", path: "sleep", args: []string{"1000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := removeLeftovers(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.dir); err != nil || child.ended() {
		t.Error("another emulator took a living one's things")
	}
}
