//go:build linux

package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"slipstream/tracker/announce"
	tokens "slipstream/tracker/token"
)

// member is a client that speaks the whole protocol. A terminator, which the tracker trusts, says where it is.
type member struct {
	ws      *websocket.Conn
	address netip.Addr
	id      announce.PeerID
}

// network is the address of the n-th honest viewer, each in a network of its own. Attackers come from elsewhere.
func network(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, 64 + byte(n>>8&0x1f), byte(n), 1})
}

var nextToken struct {
	sync.Mutex
	n int
}

// freshToken is one that nobody has used.
func freshToken(channel string) string {
	nextToken.Lock()
	defer nextToken.Unlock()
	nextToken.n++
	return token(-nextToken.n, channel, time.Now())
}

// join is one visit's beginning, up to the welcome.
func join(ctx context.Context, tracker string, from netip.Addr, channel string) (*member, error) {
	ws, _, err := websocket.Dial(ctx, "ws://"+tracker+"/tracker", &websocket.DialOptions{
		Subprotocols: []string{announce.Subprotocol, freshToken(channel)}, HTTPHeader: http.Header{"X-Forwarded-For": {from.String()}},
	})
	if err != nil {
		return nil, err
	}
	m := &member{ws: ws, address: from}
	if err := m.say(ctx, announce.Join{Version: 1, Role: announce.Viewer, Renditions: []string{"720p"}}); err != nil {
		return nil, err
	}
	welcome, err := m.hear(ctx)
	if err != nil {
		return nil, err
	}
	w, ok := welcome.(announce.Welcome)
	if !ok {
		return nil, fmt.Errorf("the welcome was %#v", welcome)
	}
	m.id = w.ID
	return m, nil
}

func (m *member) say(ctx context.Context, message announce.Message) error {
	b, err := announce.Encode(message)
	if err != nil {
		return err
	}
	return m.ws.Write(ctx, websocket.MessageText, b)
}

func (m *member) hear(ctx context.Context) (announce.Message, error) {
	_, b, err := m.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	return announce.Decode(b)
}

// signal is a description of this member, with its address.
func (m *member) signal(kind announce.Kind) announce.Signal {
	s := announce.Signal{
		Kind: kind, Ufrag: "Ck4x", Pwd: "w2mJVYJqSxQ3nGJ0TIw8yAbC", Fingerprint: certificate, Setup: announce.ActPass,
		Candidates: []string{"candidate:1 1 udp 2130706431 " + m.address.String() + " 50000 typ host"},
	}
	if kind == announce.Answer {
		s.Setup = announce.Active
	}
	return s
}

// certificate is what all tokens here are bound to.
var certificate = func() string {
	var f tokens.Fingerprint
	b, err := rawURL.DecodeString(channelID(0))
	if err != nil {
		panic(err)
	}
	copy(f[:], b)
	return f.String()
}()

// answer does what any client does about a message: it describes itself to those whom it has been introduced to.
func (m *member) answer(ctx context.Context, message announce.Message) error {
	switch message := message.(type) {
	case announce.Neighbour:
		if message.Offer {
			return m.say(ctx, announce.SignalTo{To: message.ID, Signal: m.signal(announce.Offer)})
		}
	case announce.SignalFrom:
		if message.Signal.Kind == announce.Offer {
			return m.say(ctx, announce.SignalTo{To: message.From, Signal: m.signal(announce.Answer)})
		}
	}
	return nil
}

// neighbour is an honest viewer who stays.
type neighbour struct {
	*member
	mu         sync.Mutex
	neighbours map[announce.PeerID]bool
	ended      bool
}

func (r *neighbour) live(ctx context.Context) {
	for {
		message, err := r.hear(ctx)
		r.mu.Lock()
		switch message := message.(type) {
		case announce.Neighbour:
			r.neighbours[message.ID] = true
		case announce.Gone:
			delete(r.neighbours, message.ID)
		}
		r.ended = r.ended || err != nil
		r.mu.Unlock()
		if err != nil || r.answer(ctx, message) != nil {
			return
		}
	}
}

// settle has honest viewers move in.
func settle(ctx context.Context, tracker, channel string, count int) (all []*neighbour, err error) {
	for n := range count {
		m, err := join(ctx, tracker, network(n), channel)
		if err != nil {
			return nil, fmt.Errorf("an honest viewer could not join before the attack: %w", err)
		}
		r := &neighbour{member: m, neighbours: map[announce.PeerID]bool{}}
		go r.live(ctx)
		all = append(all, r)
	}
	return all, nil
}

// harvest joins again and again, each time with another token and from another network, and gives everybody up as soon as it has the address.
func harvest(a *attacker) {
	all := map[string]bool{}
	for n := 0; a.on(); n++ {
		visit, cancel := context.WithDeadline(context.Background(), a.end)
		if a.count > 0 { // seconds of a visit
			visit, cancel = context.WithTimeout(visit, time.Duration(a.count)*time.Second)
		}
		seen := map[string]bool{}
		a.done.Tries++
		m, err := join(visit, a.address, netip.AddrFrom4([4]byte{100, 126, byte(n), 1}), channelID(0))
		for err == nil {
			var message announce.Message
			if message, err = m.hear(visit); err != nil {
				break
			}
			if err = m.answer(visit, message); err != nil {
				break
			}
			if s, ok := message.(announce.SignalFrom); ok {
				for _, c := range s.Signal.Candidates {
					seen[strings.Fields(c)[4]], all[strings.Fields(c)[4]] = true, true
				}
				err = m.say(visit, announce.Report{Dropped: []announce.Drop{{ID: s.From, Reason: announce.Unreachable}}})
			}
		}
		cancel()
		if m != nil {
			m.ws.CloseNow()
		}
		a.done.PerToken = max(a.done.PerToken, len(seen))
	}
	a.done.Addresses = len(all)
}

// sybils are many viewers of a few networks, who claim the best uplinks and accuse everybody who is none of them.
func sybils(a *attacker) {
	ctx, cancel := context.WithDeadline(context.Background(), a.end)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	ours := map[announce.PeerID]bool{}
	for n := range a.count {
		a.done.Tries++
		m, err := join(ctx, a.address, netip.AddrFrom4([4]byte{100, 125, byte(n % 16), byte(1 + n/16)}), channelID(0))
		if err != nil {
			a.done.Answers[err.Error()]++
			continue
		}
		mu.Lock()
		ours[m.id] = true
		mu.Unlock()
		a.done.Held++
		wg.Go(func() {
			report := announce.Report{Ready: true, Neighbours: 20, Renditions: []string{"720p"}, UplinkBps: 1e9, P2PBytes: 1, UploadedBytes: 1 << 40}
			for {
				message, err := m.hear(ctx)
				if err != nil || m.answer(ctx, message) != nil {
					return
				}
				if met, ok := message.(announce.Neighbour); ok {
					mu.Lock()
					friend := ours[met.ID]
					mu.Unlock()
					if report.Dropped = nil; !friend {
						report.Dropped = []announce.Drop{{ID: met.ID, Reason: announce.Liar}}
					}
					if m.say(ctx, report) != nil {
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
