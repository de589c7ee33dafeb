package step_test

import (
	"testing"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/shared/step"
)

func TestAReservationIsThereInTimeAndGoesIfNobodyComes(t *testing.T) {
	l := newLab(t, 10)
	start := l.Now().Add(time.Hour)
	if err := l.Reserve(t.Context(), "lecture", 25, start); err != nil {
		t.Fatal(err)
	}
	l.sweep()
	if n := len(l.EC2.Living()); n != 0 {
		t.Fatalf("%d instances an hour too early", n)
	}
	l.Pass(58*time.Minute + 10*time.Second)
	l.sweep()
	l.sweep()
	living := l.EC2.Living()
	if len(living) != 3 {
		t.Fatalf("%d instances for 25 seats, ten on each", len(living))
	}
	stored, err := l.World.Store.Find(t.Context(), step.Demand{Region: l.Settings.Region})
	if err != nil {
		t.Fatal(err)
	}
	for _, launch := range stored.Launches {
		if launch.Why != "kept ahead of people: 3 nodes" {
			t.Errorf("%s is launched because %q", launch.ID, launch.Why)
		}
	}
	var nodes []node
	for _, id := range living {
		nodes = append(nodes, l.boots(id, "boot-one"))
	}
	l.capacity()
	l.after(6*time.Minute, nodes...) // idle for longer than nodes may be
	l.sweep()
	if n := len(l.EC2.Living()); n != 3 {
		t.Fatalf("%d instances before anybody could come", n)
	}
	ann := someone("ann", "lecture")
	if err := l.joins(ann); err != nil { // at once
		t.Fatal(err)
	}
	if mail := l.inbox(ann); len(mail) > 0 {
		t.Fatalf("ann was told %v", mail)
	}
	l.after(8*time.Minute, nodes...)
	l.sweep()
	l.sweep()
	if n := len(l.EC2.Living()); n != 1 {
		t.Errorf("%d instances after the reservation has ended, for one person", n)
	}
}

func TestAReservationCanBeChangedAndCancelled(t *testing.T) {
	l := newLab(t, 10)
	start := l.Now().Add(time.Minute)
	for _, seats := range []int{5, 15, 0, 0} {
		if err := l.Reserve(t.Context(), "r", seats, start); err != nil {
			t.Fatal(err)
		}
	}
	l.sweep()
	if n := len(l.EC2.Living()); n != 0 || l.World.Store.Len() != 0 {
		t.Errorf("%d instances, %d items", n, l.World.Store.Len())
	}
	l.refused(l.Reserve(t.Context(), "r", -1, start), events.CodeBadField)
	l.refused(l.Reserve(t.Context(), "r", 5, l.Now().Add(-time.Hour)), events.CodeBadField)
	l.refused(l.Reserve(t.Context(), "r", 5, l.Now().AddDate(1, 0, 0)), events.CodeBadField)
}

func TestSpareSeatsAreKept(t *testing.T) {
	l := newLab(t, 10)
	l.Settings.SpareSeats = 4
	l.sweep()
	if n := len(l.EC2.Living()); n != 1 {
		t.Fatalf("%d instances", n)
	}
	n := l.boots(l.EC2.Living()[0], "boot-one")
	l.capacity()
	l.sweep() // what landed a moment ago counts
	l.after(5*time.Minute, n)
	l.sweep()
	if n := len(l.EC2.Living()); n != 1 {
		t.Fatalf("%d instances after an idle time", n)
	}
	for _, name := range []string{"r0", "r1"} { // two blocks of four leave two seats
		if err := l.joins(someone("p-"+name, name)); err != nil {
			t.Fatal(err)
		}
	}
	l.sweep()
	if n := len(l.EC2.Living()); n != 2 {
		t.Errorf("%d instances where two seats are free", n)
	}
}
