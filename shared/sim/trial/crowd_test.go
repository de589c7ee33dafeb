package trial

import "testing"

// TestCrowds: a thousand people at once are all admitted, none oversold and none
// leaked. What it takes is logged (-v); the conflicts are those of transactions
// that hold their items for some milliseconds.
func TestCrowds(t *testing.T) {
	for _, rooms := range []int{1, 300} {
		b := Crowd(1, 1000, rooms, nil)
		if b.Err != nil {
			t.Errorf("%d rooms: %v", rooms, b.Err)
		}
		perJoin := float64(b.Writes) / 1000
		p99 := b.Retries[len(b.Retries)*99/100]
		t.Logf("%d rooms: %d calls, %.2f conditional writes and %.2f commits a join, %d conflicts, p99 %d retries, %s: %v", rooms, b.Joins, perJoin, float64(b.Commits)/1000, b.Conflicts, p99, b.Took, b.Plans)
	}
}
