package emulate

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// The emulator stands for lines and wires, which do not slow down when the hosts'
// processors are busy; so its threads are real-time ones (sched(7), SCHED_RR) of the
// lowest priority. Policies belong to threads on Linux, and new threads inherit them;
// children are ordinary again.
func hurry() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			setPolicy(id, unix.SCHED_RR, 1)
		}
	}
}

// takeYourTime is for a thread that is about to start a child.
func takeYourTime() { setPolicy(0, unix.SCHED_NORMAL, 0) }

// setPolicy tries. Where it is not allowed, the emulator is only less exact, and its
// report tells by how much.
func setPolicy(thread int, policy, priority uint32) {
	_ = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0)
}
