package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// host is a network namespace with two lines: front, on which viewers come, and back, on which trackers reach each other.
// Both end at a switch (a bridge); front's is also ours. Nothing has a name outside of this process's own namespace, so
// when this process ends nothing is left.
type host struct {
	number int
	holder *process // keeps the namespace
}

const (
	front = "front"
	back  = "back"
)

// openSwitches makes the network that hosts are connected to. This process is alone in its namespace.
func openSwitches() error {
	// Viewers would gather addresses of IPv6 as well. A kernel without it has no such file.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644); err != nil && !os.IsNotExist(err) {
		return err
	}
	return ip(nil, "link set lo up", "link add front type bridge", "link add back type bridge", "addr add 10.1.0.1/24 dev front",
		"link set front up", "link set back up")
}

// newHost connects one more.
func newHost(number int) (*host, error) {
	holder, err := startApart("sleep", "infinity")
	if err != nil {
		return nil, err
	}
	h := &host{number, holder}
	pid := holder.cmd.Process.Pid
	err = ip(nil, fmt.Sprintf("link add %s type veth peer name front netns %d", h.port(front), pid),
		fmt.Sprintf("link add %s type veth peer name back netns %d", h.port(back), pid))
	if err == nil {
		err = ip(h, "link set lo up", "addr add "+h.address(front)+"/24 dev front", "addr add "+h.address(back)+"/24 dev back",
			"link set front up", "link set back up")
	}
	if err == nil {
		err = h.plug(front, back)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *host) port(line string) string { return fmt.Sprint(line, h.number) }

// address is the host's on a line.
func (h *host) address(line string) string {
	return fmt.Sprintf("10.%d.0.%d", map[string]int{front: 1, back: 2}[line], 10+h.number)
}

// plug connects lines with their switches.
func (h *host) plug(lines ...string) error {
	var commands []string
	for _, line := range lines {
		commands = append(commands, fmt.Sprintf("link set %s master %s up", h.port(line), line))
	}
	return ip(nil, commands...)
}

// unplug takes lines out of their switches: what is sent is lost, and nobody is told.
func (h *host) unplug(lines ...string) error {
	var commands []string
	for _, line := range lines {
		commands = append(commands, fmt.Sprintf("link set %s nomaster", h.port(line)))
	}
	return ip(nil, commands...)
}

// start runs a program on the host.
func (h *host) start(name string, args ...string) (*process, error) {
	return start("nsenter", append(h.within(), append([]string{name}, args...)...)...)
}

func (h *host) within() []string {
	return []string{fmt.Sprintf("--net=/proc/%d/ns/net", h.holder.cmd.Process.Pid), "--"}
}

func (h *host) close() { h.holder.kill() }

// ip runs commands of iproute2 on a host; nil is this process's own namespace.
func ip(h *host, commands ...string) error {
	c := exec.Command("ip", "-batch", "-")
	if h != nil {
		c = exec.Command("nsenter", append(h.within(), c.Args...)...)
	}
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("the network of the trackers cannot be set up (nsenter and iproute2 are needed, and root or user namespaces): %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}
