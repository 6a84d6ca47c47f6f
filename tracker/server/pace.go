package server

import (
	"math/bits"
	"sync"
	"time"
)

// pace is how many join and how long they wait, in the last few seconds.
type pace struct {
	mu      sync.Mutex
	seconds [paceSeconds + 1]second // by Unix time
	joins   int64                   // since the start
}

// second is what happened in one. Waits are sorted into classes that grow by a quarter, so a quantile is told to a quarter.
type second struct {
	unix  int64
	joins int
	waits [waitClasses]uint32
}

const (
	paceSeconds = 10
	waitClasses = 80 // the last begins at 3.7 s
)

// joined notes a join, and that its place was found after a while.
func (p *pace) joined(now time.Time, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unix := now.Unix()
	s := &p.seconds[uint64(unix)%uint64(len(p.seconds))]
	if s.unix != unix {
		*s = second{unix: unix}
	}
	s.joins++
	s.waits[waitClass(took)]++
	p.joins++
}

// Pace is what Stats tells of joins.
type Pace struct {
	Joins          int64   `json:"joins"`          // since the start
	JoinsPerSecond float64 `json:"joinsPerSecond"` // in the last ten whole seconds, and so are the waits
	JoinMsP50      float64 `json:"joinMsP50"`      // from a join message to a place and the first neighbours, in the tracker
	JoinMsP95      float64 `json:"joinMsP95"`
	JoinMsP99      float64 `json:"joinMsP99"`
}

// lately sums up the last whole seconds.
func (p *pace) lately(now time.Time) Pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	var waits [waitClasses]uint32
	joins, unix := 0, now.Unix()
	for i := range p.seconds {
		s := &p.seconds[i]
		if s.unix >= unix || s.unix < unix-paceSeconds {
			continue
		}
		joins += s.joins
		for class, n := range s.waits {
			waits[class] += n
		}
	}
	quantile := func(perMille int) float64 {
		left := (joins*perMille + 999) / 1000
		for class, n := range waits {
			if left -= int(n); n > 0 && left <= 0 {
				return classEnds(class).Seconds() * 1000
			}
		}
		return 0
	}
	return Pace{
		Joins: p.joins, JoinsPerSecond: float64(joins) / paceSeconds,
		JoinMsP50: quantile(500), JoinMsP95: quantile(950), JoinMsP99: quantile(990),
	}
}

// waitClass sorts a wait: four classes for each doubling.
func waitClass(took time.Duration) int {
	units := uint64(max(took, 0) / waitUnit)
	if units < 4 {
		return int(units)
	}
	exponent := bits.Len64(units) - 3
	return min(4*exponent+int(units>>exponent), waitClasses-1)
}

const waitUnit = 2 * time.Microsecond

// classEnds is the longest wait of a class.
func classEnds(class int) time.Duration {
	if class < 4 {
		return time.Duration(class+1) * waitUnit
	}
	exponent := class/4 - 1
	return time.Duration(5+class%4) << exponent * waitUnit
}
