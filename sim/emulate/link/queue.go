package link

// event is a packet on its way: at atUs it reaches the downlink of its receiver or,
// if it is through, the receiver.
type event struct {
	atUs     int64
	order    int64
	from, to int32
	through  bool
	data     []byte
}

// queue gives events by time, and those of one time in the order in which they came
// (a binary heap; container/heap would allocate for each packet).
type queue struct {
	items []event
	came  int64
}

func (q *queue) before(a, b int) bool {
	x, y := &q.items[a], &q.items[b]
	return x.atUs < y.atUs || x.atUs == y.atUs && x.order < y.order
}

func (q *queue) push(e event) {
	q.came++
	e.order = q.came
	q.items = append(q.items, e)
	for i := len(q.items) - 1; i > 0; {
		up := (i - 1) / 2
		if !q.before(i, up) {
			return
		}
		q.items[i], q.items[up] = q.items[up], q.items[i]
		i = up
	}
}

func (q *queue) pop() event {
	first, last := q.items[0], len(q.items)-1
	q.items[0] = q.items[last]
	q.items[last] = event{}
	q.items = q.items[:last]
	for i := 0; ; {
		least := i
		for _, down := range [2]int{2*i + 1, 2*i + 2} {
			if down < last && q.before(down, least) {
				least = down
			}
		}
		if least == i {
			return first
		}
		q.items[i], q.items[least] = q.items[least], q.items[i]
		i = least
	}
}
