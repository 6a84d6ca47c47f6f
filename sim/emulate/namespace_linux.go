package emulate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"slipstream/sim/emulate/link"
)

// namespace is a host's network: loopback and one TUN device, which is its whole
// world. It has no name anywhere. It lives as long as somebody holds its descriptor
// or runs in it, and its device as long as the descriptor is open: when the emulator
// dies, however it dies, nothing is left.
type namespace struct {
	fd     int      // of the network namespace
	device *os.File // what its processes send comes out here, and the other way round
}

// inThread runs f on a thread of its own, which ends afterwards: what f does to the
// thread's namespaces does no harm.
func inThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}

func newNamespace(addr netip.Addr) (*namespace, error) {
	n := &namespace{fd: -1}
	err := inThread(func() error { return n.build(addr) })
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *namespace) build(addr netip.Addr) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a network namespace cannot be made: %w; emulation needs root", err)
	}
	var err error
	if n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("a network namespace cannot be opened: %w", err)
	}
	if n.device, err = openTUN("tun0"); err != nil {
		return err
	}
	// The emulated Internet is IPv4; without this the kernel solicits routers. A kernel without IPv6 has no such file.
	err = os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("IPv6 cannot be turned off in a namespace: %w", err)
	}
	// The whole of 10/8 is on the link: TUN devices know no neighbours. Browsers gather
	// candidates only where there is a default route.
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(fmt.Sprintf(
		"link set lo up\nlink set dev tun0 mtu %d multicast on up\naddr add %s/8 dev tun0\nroute add default dev tun0\n", link.MTU, addr))
	if said, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("a host's network cannot be set up with ip (package iproute2): %w: %s", err, strings.TrimSpace(string(said)))
	}
	return nil
}

// openTUN makes a device in the namespace of this thread (Documentation/networking/tuntap.rst).
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun cannot be opened: %w; this kernel has no TUN devices, or this container may not use them", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("a TUN device cannot be made: %w; emulation needs root", err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// enter moves this thread, which must be locked and end with its goroutine.
func (n *namespace) enter() error {
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("a host's namespace cannot be entered: %w", err)
	}
	return nil
}

// dial connects from inside. The address must be a number: a look-up would leave the thread.
func (n *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = inThread(func() error {
		if err := n.enter(); err != nil {
			return err
		}
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// inode identifies the namespace for as long as it lives.
func (n *namespace) inode() (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(n.fd, &stat)
	return stat.Ino, err
}

func (n *namespace) close() {
	if n.device != nil {
		n.device.Close()
	}
	if n.fd >= 0 {
		unix.Close(n.fd)
		n.fd = -1
	}
}
