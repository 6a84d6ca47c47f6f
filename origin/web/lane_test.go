package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// express answers what lies below /lane/ with its path, or with data.
type express struct {
	data    []byte
	answers atomic.Int32
}

func (e *express) Answer(q *Request, a *Answer) bool {
	if !bytes.HasPrefix(q.Path, []byte("/lane/")) {
		return false
	}
	e.answers.Add(1)
	a.Body = e.data
	if a.Body == nil {
		a.Body = bytes.Clone(q.Path)
	}
	a.Header = fmt.Appendf(a.Header, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n", len(a.Body))
	if q.Head {
		a.Body = nil
	}
	return true
}

// besideLane is a server with a lane, whose handler answers with the path and what was in the body.
func besideLane(t *testing.T, e *express, change func(*limits)) *lab {
	t.Helper()
	l := &lab{t: t, ended: make(chan error, 1)}
	l.begin(Config{HTTP: "127.0.0.1:0", Lane: e, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, in, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_, _ = io.Copy(conn, in)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "net/http %s %s", r.URL.Path, body)
	})}, change)
	return l
}

// wire is a connection, bytes of which a test sends by itself.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (l *lab) wire() *wire {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.server.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &wire{l.t, conn, bufio.NewReader(conn)}
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatal(err)
	}
}

// body reads one answer.
func (w *wire) body() string {
	w.t.Helper()
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Date") == "" {
		w.t.Fatalf("%s, %v, %v", answer.Status, answer.Header, err)
	}
	return string(body)
}

func (w *wire) expect(body string) {
	w.t.Helper()
	if got := w.body(); got != body {
		w.t.Fatalf("%q instead of %q", got, body)
	}
}

func asking(path string, headers ...string) string {
	return lines(append([]string{"GET " + path + " HTTP/1.1", "Host: o"}, headers...)...)
}

func TestAnswersKeepTheirOrder(t *testing.T) {
	e := &express{}
	l := besideLane(t, e, nil)
	w := l.wire()
	for i := range 20 { // each answered before the next is asked, which may come before net/http waits for it
		w.send(asking(fmt.Sprintf("/lane/%d", i)))
		w.expect(fmt.Sprintf("/lane/%d", i))
		w.send(asking(fmt.Sprintf("/x/%d", i)))
		w.expect(fmt.Sprintf("net/http /x/%d ", i))
	}
	if n := e.answers.Load(); n != 20 {
		t.Errorf("between answers of net/http the lane gave %d", n)
	}
	w = l.wire() // all at once, over more than one buffer; whoever answers
	var all strings.Builder
	for i := range 200 {
		path := "/lane"
		if i%50 == 49 {
			path = "/x"
		}
		all.WriteString(asking(fmt.Sprintf("%s/%d/", path, i), "User-Agent: "+strings.Repeat("x", i)))
	}
	go io.WriteString(w.conn, all.String())
	for i := range 200 {
		if body := w.body(); !strings.Contains(body, fmt.Sprintf("/%d/", i)) {
			t.Fatalf("answer %d is %q", i, body)
		}
	}
	if n := e.answers.Load(); n < 20+49 {
		t.Errorf("the lane gave %d answers", n)
	}
}

func TestBodiesAreNotTakenForRequests(t *testing.T) {
	smuggled := asking("/lane/smuggled")
	for name, text := range map[string]string{
		"with a length": lines("GET /lane/a HTTP/1.1", "Host: o", fmt.Sprintf("Content-Length: %d", len(smuggled))) + smuggled,
		"in chunks":     lines("GET /lane/a HTTP/1.1", "Host: o", "Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
		"posted":        lines("POST /lane/a HTTP/1.1", "Host: o", fmt.Sprintf("Content-Length: %d", len(smuggled))) + smuggled,
	} {
		e := &express{}
		w := besideLane(t, e, nil).wire()
		header, body, _ := strings.Cut(text, "\r\n\r\n")
		w.send(header + "\r\n\r\n")
		w.send(body) // perhaps in another packet
		w.expect("net/http /lane/a " + smuggled)
		w.send(asking("/lane/b"))
		w.expect("net/http /lane/b ")
		if e.answers.Load() != 0 {
			t.Errorf("a body %s was answered", name)
		}
	}
}

func TestAConnectionThatWasTakenOverIsLeftAlone(t *testing.T) {
	for name, early := range map[string]string{"later": "", "before the answer": "early ", "with the request": "at once "} {
		t.Run(name, func(t *testing.T) {
			e := &express{}
			w := besideLane(t, e, nil).wire()
			w.send(asking("/lane/first"))
			w.expect("/lane/first")
			echo := early
			if request := asking("/hijack"); name == "with the request" {
				w.send(request + early)
			} else {
				w.send(request)
				w.send(early)
			}
			if line, err := w.in.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
				t.Fatalf("%q, %v", line, err)
			}
			_, _ = w.in.ReadString('\n')
			echo += asking("/lane/echo")
			w.send(asking("/lane/echo"))
			got := make([]byte, len(echo))
			if _, err := io.ReadFull(w.in, got); err != nil || string(got) != echo || e.answers.Load() != 1 {
				t.Errorf("%q, %v, %d answers", got, err, e.answers.Load())
			}
		})
	}
}

func TestARequestInPiecesIsNetHTTPs(t *testing.T) {
	e := &express{}
	w := besideLane(t, e, nil).wire()
	w.send(asking("/lane/whole") + "GET /lane/pie")
	w.expect("/lane/whole")
	w.send("ces HTTP/1.1\r\nHost: o\r\n\r\n")
	w.expect("net/http /lane/pieces ")
	if e.answers.Load() != 1 {
		t.Errorf("%d answers", e.answers.Load())
	}
}

func TestClientsOfTheLaneAreBounded(t *testing.T) {
	vast := &express{data: make([]byte, 32<<20)} // more than sockets hold
	for name, test := range map[string]struct {
		ask    string
		change func(*limits)
	}{
		"asks once and goes quiet":     {lines("HEAD /lane/a HTTP/1.1", "Host: o"), func(l *limits) { l.idle = 50 * time.Millisecond }},
		"begins to ask and goes quiet": {lines("HEAD /lane/a HTTP/1.1", "Host: o") + "GET", func(l *limits) { l.header = 50 * time.Millisecond }},
		"does not read":                {asking("/lane/a"), func(l *limits) { l.answer = 50 * time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			l := besideLane(t, vast, func(limits *limits) {
				limits.connections = 1
				test.change(limits)
			})
			first := l.wire()
			first.send(test.ask)
			go func() {
				defer close(ended)
				second := l.wire() // which has to wait for the first one's place
				second.send(lines("HEAD /lane/a HTTP/1.1", "Host: o"))
				if _, err := second.in.ReadString('\n'); err != nil {
					t.Errorf("the next client: %v", err)
				}
			}()
			<-ended
		})
	}
}

func TestAnAnswerOfTheLaneIsFinishedWhenTheServerEnds(t *testing.T) {
	e := &express{data: make([]byte, 32<<20)}
	l := besideLane(t, e, nil)
	w, idle := l.wire(), l.wire()
	idle.send(asking("/x"))
	idle.expect("net/http /x ")
	w.send(asking("/lane/a"))
	answer, err := http.ReadResponse(w.in, nil) // has begun
	if err != nil {
		t.Fatal(err)
	}
	l.cancel()
	if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != int64(len(e.data)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := w.in.ReadByte(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}
