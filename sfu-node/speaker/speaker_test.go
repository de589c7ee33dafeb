package speaker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// meeting feeds a detector with what people say, 20 ms at a time.
type meeting struct {
	d   *Detector[string]
	now time.Duration
}

func newMeeting() *meeting { return &meeting{d: New[string]()} }

// say lets d pass while each person has the given loudness in -dBov.
func (m *meeting) say(d time.Duration, loudness map[string]uint8) {
	for end := m.now + d; m.now < end; {
		m.now += frame
		for who, level := range loudness {
			m.d.Observe(who, level, m.now)
		}
		if m.now%(200*time.Millisecond) == 0 {
			m.d.Tick(m.now)
		}
	}
	m.d.Tick(m.now)
}

func (m *meeting) dominant() string {
	who, _ := m.d.Tick(m.now)
	return who
}

func (m *meeting) speaking() []string {
	var names []string
	for _, h := range m.d.Speaking() {
		names = append(names, h.Key)
	}
	return names
}

const (
	speech  = 25
	quieter = 40
	noise   = 75
)

func TestDominantSpeaker(t *testing.T) {
	type step struct {
		d    time.Duration
		say  map[string]uint8
		want string
	}
	s := time.Second
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nobody speaks", []step{{2 * s, map[string]uint8{"a": Silence, "b": noise}, ""}}},
		{"one speaks", []step{{s, map[string]uint8{"a": speech, "b": Silence}, "a"}}},
		{"the floor passes", []step{
			{2 * s, map[string]uint8{"a": speech, "b": noise}, "a"},
			{2 * s, map[string]uint8{"a": noise, "b": speech}, "b"},
			{2 * s, map[string]uint8{"a": speech, "b": noise}, "a"},
		}},
		{"it stays through silence", []step{
			{2 * s, map[string]uint8{"a": speech, "b": noise}, "a"},
			{5 * s, map[string]uint8{"a": noise, "b": noise}, "a"},
		}},
		{"a cough takes nothing", []step{
			{3 * s, map[string]uint8{"a": speech, "b": noise}, "a"},
			{60 * time.Millisecond, map[string]uint8{"a": speech, "b": 5}, "a"},
			{s, map[string]uint8{"a": speech, "b": noise}, "a"},
		}},
		{"who speaks along takes nothing", []step{
			{3 * s, map[string]uint8{"a": speech, "b": noise}, "a"},
			{3 * s, map[string]uint8{"a": speech, "b": 20}, "a"},
		}},
		{"steady noise is no speech in the end", []step{
			{2 * s, map[string]uint8{"a": noise, "fan": 66}, ""},
			{20 * s, map[string]uint8{"a": noise, "fan": 66}, ""},
			{2 * s, map[string]uint8{"a": speech, "fan": 66}, "a"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMeeting()
			for i, st := range c.steps {
				m.say(st.d, st.say)
				if got := m.dominant(); got != st.want {
					t.Fatalf("after step %d: %q, expected %q", i+1, got, st.want)
				}
			}
		})
	}
}

func TestTheFloorPassesWithinASecond(t *testing.T) {
	m := newMeeting()
	m.say(10*time.Second, map[string]uint8{"a": speech, "b": noise})
	from := m.now
	for m.dominant() != "b" {
		m.say(100*time.Millisecond, map[string]uint8{"a": noise, "b": speech})
		if m.now-from > 2*time.Second {
			t.Fatal("b speaks alone for 2 s and is not dominant")
		}
	}
	t.Logf("after %v", m.now-from)
}

func TestSpeaking(t *testing.T) {
	m := newMeeting()
	m.say(2*time.Second, map[string]uint8{"a": quieter, "b": noise, "c": noise})
	m.say(time.Second, map[string]uint8{"a": quieter, "b": noise, "c": speech})
	if got := m.speaking(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("speaking %v: expected the dominant one first", got)
	}
	for _, h := range m.d.Speaking() {
		want := map[string]int{"a": quieter, "c": speech}[h.Key]
		if h.Level < want-1 || h.Level > want+1 {
			t.Errorf("%s has level %d, expected %d", h.Key, h.Level, want)
		}
	}
	m.say(300*time.Millisecond, map[string]uint8{"a": noise, "b": noise, "c": noise})
	if got := m.speaking(); len(got) != 2 {
		t.Errorf("in a pause between words %v speak", got)
	}
	m.say(2*time.Second, map[string]uint8{"a": noise, "b": noise, "c": noise})
	if got := m.speaking(); len(got) != 0 {
		t.Errorf("in silence %v speak", got)
	}
	if at, ok := m.d.LastSpoke("c"); !ok || m.now-at < 2*time.Second || m.now-at > 3*time.Second {
		t.Errorf("c spoke last %v ago, %v", m.now-at, ok)
	}
	if _, ok := m.d.LastSpoke("b"); ok {
		t.Error("b never spoke")
	}
}

// Senders that send nothing in silence are silent.
func TestDiscontinuousTransmission(t *testing.T) {
	m := newMeeting()
	m.say(2*time.Second, map[string]uint8{"a": speech, "b": noise})
	m.say(3*time.Second, map[string]uint8{"b": noise}) // nothing from a
	if got := m.speaking(); len(got) != 0 {
		t.Errorf("%v speak", got)
	}
	m.say(time.Second, map[string]uint8{"b": speech})
	if got := m.dominant(); got != "b" {
		t.Errorf("dominant is %q", got)
	}
}

func TestRemove(t *testing.T) {
	m := newMeeting()
	m.say(2*time.Second, map[string]uint8{"a": speech, "b": noise})
	m.d.Remove("a")
	if who, ok := m.d.Tick(m.now); ok {
		t.Errorf("%q is dominant after it was removed", who)
	}
	m.say(time.Second, map[string]uint8{"b": speech})
	if got := m.dominant(); got != "b" {
		t.Errorf("dominant is %q", got)
	}
}

// The result does not depend on the order in which a map is walked.
func TestDeterministic(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	run := func() (history []string) {
		d := New[string]()
		r := rand.New(rand.NewPCG(1, 2))
		loud := ""
		for now := frame; now < 60*time.Second; now += frame {
			if r.IntN(100) == 0 {
				loud = names[r.IntN(len(names))]
			}
			for _, n := range names {
				level := uint8(70 + r.IntN(20))
				if n == loud {
					level = uint8(20 + r.IntN(20))
				}
				d.Observe(n, level, now)
			}
			if now%(200*time.Millisecond) == 0 {
				who, _ := d.Tick(now)
				history = append(history, who)
			}
		}
		return history
	}
	first := run()
	for range 5 {
		if !slices.Equal(first, run()) {
			t.Fatal("two runs differ")
		}
	}
}

func FuzzDetector(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 255, 128, 7})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := New[byte]()
		var now time.Duration
		for i, b := range raw {
			now += time.Duration(b%50) * time.Millisecond
			switch b % 5 {
			case 0:
				d.Tick(now)
			case 1:
				d.Remove(b % 3)
			default:
				d.Observe(b%3, raw[len(raw)-1-i], now-time.Duration(b%7)*time.Millisecond)
			}
		}
		for _, h := range d.Speaking() {
			if h.Level < 0 || h.Level > Silence {
				t.Errorf("level %d", h.Level)
			}
		}
	})
}

func BenchmarkTick(b *testing.B) {
	d := New[int]()
	for k := range 50 {
		for i := range 50 {
			d.Observe(k, uint8(20+k), time.Duration(i)*frame)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Tick(time.Second)
	}
}
