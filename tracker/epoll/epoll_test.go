//go:build linux

package epoll

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // for what must happen

// echo says everything back.
type echo struct {
	*Conn
	closed chan error
}

func (e *echo) Message(_ bool, payload []byte) {
	if string(payload) == "bye" {
		e.End(GoingAway, "as you like")
	}
	for word, p := range map[string]Patience{"soon": AWhile, "late": Long} {
		if strings.HasPrefix(string(payload), word) {
			e.SendWithin(p, payload)
			return
		}
	}
	for range 1 + strings.Count(string(payload), "!") {
		e.Send(payload)
	}
}
func (e *echo) Pinging()         {}
func (e *echo) Overdue()         { e.Send([]byte("overdue")) }
func (e *echo) Closed(why error) { e.closed <- why }

type site struct {
	t       *testing.T
	address string
	closed  chan error

	mu      sync.Mutex
	refused map[string]int // connections turned away, by reason
}

func serve(t *testing.T, change func(*Config)) *site {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, address: ln.Addr().String(), closed: make(chan error, 16), refused: map[string]int{}}
	cfg := Config{MaxMessage: 1000, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Paths: map[string]Open{
		"/echo": func(_ *http.Request, c *Conn) (Client, *Refusal) {
			c.Send([]byte("welcome"))
			return &echo{c, s.closed}, nil
		},
		"/no": func(*http.Request, *Conn) (Client, *Refusal) { return nil, &Refusal{503, "No place is left.", 7} },
	}, Refused: func(why string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused[why]++
	}}
	if change != nil {
		change(&cfg)
	}
	sockets, err := Serve(ln, cfg)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("From", r.RemoteAddr)
		fmt.Fprintf(w, "%s %s %d %v", r.Method, r.URL.Path, len(body), err)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		web.Serve(sockets.Rest())
	}()
	t.Cleanup(func() {
		sockets.Close()
		web.Close()
		<-done
	})
	return s
}

// conn is a client that speaks bytes.
type conn struct {
	net.Conn
	in *bufio.Reader
	t  *testing.T
}

func (s *site) dial() *conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return &conn{c, bufio.NewReader(c), s.t}
}

func (c *conn) write(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conn) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// next is the next frame, its opcode first.
func (c *conn) next() string {
	c.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return err.Error()
	}
	size := int(head[1])
	if size == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(c.in, long); err != nil {
			return err.Error()
		}
		size = int(long[0])<<8 | int(long[1])
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return err.Error()
	}
	return string('0'+rune(head[0]&0xf)) + string(payload)
}

func (c *conn) wants(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		if got := c.next(); got != want {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// open is a WebSocket to /echo.
func (s *site) open() *conn {
	s.t.Helper()
	c := s.dial()
	c.write([]byte(request("/echo")))
	resp, _ := c.answer()
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		s.t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	c.wants("1welcome")
	return c
}

// turnedAway wants nobody to be turned away for another reason.
func (s *site) turnedAway(why string, times int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if want := map[string]int{why: times}; !maps.Equal(s.refused, want) {
		s.t.Errorf("turned away: %v, want %v", s.refused, want)
	}
}

func (s *site) ends(want error) {
	s.t.Helper()
	select {
	case why := <-s.closed:
		if why != want {
			s.t.Errorf("closed because %v, want %v", why, want)
		}
	case <-time.After(patience):
		s.t.Errorf("not closed, want %v", want)
	}
}

func TestAConversation(t *testing.T) {
	s := serve(t, nil)
	c := s.open()
	long := strings.Repeat("x", 900)
	c.write(bytes.Join([][]byte{frame(opText, true, "one"), frame(opPing, true, "?"), frame(opText, false, "tw"), frame(opContinuation, true, "o")}, nil))
	c.wants("1one", ":?", "1two")
	for _, b := range frame(opText, true, long) {
		c.write([]byte{b})
	}
	c.wants("1" + long)
	c.write(frame(opClose, true, "\x03\xe8"))
	c.wants("8\x03\xe8", "EOF")
	s.ends(ErrEnded)
}

func TestWhatMayWaitGoesWithWhatMayNot(t *testing.T) {
	s := serve(t, func(cfg *Config) { cfg.Gather[AWhile], cfg.Loops = time.Hour, 1 })
	c, other := s.open(), s.open()
	for _, said := range []string{"soon", "soon too", "soon as well"} {
		c.write(frame(opText, true, said))
	}
	for range 2 { // turns of their loop, so it has written whatever it will
		other.write(frame(opText, true, "how are you?"))
		other.wants("1how are you?")
	}
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Read(func(fd uintptr) bool {
		b := make([]byte, 64)
		if n, err := unix.Read(int(fd), b); err == nil {
			t.Errorf("%q came at once", b[:n])
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	c.write(frame(opText, true, "now"))
	c.wants("1soon", "1soon too", "1soon as well", "1now")
}

func TestWhatMayWaitDoesNotWaitForEver(t *testing.T) {
	c := serve(t, func(cfg *Config) { cfg.Gather[AWhile] = 5 * time.Millisecond }).open()
	for range 3 { // also a second time
		c.write(frame(opText, true, "soon"))
		c.wants("1soon")
	}
}

func TestWhatMayWaitLongGoesWithWhatMayNot(t *testing.T) {
	c := serve(t, func(cfg *Config) { cfg.Gather[AWhile], cfg.Gather[Long] = 5*time.Millisecond, time.Hour }).open()
	for range 3 {
		for _, said := range []string{"late", "soon", "late too"} {
			c.write(frame(opText, true, said))
		}
		c.write(frame(opText, true, "now"))
		c.wants("1late", "1soon", "1late too", "1now")
		c.write(frame(opText, true, "late"))
		c.write(frame(opText, true, "soon"))
		c.wants("1late", "1soon")
	}
}

func TestAMessageMayComeWithTheRequest(t *testing.T) {
	c := serve(t, nil).dial()
	c.write(append([]byte(request("/echo")), frame(opText, true, "early")...))
	c.answer()
	c.wants("1welcome", "1early")
}

func TestWhoIsToldToGoMayAnswer(t *testing.T) {
	s := serve(t, nil)
	c := s.open()
	c.write(append(frame(opText, true, "bye"), frame(opText, true, "unheard")...))
	c.wants("8\x03\xe9as you like")
	c.write(append(frame(opText, true, "unheard"), frame(opClose, true, "\x03\xe9")...))
	c.wants("EOF")
	s.ends(ErrEnded)
}

func TestWhoBreaksTheRulesIsClosed(t *testing.T) {
	s := serve(t, nil)
	c := s.open()
	c.write([]byte{0x81, 0x01, 'x'})
	c.wants("8\x03\xea" + ErrRules.Error())
	c.Close()
	s.ends(ErrRules)
	c = s.open()
	c.write(frame(opText, true, strings.Repeat("x", 1001)))
	c.wants("8\x03\xf1" + ErrTooBig.Error())
	c.Close()
	s.ends(ErrTooBig)
	s.open().Close()
	s.ends(ErrEnded)
}

func TestWhoDoesNotReadIsClosed(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxPending, c.WriteTimeout = 1<<20, 200*time.Millisecond })
	c := s.open()
	c.Conn.(*net.TCPConn).SetReadBuffer(4096)
	go func() {
		shout := frame(opText, true, strings.Repeat("!", 900))
		for {
			if _, err := c.Write(shout); err != nil {
				return
			}
		}
	}()
	s.ends(ErrSlow)
	c.Close()
}

func TestWhoReadsMayBeToldMuchAtOnce(t *testing.T) {
	c := serve(t, func(c *Config) { c.MaxPending = 10_000 }).open()
	shout := strings.Repeat("!", 99) + strings.Repeat("x", 801)
	c.write(frame(opText, true, shout))
	for range 100 {
		c.wants("1" + shout)
	}
}

func TestTimeIsKept(t *testing.T) {
	s := serve(t, func(c *Config) {
		c.HandshakeTimeout, c.OpenTimeout = 150*time.Millisecond, 150*time.Millisecond
		c.PingInterval, c.WriteTimeout = 200*time.Millisecond, 800*time.Millisecond // as slow as this test may be
	})
	slow := s.dial()
	slow.write([]byte("GET /echo HTTP/1.1\r\n"))
	slow.wants("EOF")
	s.turnedAway(NoHead, 1)
	quiet := s.open()
	quiet.wants("1overdue", "9", "9") // and no answer
	s.ends(ErrVanished)
	c := s.open()
	c.wants("1overdue")
	for range 5 { // who answers stays for longer than any timeout
		c.wants("9")
		c.write(frame(opPong, true, ""))
	}
	c.Close()
	s.ends(ErrEnded)
}

func TestRefusals(t *testing.T) {
	s := serve(t, nil)
	for name, c := range map[string]struct {
		request string
		status  int
		body    string
	}{
		"the server's":      {request("/no"), 503, "No place is left.\n"},
		"no HTTP":           {"hello\r\n\r\n", 400, "This is no HTTP request.\n"},
		"a head too large":  {"GET /echo HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead), 431, "The head of this request is too large.\n"},
		"another version":   {strings.Replace(request("/echo"), "13", "12", 1), 400, "This WebSocket has no key, or another version than 13.\n"},
		"a key of one byte": {strings.Replace(request("/echo"), "dGhlIHNhbXBsZSBub25jZQ==", "eA==", 1), 400, "This WebSocket has no key, or another version than 13.\n"},
	} {
		cl := s.dial()
		cl.write([]byte(c.request))
		resp, body := cl.answer()
		if resp.StatusCode != c.status || body != c.body || c.status == 503 && resp.Header.Get("Retry-After") != "7" {
			t.Errorf("%s: %s, %q, %v", name, resp.Status, body, resp.Header)
		}
		cl.wants("EOF")
	}
	s.turnedAway(BadRequest, 4) // the server's own refusals are its business
}

func TestWhatIsNowhereIsRefused(t *testing.T) {
	s := serve(t, func(c *Config) { c.Known = func(r *http.Request) bool { return r.URL.Path == "/page" } })
	c := s.dial()
	c.write([]byte("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"))
	if resp, body := c.answer(); resp.StatusCode != 404 || body != "There is nothing here.\n" {
		t.Errorf("%s, %q", resp.Status, body)
	}
	c.wants("EOF")
	s.turnedAway(NotFound, 1)
	c = s.dial()
	c.write([]byte("GET /page HTTP/1.1\r\nHost: x\r\n\r\n"))
	if resp, body := c.answer(); resp.StatusCode != 200 || body != "GET /page 0 <nil>" {
		t.Errorf("%s, %q", resp.Status, body)
	}
}

func TestOtherRequestsAreAnsweredByTheHTTPServer(t *testing.T) {
	c := serve(t, nil).dial()
	for range 2 { // on one connection
		c.write([]byte("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"))
		c.write([]byte("cde"))
		if resp, body := c.answer(); resp.StatusCode != 200 || body != "POST /echo 5 <nil>" {
			t.Errorf("%s, %q", resp.Status, body)
		}
	}
	c.write([]byte(request("/elsewhere")))
	if resp, body := c.answer(); resp.StatusCode != 200 || body != "GET /elsewhere 0 <nil>" {
		t.Errorf("%s, %q", resp.Status, body)
	}
}

func TestTheWheelComesAroundInTime(t *testing.T) {
	w := wheel{tickMs: 10, atMs: 1000}
	for i, atMs := range []int64{1001, 1010, 1011, 1500, 9000} {
		w.set(entry{int32(i), 0}, atMs)
	}
	seen := map[int32]int64{}
	for nowMs := int64(1000); nowMs < 5000; nowMs += 7 {
		w.advance(nowMs, func(e entry) { seen[e.fd] = nowMs })
	}
	for fd, dueMs := range []int64{1001, 1010, 1011, 1500, 1000 + 255*10} { // the last is beyond its reach, and asked again
		if at := seen[int32(fd)]; at < dueMs || at > dueMs+20 {
			t.Errorf("entry %d came at %d, was due at %d", fd, at, dueMs)
		}
	}
}

// Who says nothing gives way to others, the oldest first; who has a WebSocket stays.
func TestManySilentConnectionsLockNobodyOut(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxHeads, c.Loops = 4, 1 })
	staying, oldest := s.open(), s.dial()
	oldest.write([]byte("GET /echo HTTP/1.1\r\n"))
	for range 8 {
		s.dial().write([]byte("G"))
	}
	oldest.wants("EOF")
	s.mu.Lock()
	if n := s.refused[NoHead]; n == 0 || n > 8 || len(s.refused) != 1 { // they are looked at now and then
		t.Errorf("turned away: %v", s.refused)
	}
	s.mu.Unlock()
	newest := s.dial()
	newest.write([]byte(request("/echo")))
	newest.answer()
	newest.wants("1welcome")
	staying.write(frame(opText, true, "still here"))
	staying.wants("1still here")
}

// The HTTP server's connections are as many as it was given; the oldest make room.
func TestIdleRequestsMakeRoom(t *testing.T) {
	s := serve(t, func(c *Config) { c.MaxRest = 3 })
	var all []*conn
	for range 4 {
		c := s.dial()
		c.write([]byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"))
		if resp, _ := c.answer(); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		all = append(all, c)
	}
	all[0].wants("EOF")
	s.turnedAway(Crowded, 1)
	all[1].write([]byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n"))
	if resp, _ := all[1].answer(); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// Frames that are no message are not free.
func TestWhoSendsTooManyFramesIsClosed(t *testing.T) {
	s := serve(t, nil)
	for _, b := range [][]byte{
		bytes.Repeat(frame(opPing, true, ""), maxControls+1),
		append(frame(opText, false, ""), bytes.Repeat(frame(opContinuation, false, ""), maxFragments)...),
	} {
		c := s.open()
		c.write(b)
		s.ends(ErrFlood)
		c.Close()
	}
	c := s.open()
	c.write(append(frame(opText, false, "a"), bytes.Repeat(frame(opContinuation, false, ""), maxFragments-2)...))
	c.write(frame(opContinuation, true, "b"))
	c.wants("1ab")
}
