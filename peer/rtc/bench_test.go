package rtc

import (
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"
)

// The two benchmarks move messages of 16 KiB over loopback under the same back-pressure: first over pion as its
// examples use it, then over Conn. Run them together, and compare within one run:
//
//	go test -bench . -run ^$ ./peer/rtc
const (
	benchMessage = 16384
	benchHigh    = 1 << 20
	benchLow     = 256 << 10
)

// move sends b.N messages and returns when received has counted them all.
func move(b *testing.B, send func([]byte) error, buffered func() int, low <-chan struct{}, received <-chan struct{}) {
	b.SetBytes(benchMessage)
	message := make([]byte, benchMessage)
	b.ResetTimer()
	go func() {
		for range b.N {
			for buffered() > benchHigh {
				<-low
			}
			if err := send(message); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for range b.N {
		<-received
	}
	b.StopTimer()
}

func signalTo(ch chan struct{}) func() {
	return func() {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func BenchmarkBarePion(b *testing.B) {
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings))
	negotiated, id := true, uint16(0)
	low, received := make(chan struct{}, 1), make(chan struct{}, 1024)
	var open sync.WaitGroup
	open.Add(2)
	var pcs [2]*webrtc.PeerConnection
	var channels [2]*webrtc.DataChannel
	for i := range pcs {
		var err error
		if pcs[i], err = api.NewPeerConnection(webrtc.Configuration{}); err != nil {
			b.Fatal(err)
		}
		defer pcs[i].GracefulClose()
		if channels[i], err = pcs[i].CreateDataChannel("bench", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id}); err != nil {
			b.Fatal(err)
		}
		channels[i].OnOpen(open.Done)
		channels[i].OnMessage(func(webrtc.DataChannelMessage) { received <- struct{}{} })
	}
	channels[0].SetBufferedAmountLowThreshold(benchLow)
	channels[0].OnBufferedAmountLow(signalTo(low))
	offer, err := pcs[0].CreateOffer(nil)
	negotiate(b, err, pcs[0], pcs[1], offer)
	answer, err := pcs[1].CreateAnswer(nil)
	negotiate(b, err, pcs[1], pcs[0], answer)
	open.Wait()
	move(b, channels[0].Send, func() int { return int(channels[0].BufferedAmount()) }, low, received)
}

// negotiate gives a description to both ends, with all candidates in it.
func negotiate(b *testing.B, err error, from, to *webrtc.PeerConnection, d webrtc.SessionDescription) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(from)
	if err := from.SetLocalDescription(d); err != nil {
		b.Fatal(err)
	}
	<-gathered
	if err := to.SetRemoteDescription(*from.LocalDescription()); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkConn(b *testing.B) {
	offerer, answerer := newEngine(b, Config{}), newEngine(b, Config{})
	offering, answering := connected(b, offerer, answerer)
	received := make(chan struct{}, 1024)
	stop := make(chan struct{})
	var counter sync.WaitGroup
	counter.Go(func() {
		for {
			select {
			case <-answering.messages:
				received <- struct{}{}
			case <-stop:
				return
			}
		}
	})
	move(b, offering.conn.Send, offering.conn.BufferedAmount, offering.low, received)
	close(stop)
	counter.Wait()
}

// BenchmarkConnect opens and closes connections, one after the other.
func BenchmarkConnect(b *testing.B) {
	offerer, answerer := newEngine(b, Config{}), newEngine(b, Config{})
	for range b.N {
		offering, answering := connected(b, offerer, answerer)
		offering.conn.Close()
		wait(b, "the other side", answering.closed)
	}
}
