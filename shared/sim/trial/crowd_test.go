package trial

import "testing"

// TestCrowds: a thousand people at once are all admitted, none oversold and none
// leaked, with few writes and few retries. The conflicts are those of transactions
// that hold their items for some milliseconds. A room of a thousand is on one large
// node here; three hundred rooms are on as many nodes of a usual size as they need,
// and, for comparison, all on one, which is then what they all fight for.
//
// A room's first is a grant of three items and a participant: with 300 rooms no
// fewer than 2.6 writes a join are possible.
func TestCrowds(t *testing.T) {
	for _, c := range []struct {
		rooms, seats int
		writes       float64
		retries      int
	}{{1, 6000, 2.4, 2}, {300, 136, 3.2, 2}, {300, 6000, 16, 8}} {
		b := Crowd(1, 1000, c.rooms, c.seats, nil)
		if b.Err != nil {
			t.Errorf("%d rooms: %v", c.rooms, b.Err)
		}
		perJoin := float64(b.Writes) / 1000
		p99 := b.Retries[len(b.Retries)*99/100]
		t.Logf("%d rooms on nodes of %d seats: %d calls, %.2f conditional writes and %.2f commits a join, %d conflicts, p99 %d retries, %s: %v",
			c.rooms, c.seats, b.Joins, perJoin, float64(b.Commits)/1000, b.Conflicts, p99, b.Took, b.Plans)
		if perJoin > c.writes || p99 > c.retries {
			t.Errorf("%d rooms on nodes of %d seats: %.2f writes a join and p99 %d retries, at most %.2f and %d are expected", c.rooms, c.seats, perJoin, p99, c.writes, c.retries)
		}
	}
}
