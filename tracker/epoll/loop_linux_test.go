package epoll

import (
	"slices"
	"testing"
)

func TestWhoIsPatientWaitsForAsLongAsThereIsMoreToTake(t *testing.T) {
	s := &Server{}
	s.cfg.setDefaults()
	l, err := newLoop(s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.epoll.Close()
	patient, other := &Conn{loop: l}, &Conn{loop: l}
	patient.SetPatient()
	const full = 10
	for _, turn := range []struct {
		took  int
		bytes int
		want  []*Conn // who is written to after it
	}{
		{took: full, want: []*Conn{other}},
		{took: full, want: []*Conn{other}},
		{took: full - 1, want: []*Conn{other, patient}},
		{took: full, want: []*Conn{other}},
		{took: 0, want: []*Conn{other, patient}},
		{took: full, bytes: mostTaken / 2, want: []*Conn{other}},
		{took: full, bytes: mostTaken / 2, want: []*Conn{other, patient}}, // it has waited for enough
		{took: full, bytes: mostTaken / 2, want: []*Conn{other}},
	} {
		other.Send([]byte("hello"))
		patient.Send([]byte("hello"))
		l.taken += turn.bytes
		l.took(turn.took, full)
		_, queued, _, _ := l.inbox()
		if !slices.Equal(queued, turn.want) {
			t.Errorf("after a turn that took %d and %d bytes %d are written to, want %d", turn.took, turn.bytes, len(queued), len(turn.want))
		}
		for _, c := range queued {
			c.queued = false
		}
	}
}
