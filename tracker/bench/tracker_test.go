//go:build linux

package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slipstream/origin/benchtest"
	trackers "slipstream/tracker"
	"slipstream/tracker/server"
)

var rawURL = base64.RawURLEncoding

var secret = bytes.Repeat([]byte{7}, 32)

// channelID is a channel's id by number.
func channelID(n int) string { return fmt.Sprintf("%043d", n) }

// token is what a viewer joins with, bound to a certificate as a browser's is.
func token(id int, channel string, now time.Time) string { return sign(secret, "", id, channel, now) }

// sign makes a token for pages of a web origin, as RFC 7519 says: a library costs more than the rest of a viewer.
func sign(key []byte, origin string, id int, channel string, now time.Time) string {
	enc := rawURL
	s := make([]byte, 0, 400)
	s = append(s, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."...)
	s = enc.AppendEncode(s, fmt.Appendf(nil, `{"sub":%q,"org":%q,"role":"viewer","cnf":{"x5t#S256":%q},"jti":"%d-%d","iat":%d,"exp":%d}`,
		channel, origin, channelID(0), os.Getpid(), id, now.Unix(), now.Unix()+110))
	h := hmac.New(sha256.New, key)
	h.Write(s)
	return string(enc.AppendEncode(append(s, '.'), h.Sum(nil)))
}

// tracker is a `slipstream tracker`.
type tracker struct {
	cmd     *exec.Cmd
	address string
	err     bytes.Buffer
}

// runTracker is the process that the short form measures, which needs no build of the whole program.
func runTracker(args []string) (any, error) {
	set := flags("tracker")
	listen, key := set.String("listen", "", ""), set.String("token-key", "", "")
	connections, room := set.Int("connections", 0, ""), set.Int("room-viewers", 0, "")
	var trusted []netip.Prefix
	set.Func("trust", "", func(s string) error {
		prefix, err := netip.ParsePrefix(s)
		trusted = append(trusted, prefix)
		return err
	})
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	secret, err := trackers.ReadSecret(*key)
	if err != nil {
		return nil, err
	}
	return nil, trackers.Run(context.Background(), trackers.Config{
		Secret: secret, Listen: *listen, Limits: server.Limits{Connections: *connections, RoomViewers: *room},
		ClientAddr: server.Forwarded(trusted),
	})
}

// startTracker starts one and waits until it answers. It dies with us.
func startTracker(slipstream, dir string, args ...string) (*tracker, error) {
	key := filepath.Join(dir, "token.key")
	if err := os.WriteFile(key, secret, 0o600); err != nil {
		return nil, err
	}
	address, err := benchtest.FreeAddress()
	if err != nil {
		return nil, err
	}
	t := &tracker{address: address}
	args = append([]string{
		"tracker", "--listen", t.address, "--token-key", key, "--connections", "1000000", "--room-viewers", "1000000",
	}, args...)
	t.cmd = exec.Command(slipstream, args...)
	t.cmd.Stderr = &t.err
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	for range 500 {
		c, err := net.Dial("tcp", t.address)
		if err == nil {
			return t, c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.kill()
	return nil, fmt.Errorf("the tracker does not start: %s", t.err.String())
}

func (t *tracker) kill() {
	_ = t.cmd.Process.Kill()
	_ = t.cmd.Wait()
}

// cpu is what a process has used, in seconds, of user and system together.
func cpu(pid int) float64 {
	user, system := times(pid)
	return user + system
}

// times is what it has used in its own code, and in the kernel on its behalf.
func times(pid int) (user, system float64) {
	stat, err := benchtest.ReadStat(pid)
	if err != nil {
		return 0, 0
	}
	return stat.Seconds(14), stat.Seconds(15)
}

// proc reads a line "Name:  123 kB" of a file in /proc as bytes.
func proc(file, name string) int64 {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// resident is a process's memory.
func resident(pid int) int64 { return proc(fmt.Sprintf("/proc/%d/status", pid), "VmRSS") }

// proportional is the same, but what several processes share, as the program's text, is counted once for all.
func proportional(pid int) int64 { return proc(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss") }
