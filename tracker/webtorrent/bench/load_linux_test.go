package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipstream/origin/benchtest"
)

// mix is what the load generator does.
type mix struct {
	Name     string  `json:"name"`
	Peers    int     `json:"peers"`
	Swarm    int     `json:"swarmPeers"` // of each swarm; a peer stays in its own
	Offers   int     `json:"offers"`     // of each announce
	SDP      int     `json:"sdpBytes"`
	InFlight int     `json:"inFlight"` // announces at a time
	Rate     float64 `json:"rate"`     // announces a second at most; 0: as fast as they are done
	Seconds  float64 `json:"seconds"`
}

// outcome is what came of it. An announce with n offers leads to 1 + 2n messages from the tracker: its answer, n offers,
// and the answers to those.
type outcome struct {
	Announces    int     `json:"announces"`
	Delivered    int     `json:"delivered"` // messages
	PerSecond    float64 `json:"deliveredPerSecond"`
	CPUMicros    float64 `json:"cpuMicrosPerDelivered"` // of the tracker
	Busy         float64 `json:"busy"`                  // share of its core that the tracker used
	P50Ms        float64 `json:"p50Ms"`                 // from sending to arrival
	P95Ms        float64 `json:"p95Ms"`
	P99Ms        float64 `json:"p99Ms"`
	LostReplies  int     `json:"lostReplies"`
	LostOffers   int     `json:"lostOffers"`
	LostAnswers  int     `json:"lostAnswers"`
	Wrong        int     `json:"wrong"` // messages that were twice, for somebody else, or not as sent
	RSSMegabytes float64 `json:"rssMegabytes"`
}

// load is the generator: many clients on one thread.
type load struct {
	mix
	epoll  int
	peers  []peer
	byFD   map[int32]*peer
	random *rand.Rand
	pad    string
	dirty  []*peer
	in     []byte

	running  int
	idle     []*peer
	offers   []offer // by id
	lateMs   []float32
	measured bool
	out      outcome
}

type peer struct {
	fd        int
	at        int
	id, hash  string // as in JSON
	rest, out []byte
	blocked   bool
	sentAt    time.Time // of the announce that is going on
	open      int       // messages that it still leads to
	replied   bool
}

type offer struct {
	from, to            *peer
	delivered, answered bool
	at                  time.Time
}

// generate is the command "load": it prints the outcome.
func generate(args []string) (any, error) {
	l := newLoad(mix{})
	f := benchtest.Flags("load")
	address, pid := f.String("address", "", "of the tracker"), f.Int("pid", 0, "of the tracker")
	path := f.String("path", "/announce", "of the tracker")
	f.IntVar(&l.Peers, "peers", 1000, "")
	f.IntVar(&l.Swarm, "swarm", 100, "")
	f.IntVar(&l.Offers, "offers", 5, "")
	f.IntVar(&l.SDP, "sdp", 1000, "")
	f.IntVar(&l.InFlight, "inflight", 100, "")
	f.Float64Var(&l.Rate, "rate", 0, "")
	f.Float64Var(&l.Seconds, "seconds", 10, "")
	f.Parse(args)
	return l.run(*address, *path, *pid, time.Second)
}

func newLoad(m mix) *load {
	return &load{mix: m, random: rand.New(rand.NewPCG(1, 2)), byFD: map[int32]*peer{}, in: make([]byte, 256<<10)}
}

// run has everybody join, announces for a time that is not measured, and for one that is.
func (l *load) run(address, path string, pid int, warm time.Duration) (*outcome, error) {
	defer l.close()
	if err := l.connect(address, path); err != nil {
		return nil, err
	}
	if err := l.join(); err != nil {
		return nil, err
	}
	l.spin(warm)
	l.drain()
	return l.measure(pid)
}

func (l *load) close() {
	for fd := range l.byFD {
		unix.Close(int(fd))
	}
	unix.Close(l.epoll)
}

func (l *load) connect(address, path string) (err error) {
	if l.epoll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	l.peers = make([]peer, l.Peers)
	l.pad = strings.Repeat("x", max(0, l.SDP-20))
	// A tracker answers newcomers in turns, so that one after the other would take longer than it waits for the first announce.
	var some errgroup.Group
	some.SetLimit(100)
	for n := range l.peers {
		p := &l.peers[n]
		p.at, p.id, p.hash = n, fmt.Sprintf(`-WW0200-%012d`, n), fmt.Sprintf(`%020d`, n/l.Swarm)
		some.Go(func() (err error) {
			if p.fd, err = dial(address, path); err != nil {
				err = fmt.Errorf("peer %d cannot connect: %w", n, err)
			}
			return err
		})
	}
	if err := some.Wait(); err != nil {
		return err
	}
	for n := range l.peers {
		p := &l.peers[n]
		l.byFD[int32(p.fd)] = p
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, p.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.fd)}); err != nil {
			return err
		}
	}
	return nil
}

// dial opens a WebSocket and takes its descriptor from the runtime.
func dial(address, path string) (int, error) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, address)
	head := make([]byte, 0, 1024)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		n, err := nc.Read(head[len(head):cap(head)])
		if err != nil {
			return 0, fmt.Errorf("%w after %q", err, head)
		}
		head = head[:len(head)+n]
	}
	if !bytes.Contains(head, []byte(" 101 ")) {
		return 0, fmt.Errorf("the tracker answers %q", head)
	}
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	raw.Control(func(theirs uintptr) { fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, err
}

// join announces everybody once, without offers.
func (l *load) join() error {
	for n := range l.peers {
		p := &l.peers[n]
		p.sentAt, p.open, p.replied = time.Now(), 1, false
		l.running++
		l.say(p, `{"numwant":0,"uploaded":0,"downloaded":0,"left":1,"event":"started","action":"announce","info_hash":"`, p.hash, `","peer_id":"`, p.id, `","offers":[]}`)
		if n%100 == 99 {
			l.turn(0)
		}
	}
	for end := time.Now().Add(20 * time.Second); l.running > 0; l.turn(10) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d peers cannot join", l.running, l.Peers)
		}
	}
	return nil
}

func (l *load) measure(pid int) (*outcome, error) {
	cpu, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	l.measured = true
	began := time.Now()
	l.spin(time.Duration(l.Seconds * float64(time.Second)))
	l.drain()
	took := time.Since(began).Seconds()
	after, err := cpuTime(pid)
	if err != nil {
		return nil, err
	}
	for i := range l.offers {
		switch o := &l.offers[i]; {
		case !o.delivered:
			l.out.LostOffers++
		case !o.answered:
			l.out.LostAnswers++
		}
	}
	o := &l.out
	slices.Sort(l.lateMs)
	at := func(share float64) float64 {
		return float64(l.lateMs[min(len(l.lateMs)-1, int(share*float64(len(l.lateMs))))])
	}
	if len(l.lateMs) > 0 {
		o.P50Ms, o.P95Ms, o.P99Ms = at(0.50), at(0.95), at(0.99)
	}
	o.PerSecond, o.Busy = float64(o.Delivered)/took, (after-cpu)/took
	o.CPUMicros = (after - cpu) * 1e6 / float64(max(1, o.Delivered))
	o.RSSMegabytes = rss(pid)
	return o, nil
}

// spin announces until the time is over, and everybody whose turn it is at once at least.
func (l *load) spin(long time.Duration) {
	l.idle = l.idle[:0]
	for _, n := range l.random.Perm(len(l.peers)) {
		l.idle = append(l.idle, &l.peers[n])
	}
	l.offers = make([]offer, 0, 1<<18)
	began, started := time.Now(), 0.0
	for now := began; now.Equal(began) || now.Sub(began) < long; now = time.Now() {
		for l.running < l.InFlight && len(l.idle) > 0 && (l.Rate == 0 || started < l.Rate*now.Sub(began).Seconds()) {
			// somebody of the first half, who has not announced for long; not always the same one
			k := l.random.IntN(len(l.idle)/2 + 1)
			p := l.idle[k]
			l.idle[k] = l.idle[0]
			l.idle = l.idle[1:]
			started++
			l.announce(p)
		}
		wait := 1
		if l.Rate == 0 {
			wait = 100
		}
		l.turn(wait)
	}
}

// drain waits for what is still to come.
func (l *load) drain() {
	for end := time.Now().Add(10 * time.Second); l.running > 0 && time.Now().Before(end); {
		l.turn(10)
	}
	for n := range l.peers {
		if p := &l.peers[n]; p.open > 0 {
			if !p.replied && l.measured {
				l.out.LostReplies++
			}
			p.open = 0
		}
	}
	l.running = 0
}

func (l *load) announce(p *peer) {
	p.sentAt, p.replied = time.Now(), false
	n := min(l.Offers, l.Swarm-1)
	p.open = 1 + 2*n
	l.running++
	if l.measured {
		l.out.Announces++
	}
	parts := []string{`{"numwant":`, strconv.Itoa(l.Offers), `,"uploaded":0,"downloaded":0,"left":1,"action":"announce","info_hash":"`, p.hash, `","peer_id":"`, p.id, `","offers":[`}
	for i := range l.Offers {
		id := fmt.Sprintf("%020d", len(l.offers))
		l.offers = append(l.offers, offer{from: p})
		if i > 0 {
			parts = append(parts, ",")
		}
		parts = append(parts, `{"offer":{"type":"offer","sdp":"`, id, l.pad, `"},"offer_id":"`, id, `"}`)
	}
	l.say(p, append(parts, "]}")...)
}

// say queues a masked text frame.
func (l *load) say(p *peer, parts ...string) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	if len(p.out) == 0 {
		l.dirty = append(l.dirty, p)
	}
	b := append(p.out, 0x81)
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = append(b, 0x80|126, byte(length>>8), byte(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	key := l.random.Uint32()
	b = binary.LittleEndian.AppendUint32(b, key)
	start := len(b)
	for _, part := range parts {
		b = append(b, part...)
	}
	payload, wide := b[start:], uint64(key)<<32|uint64(key)
	for ; len(payload) >= 8; payload = payload[8:] {
		binary.LittleEndian.PutUint64(payload, binary.LittleEndian.Uint64(payload)^wide)
	}
	for i := range payload {
		payload[i] ^= byte(key >> (8 * i))
	}
	p.out = b
}

// turn sends what is queued and handles what has come.
func (l *load) turn(waitMs int) {
	for _, p := range l.dirty {
		l.flush(p)
	}
	l.dirty = l.dirty[:0]
	var events [512]unix.EpollEvent
	n, _ := unix.EpollWait(l.epoll, events[:], waitMs)
	for _, e := range events[:max(n, 0)] {
		p := l.byFD[e.Fd]
		if e.Events&unix.EPOLLOUT != 0 {
			l.flush(p)
		}
		if e.Events&^unix.EPOLLOUT == 0 {
			continue
		}
		held := copy(l.in, p.rest)
		got, err := unix.Read(p.fd, l.in[held:])
		if got <= 0 {
			if err != unix.EAGAIN {
				panic(fmt.Sprintf("the tracker closed the connection of %s: %v", p.id, err))
			}
			continue
		}
		p.rest = append(p.rest[:0], l.frames(p, l.in[:held+got])...)
	}
}

func (l *load) flush(p *peer) {
	n, err := unix.Write(p.fd, p.out)
	if err != nil && err != unix.EAGAIN {
		panic(fmt.Sprintf("the tracker does not read %s: %v", p.id, err))
	}
	p.out = p.out[:copy(p.out, p.out[max(n, 0):])]
	if blocked := len(p.out) > 0; blocked != p.blocked {
		p.blocked = blocked
		events := uint32(unix.EPOLLIN)
		if blocked {
			events |= unix.EPOLLOUT
		}
		unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, p.fd, &unix.EpollEvent{Events: events, Fd: int32(p.fd)})
	}
}

// frames handles the tracker's frames, which are not masked, and returns what is not yet one.
func (l *load) frames(p *peer, b []byte) []byte {
	for len(b) >= 2 {
		length, head := int(b[1]), 2
		if length == 126 {
			if len(b) < 4 {
				return b
			}
			length, head = int(binary.BigEndian.Uint16(b[2:])), 4
		}
		if len(b) < head+length {
			return b
		}
		if b[0]&0x0f == 1 {
			l.hear(p, b[head:head+length])
		}
		b = b[head+length:]
	}
	return b
}

var (
	offerStart  = []byte(`"offer":{"type":"offer","sdp":"`)
	answerStart = []byte(`"answer":{"type":"answer","sdp":"`)
	idStart     = []byte(`"offer_id":"`)
)

func (l *load) hear(p *peer, m []byte) {
	now := time.Now()
	if l.measured {
		l.out.Delivered++
	}
	if at := bytes.Index(m, offerStart); at >= 0 {
		n, o := l.find(m, at+len(offerStart))
		if o == nil || o.delivered || o.from == p || o.from.hash != p.hash || !bytes.Contains(m, []byte(o.from.id)) {
			l.out.Wrong++
			return
		}
		o.delivered, o.to, o.at = true, p, now
		l.arrived(o.from, now.Sub(o.from.sentAt))
		id := fmt.Sprintf("%020d", n)
		l.say(p, `{"action":"announce","info_hash":"`, p.hash, `","peer_id":"`, p.id, `","to_peer_id":"`, o.from.id, `","answer":{"type":"answer","sdp":"`, id, l.pad, `"},"offer_id":"`, id, `"}`)
		return
	}
	if at := bytes.Index(m, answerStart); at >= 0 {
		_, o := l.find(m, at+len(answerStart))
		if o == nil || !o.delivered || o.answered || o.from != p || !bytes.Contains(m, []byte(o.to.id)) {
			l.out.Wrong++
			return
		}
		o.answered = true
		l.arrived(p, now.Sub(o.at))
		return
	}
	if p.replied || p.open == 0 || !bytes.Contains(m, []byte(`"interval"`)) {
		l.out.Wrong++
		return
	}
	p.replied = true
	l.arrived(p, now.Sub(p.sentAt))
}

// find reads the number in a description, which must come whole and be that of the offer id.
func (l *load) find(m []byte, at int) (n int, o *offer) {
	end := at + 20 + len(l.pad)
	if len(m) < end+2 || string(m[end:end+2]) != `"}` {
		return 0, nil
	}
	id := bytes.Index(m[end:], idStart)
	if id < 0 || !bytes.HasPrefix(m[end+id+len(idStart):], m[at:at+20]) {
		return 0, nil
	}
	n, err := strconv.Atoi(string(m[at : at+20]))
	if err != nil || n >= len(l.offers) {
		return 0, nil
	}
	return n, &l.offers[n]
}

// arrived counts one of the messages that p's announce leads to.
func (l *load) arrived(p *peer, late time.Duration) {
	if l.measured {
		l.lateMs = append(l.lateMs, float32(late.Seconds()*1000))
	}
	if p.open--; p.open == 0 {
		l.running--
		l.idle = append(l.idle, p)
	}
}

// cpuTime is how many seconds of processor a process has used, those of the kernel on its behalf included.
func cpuTime(pid int) (float64, error) {
	stat, err := benchtest.ReadStat(pid)
	if err != nil {
		return 0, fmt.Errorf("what the tracker uses cannot be read: %w", err)
	}
	return stat.CPUSeconds(), nil
}

func rss(pid int) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(b)); len(fields) > 1 {
		pages, _ := strconv.ParseFloat(fields[1], 64)
		return pages * float64(os.Getpagesize()) / 1e6
	}
	return 0
}
