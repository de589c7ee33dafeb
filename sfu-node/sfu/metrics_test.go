package sfu

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/lightpeer"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"ann", "bob", "cas"} {
		w.join(name).isHere()
	}
	w.join("dot", func(o *events.Offer, _ *lightpeer.Options) { o.Room = "secret \"plans\"" }).isHere()
	w.count.drop(DropViewer)
	w.count.PipedIn.Add(7)
	var b strings.Builder
	if err := w.WriteMetrics(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"spillway_people 4\n", "spillway_rooms 2\n", "spillway_joins_total 4\n", "spillway_piped_in_total 7\n",
		`spillway_dropped_total{cause="viewer"} 1` + "\n", `spillway_dropped_total{cause="late"} 0` + "\n",
		`spillway_room_people_bucket{le="1"} 1` + "\n", `spillway_room_people_bucket{le="2"} 1` + "\n",
		`spillway_room_people_bucket{le="5"} 2` + "\n", "spillway_room_people_sum 4\n", "spillway_room_people_count 2\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("there is no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "secret") || strings.Contains(b.String(), "ann") && strings.Contains(b.String(), "key-") {
		t.Error("names are told")
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) spillway_[a-z_]+ .+|spillway_[a-z_]+(\{[a-z]+="[^"]*"\})? \d+)$`)
	for _, l := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("malformed line %q", l)
		}
	}
}
