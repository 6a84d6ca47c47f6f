package benchtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is USER_HZ of Linux on every architecture that Go runs on.
const ticksPerSecond = 100

// Stat is what Linux tells of a process in /proc/<pid>/stat, by the numbers that proc(5) gives the fields: parent 4, user
// and system time 14 and 15, those of children that were waited for 16 and 17, threads 20, pages of memory 24.
type Stat []string

// ReadStat fails if there is no such process.
func ReadStat(pid int) (Stat, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	// The name, field 2, is in brackets and may hold anything.
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])), nil
}

// Number is a field from 3 on, 0 where it is no number.
func (s Stat) Number(field int) int64 {
	if field-3 >= len(s) {
		return 0
	}
	n, _ := strconv.ParseInt(s[field-3], 10, 64)
	return n
}

// Seconds is a field that is a time.
func (s Stat) Seconds(field int) float64 { return float64(s.Number(field)) / ticksPerSecond }

// CPUSeconds is what the process has used, with what the kernel has on its behalf.
func (s Stat) CPUSeconds() float64 { return s.Seconds(14) + s.Seconds(15) }

// Machine is what this machine's cores have done since it started, in seconds: work of any process, and nothing.
type Machine struct{ busy, idle float64 }

// MachineTimes is all zero where there is no /proc.
func MachineTimes() (m Machine) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(first)[1:] { // user, nice, system, idle, iowait, irq, softirq, steal; see proc(5)
		ticks, _ := strconv.ParseFloat(field, 64)
		switch {
		case i == 3 || i == 4:
			m.idle += ticks / ticksPerSecond
		case i < 8:
			m.busy += ticks / ticksPerSecond
		}
	}
	return m
}

// IdleShare tells how much of the machine was left over since then. Where it is near nothing, something else was measured.
func (m Machine) IdleShare() float64 {
	now := MachineTimes()
	busy, idle := now.busy-m.busy, now.idle-m.idle
	if busy+idle == 0 {
		return 0
	}
	return idle / (busy + idle)
}

// FreeAddress is a TCP address of this machine that was free a moment ago, for programs that must be told one.
func FreeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
