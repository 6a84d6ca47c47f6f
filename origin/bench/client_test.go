package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// client is one connection of HTTP/1.1 that asks and waits, over and over. It knows just enough of the protocol to measure: what the
// two servers answer has a length. net/http's client would cost more than either server.
type client struct {
	conn    net.Conn
	in      *bufio.Reader
	scratch []byte
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 4<<10), scratch: make([]byte, 256<<10)}, nil
}

// request is the bytes of one.
func request(path string, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: origin\r\n", path)
	for _, line := range headers {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

var lengthName = []byte("content-length:")

// ask sends a request and reads the answer, whose body goes to to, or nowhere if that is nil.
func (c *client) ask(request []byte, to io.Writer) (bodyBytes int64, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || line[9] != '2' { // HTTP/1.1 200
		return 0, fmt.Errorf("%w: %s", errStatus, line)
	}
	length := int64(-1)
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > len(lengthName) && bytes.EqualFold(line[:len(lengthName)], lengthName) {
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(line[len(lengthName):])), 10, 64); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer without a length")
	}
	for left := length; left > 0; {
		var n int
		if n = c.in.Buffered(); n > 0 {
			n, err = c.in.Read(c.scratch[:min(left, int64(n))])
		} else {
			n, err = c.conn.Read(c.scratch[:min(left, int64(len(c.scratch)))])
		}
		if err != nil {
			return 0, err
		}
		if to != nil {
			_, _ = to.Write(c.scratch[:n])
		}
		left -= int64(n)
	}
	return length, nil
}

// load is what a set of clients got.
type load struct {
	requests, bytes int64
	seconds         float64
	took            []time.Duration // of each request, to the last byte
}

// ply has so many connections ask for the requests in turn, without a pause, for a time.
func ply(address string, connections int, requests [][]byte, span time.Duration) (sum load, err error) {
	var clients []*client
	defer func() {
		for _, c := range clients {
			c.conn.Close()
		}
	}()
	for range connections {
		c, err := dial(address)
		if err != nil {
			return sum, err
		}
		clients = append(clients, c)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for i, c := range clients {
		all.Go(func() {
			var mine load
			var failed error
			for n := i; failed == nil; n++ {
				asked := time.Now()
				if asked.Sub(began) >= span {
					break
				}
				var size int64
				if size, failed = c.ask(requests[n%len(requests)], nil); failed == nil {
					mine.requests++
					mine.bytes += size
					mine.took = append(mine.took, time.Since(asked))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sum.requests += mine.requests
			sum.bytes += mine.bytes
			sum.took = append(sum.took, mine.took...)
			err = errors.Join(err, failed)
		})
	}
	all.Wait()
	sum.seconds = time.Since(began).Seconds()
	return sum, err
}
