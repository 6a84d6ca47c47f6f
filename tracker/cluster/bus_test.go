package cluster

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

// A NATS that a cut took away takes no bytes any more, and no connection is reset.
func TestANATSThatTakesNothingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			io.WriteString(c, `INFO {"server_id":"x","version":"2.10.0","proto":1,"headers":true,"max_payload":1048576}`+"\r\n")
			for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != "PING"; {
			}
			io.WriteString(c, "PONG\r\n")
		}
	}()
	b, err := openBus(Config{Name: "test", Node: "a", URL: "nats://" + listener.Addr().String(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	said := make(chan struct{})
	go func() {
		defer close(said)
		for range full / maxBatch {
			b.send(1, make([]byte, maxBatch)) //nolint:errcheck // it goes nowhere
		}
		b.beat(nil) //nolint:errcheck // likewise
	}()
	select {
	case <-said:
	case <-time.After(30 * time.Second): // a minute without a limit
		t.Fatal("whoever has something to say waits for the network")
	}
}
