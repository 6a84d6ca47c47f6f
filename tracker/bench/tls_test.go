//go:build linux

package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// overTLS is what joins cost where the tracker does TLS itself.
type overTLS struct {
	Seconds       float64 `json:"seconds"`
	Joins         int64   `json:"joins"`
	Failed        int64   `json:"failed"`
	PerSecond     float64 `json:"joinsPerSecond"`
	TrackerMicros float64 `json:"trackerCpuMicrosPerVisit"`
	PerCore       float64 `json:"joinsPerSecondAndCore"` // of the tracker's CPU, whatever the clients used
	Bars          []bar   `json:"bars"`
}

func benchTLS(args []string) (any, error) {
	set := flags("tls")
	slipstream := set.String("slipstream", "bin/slipstream", "the program")
	seconds := set.Int("seconds", 15, "for how long")
	workers := set.Int("workers", 16, "viewers that connect at a time")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-tracker-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cert, key, err := selfSigned(dir)
	if err != nil {
		return nil, err
	}
	t, err := startTracker(*slipstream, dir, "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		return nil, err
	}
	defer t.kill()
	allFiles()
	r := &overTLS{}
	var joins, failed atomic.Int64
	var wg sync.WaitGroup
	from, before := time.Now(), cpu(t.cmd.Process.Pid)
	for range *workers {
		wg.Go(func() {
			var open []net.Conn // the last hundred stay, so that there is a room
			for time.Since(from) < time.Duration(*seconds)*time.Second {
				c, err := joinTLS(t.address, int(joins.Add(1)))
				if err != nil {
					failed.Add(1)
					continue
				}
				if open = append(open, c); len(open) > 100 {
					open[0].Close()
					open = open[1:]
				}
			}
			for _, c := range open {
				c.Close()
			}
		})
	}
	wg.Wait()
	r.Seconds, r.Joins, r.Failed = time.Since(from).Seconds(), joins.Load(), failed.Load()
	used := cpu(t.cmd.Process.Pid) - before
	r.PerSecond, r.TrackerMicros = float64(r.Joins)/r.Seconds, used*1e6/float64(r.Joins)
	r.PerCore = 1e6 / r.TrackerMicros
	r.Bars = []bar{atLeast("joins a second and core", r.PerCore, 2000), atMost("failed", float64(r.Failed), 0)}
	return r, nil
}

// joinTLS is one viewer up to its welcome, with a handshake as of one who was never here.
func joinTLS(address string, n int) (net.Conn, error) {
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Conn, error) {
		c.Close()
		return nil, err
	}
	if _, err := c.Write(upgrade(nil, token(n, channelID(0), time.Now()))); err != nil {
		return fail(err)
	}
	in := bufio.NewReaderSize(c, 512)
	for line := "-"; line != "\r\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			return fail(err)
		}
	}
	if _, err := c.Write(frame(0x81, []byte(joinMessage))); err != nil {
		return fail(err)
	}
	head := make([]byte, 20)
	if _, err := io.ReadFull(in, head); err != nil {
		return fail(err)
	}
	if !strings.Contains(string(head), `"welcome`) {
		return fail(fmt.Errorf("instead of a welcome: %q", head))
	}
	return c, nil
}

// selfSigned writes a certificate as most have: ECDSA on P-256.
func selfSigned(dir string) (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}},
	}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}
