package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// strip is a body that lies somewhere.
type strip struct {
	data []byte
	at   int64
}

func (s *strip) Read(p []byte) (int, error) {
	n := copy(p, s.data[s.at:])
	s.at += int64(n)
	return n, nil
}

type inMemoryStrip struct{ strip }

func (s *inMemoryStrip) Take(most int64) net.Buffers {
	half := s.at + most/2
	return net.Buffers{s.data[s.at:half], s.data[half : s.at+most]}
}

type inFileStrip struct {
	strip
	file *os.File
}

func (s *inFileStrip) File() (*os.File, int64) { return s.file, s.at }

// everyWay gives a test handlers that send the same bytes in each way there is.
func everyWay(t *testing.T, size int, test func(t *testing.T, data []byte, send func(http.ResponseWriter) error)) {
	data := make([]byte, 0, size+8)
	for n := 0; len(data) < size; n++ {
		data = fmt.Appendf(data, "%08x", n)
	}
	path := filepath.Join(t.TempDir(), "strip")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	for name, body := range map[string]func() io.Reader{
		"from memory": func() io.Reader { return &inMemoryStrip{strip{data: data}} },
		"from a file": func() io.Reader { return &inFileStrip{strip{data: data}, file} },
		"by reading":  func() io.Reader { return &strip{data: data} },
	} {
		t.Run(name, func(t *testing.T) {
			test(t, data, func(w http.ResponseWriter) error {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, err := io.CopyN(w, body(), int64(len(data)))
				return err
			})
		})
	}
}

func TestBodiesArriveWholeFromWhereTheyLie(t *testing.T) {
	for _, size := range []int{8, 600, 20_000, 8 << 20} {
		everyWay(t, size, func(t *testing.T, data []byte, send func(http.ResponseWriter) error) {
			l := serve(t, func(w http.ResponseWriter, r *http.Request) {
				done, ok := Together(r.Context())
				if !ok {
					t.Error("a plain connection is not known")
					return
				}
				defer done()
				if err := send(w); err != nil && r.Method != http.MethodHead {
					t.Error(err)
				}
			}, nil)
			client, base := l.client("HTTP/1.1")
			for range 3 {
				answer, err := client.Get(base)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("%d bytes came, or others: %v", len(got), err)
				}
				if head, err := client.Head(base); err != nil || head.ContentLength != int64(len(data)) {
					t.Fatalf("HEAD: %v", err)
				}
			}
		})
	}
}

func TestNothingIsHeldBackForEver(t *testing.T) {
	for name, handle := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"a word":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "slipstream") },
		"many":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("slipstream", 100_000)) },
		"bit by bit": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "slip")
			http.NewResponseController(w).Flush()
			io.WriteString(w, "stream")
		},
		"not changed": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		t.Run(name, func(t *testing.T) {
			l := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if done, ok := Together(r.Context()); ok {
					defer done()
				}
				handle(w, r)
			}, nil)
			var want []byte
			for _, protocol := range []string{"HTTP/1.1 over TLS", "HTTP/1.1"} {
				client, base := l.client(protocol)
				for range 2 {
					answer, err := client.Get(base)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(answer.Body)
					answer.Body.Close()
					if want == nil {
						want = got
					}
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes came where %d come over TLS: %v", len(got), len(want), err)
					}
				}
			}
		})
	}
}

func TestAReaderThatStopsEndsWhatIsSentFromWhereItLies(t *testing.T) {
	everyWay(t, 24<<20, func(t *testing.T, _ []byte, send func(http.ResponseWriter) error) {
		sent := make(chan error, 1)
		l := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Error(err)
			}
			done, _ := Together(r.Context())
			defer done()
			sent <- send(w)
		}, nil)
		client, base := l.client("HTTP/1.1")
		if answer, err := client.Get(base); err == nil {
			defer answer.Body.Close()
		}
		select {
		case err := <-sent:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("24 MiB to a client that reads nothing: %v", err)
			}
		case <-time.After(patience):
			t.Error("the answer never ends")
		}
	})
}

func TestConnectionsOverTCPAreLimited(t *testing.T) {
	var left atomic.Bool
	l := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" && !left.Load() {
			t.Error("a second connection was let in beside the first")
		}
	}, func(l *limits) { l.connections = 1 })
	first, base := l.client("HTTP/1.1")
	second, _ := l.client("HTTP/1.1")
	ask := func(client *http.Client, path string) error {
		answer, err := client.Get(base + path)
		if err == nil {
			answer.Body.Close()
		}
		return err
	}
	if err := ask(first, "/first"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- ask(second, "/second") }()
	for range 20 { // meanwhile it could have been
		if err := ask(first, "/first"); err != nil {
			t.Fatal(err)
		}
	}
	left.Store(true)
	first.CloseIdleConnections()
	select {
	case err := <-answered:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("the place of a connection that has ended is not given to another")
	}
}
