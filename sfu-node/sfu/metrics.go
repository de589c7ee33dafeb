package sfu

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// WriteMetrics writes what the node carries and has counted in the text format of
// Prometheus (version 0.0.4). No name of a room or a participant is among it: how
// rooms differ in size is told by how many of them have at most so many people
// here. Its errors are w's.
func (s *SFU) WriteMetrics(w io.Writer) error {
	report := s.Report()
	var b strings.Builder
	gauge := func(name, help string, value int) {
		fmt.Fprintf(&b, "# HELP spillway_%s %s\n# TYPE spillway_%s gauge\nspillway_%s %d\n", name, help, name, name, value)
	}
	gauge("people", "Participants on this node.", report.People)
	gauge("people_over_tcp", "Participants on this node who are reached over TCP.", report.OverTCP)
	gauge("rooms", "Rooms with participants on this node.", len(report.Members))
	fmt.Fprint(&b, "# HELP spillway_room_people Participants of a room on this node.\n# TYPE spillway_room_people histogram\n")
	sum := 0
	for _, members := range report.Members {
		sum += len(members)
	}
	for _, most := range roomSizes {
		n := 0
		for _, members := range report.Members {
			if len(members) <= most {
				n++
			}
		}
		fmt.Fprintf(&b, "spillway_room_people_bucket{le=\"%d\"} %d\n", most, n)
	}
	fmt.Fprintf(&b, "spillway_room_people_bucket{le=\"+Inf\"} %d\nspillway_room_people_sum %d\nspillway_room_people_count %d\n",
		len(report.Members), sum, len(report.Members))
	for _, t := range s.count.totals() {
		name := snake(t.name)
		fmt.Fprintf(&b, "# HELP spillway_%s_total %s.\n# TYPE spillway_%s_total counter\nspillway_%s_total %d\n",
			name, strings.ToUpper(t.help[:1])+t.help[1:], name, name, t.value.Load())
	}
	fmt.Fprint(&b, "# HELP spillway_dropped_total Packets not forwarded, by cause.\n# TYPE spillway_dropped_total counter\n")
	for d := range drops {
		fmt.Fprintf(&b, "spillway_dropped_total{cause=%q} %d\n", d.String(), s.count.Dropped(d))
	}
	s.clients.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// roomSizes are the upper bounds of the buckets of rooms by people.
var roomSizes = [...]int{1, 2, 5, 10, 25, 50, 100, 250, 1000}

// snake turns packetsIn into packets_in.
func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
