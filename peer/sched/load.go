package sched

// This file notices that the machine is busy, because it is told late that time passed.
// There our own small messages are what makes leaves late, to everybody's harm: each costs
// both ends as much as the packets of a third of a leaf.

// ticked books how late a tick came. Who slept was not busy.
func (c *Core) ticked() {
	if late := max(c.nowMs-c.tickMs-TickMs, 0); late < asleepMs {
		c.lateUs += (late*1000 - c.lateUs) / lateTicks
	}
	c.tickMs = c.nowMs
}

// busyMs is how long news waits for other news because the machine is busy.
func (c *Core) busyMs() int64 { return min(max(c.lateUs-calmUs, 0)*busyFactor/1000, busyMaxMs) }
