package emulate

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slipstream/sim/emulate/link"
)

// carrier runs a fabric in real time between TUN devices: one goroutine to read
// each, one to deliver. Its clock is a timerfd, which is exact to some tens of
// microseconds where the runtime's timers are to a millisecond.
type carrier struct {
	begun   time.Time
	devices []*os.File
	timer   *os.File
	timerFD int
	running sync.WaitGroup

	mu      sync.Mutex
	fabric  *link.Fabric
	armedUs int64 // when the timer goes off; 0: never
	late    lateness
}

func startCarrier(fabric *link.Fabric, devices []*os.File) (*carrier, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("a timer cannot be made: %w", err)
	}
	c := &carrier{begun: time.Now(), devices: devices, fabric: fabric, timer: os.NewFile(uintptr(fd), "timer"), timerFD: fd}
	for i, device := range devices {
		c.running.Go(func() { c.receive(i, device) })
	}
	c.running.Go(c.deliver)
	return c, nil
}

// stop is called when the devices are closed.
func (c *carrier) stop() {
	c.timer.Close()
	c.running.Wait()
}

func (c *carrier) nowUs() int64 { return time.Since(c.begun).Microseconds() }

// receive takes what a host sends.
func (c *carrier) receive(host int, device *os.File) {
	buf := make([]byte, 1<<16)
	for {
		n, err := device.Read(buf)
		if err != nil {
			return // closed
		}
		c.mu.Lock()
		c.fabric.Accept(c.nowUs(), host, buf[:n])
		c.arm()
		c.mu.Unlock()
	}
}

// arm sets the timer to the next event, if that is earlier than what it is set to.
func (c *carrier) arm() {
	nextUs, ok := c.fabric.NextUs()
	if !ok || c.armedUs != 0 && c.armedUs <= nextUs {
		return
	}
	c.armedUs = nextUs
	// Zero would disarm it.
	wait := max(time.Duration(nextUs-c.nowUs())*time.Microsecond, 1)
	_ = unix.TimerfdSettime(c.timerFD, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}, nil) // fails only when closed
}

// deliver gives packets to their hosts when they are due.
func (c *carrier) deliver() {
	ticks := make([]byte, 8)
	var due []arrival
	for {
		if _, err := c.timer.Read(ticks); err != nil {
			if errors.Is(err, unix.EAGAIN) {
				continue // it was set anew between its going off and our reading
			}
			return
		}
		c.mu.Lock()
		c.armedUs = 0
		nowUs := c.nowUs()
		c.fabric.Advance(nowUs, func(to int, dueUs int64, data []byte) {
			c.late.add(nowUs - dueUs)
			due = append(due, arrival{to, append([]byte(nil), data...)})
		})
		c.arm()
		c.mu.Unlock()
		for i, a := range due {
			_, _ = c.devices[a.to].Write(a.data) // a device that is closed takes nothing
			due[i] = arrival{}
		}
		due = due[:0]
	}
}

type arrival struct {
	to   int
	data []byte
}

// counts are those of one host.
func (c *carrier) counts(host int) link.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fabric.Counts(host)
}

// lateMs is the time by which the given share of packets was at most late.
func (c *carrier) lateMs(share float64) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late.percentileMs(share)
}

// lateness says how well the emulator kept up: by how much packets came later than
// the emulated network had them come.
type lateness struct {
	tenths [1001]int64 // by tenths of a millisecond; the last: 100 ms and more
	all    int64
}

func (l *lateness) add(us int64) {
	l.tenths[min(us/100, int64(len(l.tenths)-1))]++
	l.all++
}

func (l *lateness) percentileMs(share float64) float64 {
	sum := int64(0)
	for i, n := range l.tenths {
		if sum += n; float64(sum) >= share*float64(l.all) {
			return float64(i) / 10
		}
	}
	return 0
}
