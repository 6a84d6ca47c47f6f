package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"slipstream/origin/manifest"
	"slipstream/peer/rtc"
	"slipstream/peer/sched"
	"slipstream/peer/wire"
	"slipstream/tracker/announce"
)

const (
	trackerQueue   = 128 // messages waiting to be sent; more are lost, and said again in the next report
	rejoinMin      = 500 * time.Millisecond
	rejoinMax      = 15 * time.Second
	trackerTimeout = 10 * time.Second
	maxTokenReply  = 8 << 10
	meetAfter      = 2 * time.Second // without a segment
)

// trackerClient keeps a session joined to its room. When the tracker goes away
// the neighbours stay, and the client joins again with a jittered back-off.
type trackerClient struct {
	s        *Session
	tokenURL string
	url      string
	out      chan announce.Message
	begin    chan struct{} // closed when the session has its first segment

	// Owned by the session's loop:
	called   bool // begin is closed
	joined   bool
	visits   int // times that it was welcomed
	everyMs  int64
	reportMs int64    // when the last report went out
	ready    bool     // as last reported
	passesOn bool     // likewise
	played   []string // likewise
	drops    []announce.Drop
	rescues  int64 // leaves

	uplinkBps atomic.Int64 // as last reported
}

func (s *Session) startTracker(m *manifest.Multivariant) {
	base, err := url.Parse(s.cfg.Playlist)
	if err != nil {
		return
	}
	socket, err1 := base.Parse(m.Tracker)
	token, err2 := base.Parse(m.Token)
	if err := errors.Join(err1, err2); err != nil {
		s.log.Warn("the channel's tracker address is not understood: playing from the CDN alone", "error", err)
		return
	}
	socket.Scheme = strings.Replace(socket.Scheme, "http", "ws", 1)
	s.tracker = &trackerClient{
		s: s, tokenURL: token.String(), url: socket.String(),
		out: make(chan announce.Message, trackerQueue), begin: make(chan struct{}), everyMs: 5000,
	}
	if s.cfg.Role == announce.Seeder {
		s.meetOthers()
	}
	go s.tracker.run(s.ctx)
}

// meetOthers lets the tracker client begin, from the first call on.
func (s *Session) meetOthers() {
	if s.tracker != nil && !s.tracker.called {
		s.tracker.called = true
		close(s.tracker.begin)
	}
}

// run joins, listens until the socket ends, and joins again. The first segment comes before that: to connect to many
// neighbours takes seconds of a line that can hardly upload.
func (t *trackerClient) run(ctx context.Context) {
	select {
	case <-t.begin:
	case <-ctx.Done():
	case <-time.After(meetAfter):
	}
	wait := rejoinMin
	for ctx.Err() == nil {
		began := time.Now()
		err := t.visit(ctx)
		pause, stay := verdict(err)
		if !stay {
			level := slog.LevelWarn
			if isCode(err, announce.CodeSharingOff) {
				level = slog.LevelInfo // as the channel's owner wants it
			}
			t.s.log.Log(ctx, level, "the tracker does not want us: playing without it", "error", err)
			t.s.post(t.left)
			return
		}
		t.s.post(t.left)
		if ctx.Err() != nil {
			return
		}
		t.s.log.Info("the tracker is away; trying again", "error", err)
		if time.Since(began) > rejoinMax {
			wait = 4 * rejoinMin // everybody else lost it too
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pause, wait)/2 + rand.N(max(pause, wait))):
		}
		wait = min(wait*2, rejoinMax)
	}
}

// verdict says, of what ended a visit, how long to stay away at least, and whether
// to come back at all (tracker/announce, "Errors").
func verdict(err error) (pause time.Duration, comeBack bool) {
	var refused announce.Error
	if !errors.As(err, &refused) {
		return 0, true
	}
	switch refused.Code {
	case announce.CodeMalformed, announce.CodeVersion, announce.CodeJoinFirst, announce.CodeTokenOrigin,
		announce.CodeTokenChannel, announce.CodeTokenRole, announce.CodeExpelled, announce.CodeSharingOff:
		return 0, false
	case announce.CodeTokenExpired, announce.CodeTokenInvalid, announce.CodeTokenUsed, announce.CodeFingerprint, announce.CodeStranger:
		return 0, true
	case announce.CodeShuttingDown:
		return 2 * time.Second, true
	case announce.CodeRoomFull, announce.CodeTrackerFull, announce.CodeQuotaFull:
		return 3 * time.Minute, true
	}
	return time.Minute, true
}

func isCode(err error, code string) bool {
	var refused announce.Error
	return errors.As(err, &refused) && refused.Code == code
}

// visit is one connection to the tracker, from token to close.
func (t *trackerClient) visit(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	token, err := t.token(ctx)
	if err != nil {
		return err
	}
	dialling, dialled := context.WithTimeout(ctx, trackerTimeout)
	socket, _, err := websocket.Dial(dialling, t.url, &websocket.DialOptions{
		HTTPClient: t.s.cfg.Client, Subprotocols: []string{announce.Subprotocol, token},
	})
	dialled()
	if err != nil {
		return fmt.Errorf("the tracker %s does not answer: %w", t.url, err)
	}
	defer socket.Close(websocket.StatusNormalClosure, "")
	socket.SetReadLimit(announce.MaxMessage)
	if socket.Subprotocol() == announce.Subprotocol {
		token = "" // seen
	}
	if err := write(ctx, socket, t.join(token)); err != nil {
		return err
	}
	go func() {
		defer cancel()
		for {
			select {
			case <-ctx.Done():
				return
			case m := <-t.out:
				if write(ctx, socket, m) != nil {
					return
				}
			}
		}
	}()
	unwelcome := time.AfterFunc(trackerTimeout, cancel)
	defer unwelcome.Stop()
	for {
		_, b, err := socket.Read(ctx)
		if err != nil {
			return err
		}
		unwelcome.Stop() // it answers
		m, err := announce.Decode(b)
		if err != nil {
			return fmt.Errorf("the tracker sent a message that is not understood: %w", err)
		}
		if refused, ok := m.(announce.Error); ok {
			return refused
		}
		if welcome, ok := m.(announce.Welcome); ok && welcome.RenewMs > 0 {
			go t.renew(ctx, time.Duration(welcome.RenewMs)*time.Millisecond)
		}
		if !t.s.post(func() { t.heard(m) }) {
			return ctx.Err()
		}
	}
}

// renew brings the tracker a fresh token at a random moment of the second half of each period, so that not everybody asks
// the origin at once. If none is to be had it is tried again; in the end the tracker ends the visit.
func (t *trackerClient) renew(ctx context.Context, every time.Duration) {
	wait := every/2 + rand.N(every/3+1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = every/20 + rand.N(every/20+1)
		token, err := t.token(ctx)
		if err != nil {
			t.s.log.Info("the visit to the tracker could not be renewed; trying again", "error", err)
			continue
		}
		select {
		case t.out <- announce.Renew{Token: token}:
			wait = every/2 + rand.N(every/3+1)
		default: // it reads too slowly to be renewed
		}
	}
}

// token gets a fresh token, bound to the certificate that our connections have.
func (t *trackerClient) token(ctx context.Context) (string, error) {
	fingerprint, err := t.s.cfg.Engine.Fingerprint()
	if err != nil {
		return "", err
	}
	if t.s.cfg.Token != nil {
		return t.s.cfg.Token(t.s.channel, fingerprint)
	}
	ctx, cancel := context.WithTimeout(ctx, trackerTimeout)
	defer cancel()
	address, err := url.Parse(t.tokenURL)
	if err != nil {
		return "", err
	}
	query := address.Query()
	query.Set("fp", fingerprint)
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := t.s.cfg.Client.Do(req)
	if err != nil {
		return "", fmt.Errorf("no token could be had: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("no token could be had: %s answered %s", t.tokenURL, resp.Status)
	}
	var reply struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxTokenReply)).Decode(&reply); err != nil || reply.Token == "" {
		return "", fmt.Errorf("%s did not answer with a token", t.tokenURL)
	}
	return reply.Token, nil
}

func (t *trackerClient) join(token string) announce.Join {
	return announce.Join{
		Version: announce.Version, Token: token, Role: t.s.cfg.Role, Renditions: t.s.renditionNames(),
		NoUpload: t.s.cfg.NoUpload, UplinkBps: t.uplinkBps.Load(),
	}
}

func write(ctx context.Context, socket *websocket.Conn, m announce.Message) error {
	b, err := announce.Encode(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trackerTimeout)
	defer cancel()
	return socket.Write(ctx, websocket.MessageText, b)
}

// send queues a message; what does not fit is lost, and so is what nobody is
// there to hear.
func (t *trackerClient) send(m announce.Message) {
	if !t.joined {
		return
	}
	select {
	case t.out <- m:
	default:
	}
}

// left forgets what was to be said in a visit that is over.
func (t *trackerClient) left() {
	t.joined = false
	for len(t.out) > 0 {
		<-t.out
	}
}

// heard acts on a message; called by the loop.
func (t *trackerClient) heard(m announce.Message) {
	s := t.s
	switch m := m.(type) {
	case announce.Welcome:
		t.joined, t.everyMs, t.reportMs = true, m.ReportMs, 0
		s.cfg.Engine.Use(iceServers(m.ICEServers), m.RelayOnly)
		t.visits++
		s.assigned(nil) // the duties of another visit are dealt anew
		s.capped(0)     // and so are its caps
	case announce.Neighbour:
		s.meet(m.ID, m.Offer)
	case announce.SignalFrom:
		s.signalled(m.From, m.Signal)
	case announce.Duty:
		s.assigned(m.Duties)
	case announce.Cap:
		s.capped(m.UploadBps)
	case announce.Gone:
		if m.Close {
			s.part(m.ID)
		} // otherwise the connection may go on; if it does not, it will tell
	}
}

func iceServers(told []announce.ICEServer) (servers []rtc.ICEServer) {
	for _, s := range told {
		servers = append(servers, rtc.ICEServer(s))
	}
	return servers
}

// assigned passes the stripes on to the scheduler; renditions that are not
// mentioned have none.
func (s *Session) assigned(duties []announce.Share) {
	s.dealt = true
	for _, r := range s.renditions {
		i := slices.IndexFunc(duties, func(d announce.Share) bool { return d.Rendition == r.name })
		r.stripes = 0
		if i >= 0 {
			r.stripes = int64(duties[i].Stripes)
		}
		s.event(sched.Event{Kind: sched.Duty, Rendition: r.id, Value: r.stripes})
	}
}

// capped bounds what is uploaded by what the tracker says, or what is configured if that is less; 0 is none.
func (s *Session) capped(bps int64) {
	most, own := (bps+7)/8, s.cfg.UploadBytesPerSec
	if most == 0 || own > 0 && own < most {
		most = own
	}
	s.event(sched.Event{Kind: sched.Cap, Value: most})
}

// fetched books a leaf from the CDN: a rescue, if it was no duty and a neighbour
// could have brought it.
func (s *Session) fetched(o *object, leaf int) {
	t := s.tracker
	if t == nil || !t.joined || s.neighbours.open() == 0 {
		return
	}
	if !s.onDuty(o, leaf/wire.PieceLeaves(o.leaves())) {
		t.rescues++
	}
}

// onDuty tells whether the tracker wants us to fetch a piece.
func (s *Session) onDuty(o *object, piece int) bool {
	stripe := sched.Stripe(int32(piece), int32(wire.Pieces(o.leaves())), turn(o.record))
	return o.rendition.stripes>>stripe&1 != 0
}

func (t *trackerClient) dropped(peer announce.PeerID, reason announce.Reason) {
	if len(t.drops) < announce.MaxDropped {
		t.drops = append(t.drops, announce.Drop{ID: peer, Reason: reason})
	}
}

// report tells the tracker how the session fares: regularly, and at once when it
// became able or unable to help or gave up a neighbour.
func (s *Session) report(nowMs int64) {
	t := s.tracker
	if t == nil || !t.joined {
		return
	}
	open := s.neighbours.open()
	ready := open > 0 && s.core.Useful()
	passesOn := s.core.PassesOn()
	played := s.renditionNames()
	if nowMs-t.reportMs < t.everyMs && ready == t.ready && passesOn == t.passesOn && len(t.drops) == 0 && slices.Equal(played, t.played) {
		return
	}
	t.reportMs, t.ready, t.passesOn, t.played = nowMs, ready, passesOn, played
	felt := s.cfg.Audience.Report()
	t.uplinkBps.Store(s.core.UplinkBytesPerSec() * 8)
	t.send(announce.Report{
		Ready: ready, NoUpload: !passesOn, Neighbours: int64(open), Renditions: played,
		UplinkBps: t.uplinkBps.Load(),
		HTTPBytes: s.stats.HTTPBytes, P2PBytes: s.stats.P2PBytes, UploadedBytes: s.stats.UploadedBytes,
		Stalls: felt.Stalls, StallMs: felt.StallMs, LatencyMs: felt.LatencyMs,
		Rescues: t.rescues, Dropped: t.drops, RTTs: s.neighbours.roundTrips(),
	})
	t.drops = nil
}

// renditionNames are those that are played.
func (s *Session) renditionNames() []string { return *s.played.Load() }
