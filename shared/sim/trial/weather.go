package trial

import (
	"time"

	"github.com/spillway-sfu/spillway/shared/control"
)

// mix hashes numbers into one (SplitMix64, Steele and others 2014).
func mix(parts ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, p := range parts {
		h += p + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

// name hashes a word (64-bit FNV-1a).
func name(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// unit makes a hash a number in [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// dice is a stream of random numbers of one thing's own, so that leaving another
// thing out of the world does not change it.
type dice struct{ seed, n uint64 }

func (d *dice) unit() float64 {
	d.n++
	return unit(mix(d.seed, d.n))
}

func (d *dice) chance(p float64) bool { return d.unit() < p }

// below returns a number in [0, n).
func (d *dice) below(n int) int { return int(d.unit() * float64(n)) }

func (d *dice) between(from, to time.Duration) time.Duration {
	return from + time.Duration(d.unit()*float64(to-from))
}

// weather is what a seed's world is like: how large, and which faults there are
// how often. Each world has some kinds of faults only, because worlds that have
// all of them hardly get anywhere (Groce and others 2012, "Swarm testing").
type weather struct {
	people, rooms              int
	maxParticipants, nodeSeats int
	maxNodes                   int
	// nodesPerRoom is on how many nodes a room may be.
	nodesPerRoom          int
	arrivals              time.Duration
	stays                 time.Duration
	idleAfter, sweepEvery time.Duration
	zones                 []string

	// Faults of the store, per request.
	conflict, busy, failed, unsure, slow float64
	indexLag                             time.Duration
	stale                                float64
	// Of a function, per request of it.
	dies float64
	// Of the gateway, per message.
	lost, late, twice, full, halfOpen float64
	// Of EC2, per request.
	refused, ec2Unsure, neverBoots float64
	ec2Lag                         time.Duration
	busLost, sweepMissed           float64
	// Of people, each once in a stay.
	vanish, takeover, giveUp, blocked float64
	// Disturbances of nodes and of the gateway as a whole: how many in a world.
	crashes, reboots, hangs, cuts, outages, droughts int
	// How many a room takes on its stage (0: everybody), and which part of the
	// people join as viewers.
	stage   int
	viewers float64
	// What operators, customers and EC2 do, how often in a world.
	promotes, demotes, mutes, removes, roomEnds, drains, spots, maintenances, reservations int
	// The deployment's own settings.
	spareSeats int
	thrift     control.Thrift
	// How long a node's token and its sockets last; 0: for good.
	tokenLasts, socketLasts time.Duration
}

// forecast is the weather of a seed.
func forecast(seed uint64) weather {
	d := &dice{seed: mix(seed, name("weather"))}
	some := func(most float64) float64 {
		if d.chance(0.55) {
			return 0
		}
		return most * d.unit()
	}
	count := func(most int) int {
		if d.chance(0.6) {
			return 0
		}
		return 1 + d.below(most)
	}
	w := weather{
		people: 4 + d.below(40), rooms: 1 + d.below(6), maxParticipants: 500, nodeSeats: 4 + d.below(30), maxNodes: 2 + d.below(10),
		arrivals: d.between(20*time.Second, 4*time.Minute), stays: d.between(30*time.Second, 6*time.Minute),
		idleAfter: d.between(20*time.Second, 2*time.Minute), sweepEvery: 60 * time.Second,
	}
	if d.chance(0.3) {
		w.maxParticipants = 3 + d.below(12)
	}
	if d.chance(1.0 / 60) { // a crowd
		w.people, w.nodeSeats, w.maxNodes = 400+d.below(1600), 100+d.below(200), 30
		w.arrivals, w.rooms = d.between(5*time.Second, time.Minute), 1+d.below(40)
	}
	w.conflict, w.busy, w.failed, w.unsure, w.slow = some(0.2), some(0.1), some(0.05), some(0.05), some(0.05)
	w.stale, w.indexLag = some(0.6), d.between(0, 3*time.Second)
	w.dies = some(0.02)
	w.lost, w.late, w.twice, w.full, w.halfOpen = some(0.1), some(0.2), some(0.1), some(0.1), some(0.1)
	w.refused, w.ec2Unsure, w.neverBoots, w.ec2Lag = some(0.4), some(0.3), some(0.2), d.between(0, 90*time.Second)
	w.busLost, w.sweepMissed = some(0.2), some(0.3)
	w.vanish, w.takeover, w.giveUp, w.blocked = some(0.3), some(0.3), some(0.2), some(0.1)
	w.crashes, w.reboots, w.hangs, w.cuts, w.outages, w.droughts = count(3), count(3), count(3), count(3), count(2), count(2)
	if d.chance(0.5) {
		w.zones = []string{"a", "b"}
	}
	w.nodesPerRoom = 1
	if wide := (&dice{seed: mix(seed, name("wide"))}); wide.chance(0.6) {
		w.nodesPerRoom = 2 + wide.below(8)
	}
	w.operated(&dice{seed: mix(seed, name("operated"))})
	return w
}

// operated is what is done to a world on purpose.
func (w *weather) operated(d *dice) {
	count := func(p float64, most int) int {
		if !d.chance(p) {
			return 0
		}
		return 1 + d.below(most)
	}
	if d.chance(0.4) {
		w.stage, w.viewers = 1+d.below(6), 0.3+0.6*d.unit()
		w.promotes, w.demotes = count(0.8, 20), count(0.8, 10)
	}
	w.mutes, w.removes, w.roomEnds = count(0.2, 5), count(0.3, 6), count(0.15, 3)
	w.drains, w.spots, w.maintenances = count(0.4, 4), count(0.35, 3), count(0.2, 2)
	w.reservations = count(0.2, 3)
	if d.chance(0.15) {
		w.spareSeats = 1 + d.below(6)
	}
	switch x := d.unit(); {
	case x < 0.35:
		w.thrift = control.Eager
	case x < 0.5:
		w.thrift = control.Cautious
	}
	if w.thrift == control.Eager && d.chance(0.5) { // an evening in which little happens
		w.people, w.nodeSeats, w.stays, w.arrivals = 6+d.below(14), 4+d.below(8), d.between(5*time.Minute, 15*time.Minute), 2*time.Minute
		w.idleAfter = d.between(2*time.Minute, 4*time.Minute)
	}
	if d.chance(0.5) {
		w.tokenLasts = d.between(24*time.Minute, 40*time.Minute)
	}
	if d.chance(0.3) {
		w.socketLasts = d.between(2*time.Minute, 10*time.Minute)
	}
}

// crowded reports whether a seed's world has very many people, and so needs more
// steps.
func (w weather) crowded() bool { return w.people > 100 }

// StepsOf is how many steps of faults a seed's world is given by default.
func StepsOf(seed uint64) int {
	if forecast(seed).crowded() {
		return 60_000
	}
	return 6_000
}
