package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// visit is one person's time in a room.
type visit struct {
	room   string
	person string
	viewer bool
	from   time.Duration
	to     time.Duration
}

// trace is a day, or a part of one, of visits.
type trace struct {
	name   string
	visits []visit
	// largest is the most people in one room: what a fixed reservation reserves.
	largest int
}

func (t *trace) stay(r *rand.Rand, room string, n int, viewer bool, from, to, spread time.Duration) {
	for i := range n {
		late := time.Duration(r.Int64N(int64(spread)))
		early := time.Duration(r.Int64N(int64(spread)))
		t.visits = append(t.visits, visit{room, fmt.Sprintf("%s-%v-%d", room, viewer, i), viewer, from + late, max(to-early, from+late+time.Minute)})
	}
	t.largest = max(t.largest, n)
}

// traces are the four kinds of load, each the same for the same seed.
func traces(seed uint64) []trace {
	r := rand.New(rand.NewPCG(seed, seed))
	meetings := trace{name: "business-day meetings"}
	for slot := range 20 { // every half hour from eight to six
		busy := 25 + 75*min(slot, 19-slot)/10
		for i := range busy {
			begin := time.Duration(slot) * 30 * time.Minute
			meetings.stay(r, fmt.Sprintf("m%d-%d", slot, i), 2+r.IntN(11), false, begin, begin+time.Duration(20+r.IntN(40))*time.Minute, 4*time.Minute)
		}
	}
	flash := trace{name: "flash crowd into webinars"}
	for i := range 20 {
		room := fmt.Sprintf("w%d", i)
		begin := time.Duration(30+i%4*45) * time.Minute
		flash.stay(r, room, 4, false, begin-10*time.Minute, begin+time.Hour, time.Minute)
		flash.stay(r, room, 60+r.IntN(60), true, begin, begin+time.Hour, 2*time.Minute)
	}
	classes := trace{name: "classes on the hour"}
	for hour := range 6 {
		for i := range 30 {
			begin := time.Duration(hour) * time.Hour
			classes.stay(r, fmt.Sprintf("c%d-%d", hour, i), 15+r.IntN(20), false, begin, begin+50*time.Minute, 3*time.Minute)
		}
	}
	collapse := trace{name: "rooms that collapse"}
	for i := range 120 {
		room := fmt.Sprintf("x%d", i)
		begin := time.Duration(r.Int64N(int64(30 * time.Minute)))
		for j := range 12 {
			stay := time.Duration(15+r.IntN(15)) * time.Minute
			if j < 2 {
				stay = time.Duration(150+r.IntN(60)) * time.Minute
			}
			collapse.visits = append(collapse.visits, visit{room, fmt.Sprintf("%s-%d", room, j), false, begin, begin + stay})
		}
	}
	collapse.largest = 12
	for i := range 60 { // and others that come into the holes
		begin := time.Duration(40+r.IntN(100)) * time.Minute
		collapse.stay(r, fmt.Sprintf("y%d", i), 4+r.IntN(6), false, begin, begin+40*time.Minute, 2*time.Minute)
	}
	return []trace{meetings, flash, classes, collapse}
}

// without returns the trace without some people.
func (t trace) without(people map[string]bool) trace {
	t.visits = slices.DeleteFunc(slices.Clone(t.visits), func(v visit) bool { return people[v.person] })
	return t
}

// hours is how long the trace is.
func (t trace) hours() float64 {
	var end time.Duration
	for _, v := range t.visits {
		end = max(end, v.to)
	}
	return end.Hours()
}

// change is somebody who comes or goes.
type change struct {
	at   time.Duration
	who  visit
	goes bool
}

func (t trace) changes() []change {
	var out []change
	for _, v := range t.visits {
		out = append(out, change{v.from, v, false}, change{v.to, v, true})
	}
	slices.SortStableFunc(out, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	return out
}
