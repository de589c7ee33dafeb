package sfu

import (
	"time"

	"github.com/pion/rtcp"
)

// reception is what a receiver report says about one SSRC (RFC 3550, section 6.4
// and appendix A.8).
type reception struct {
	any        bool
	first      uint32
	highest    uint32 // with the times that sequence numbers wrapped
	received   uint32
	told       struct{ expected, received uint32 } // by the last report
	transit    int64                               // RTP time units
	jitter     int64                               // sixteenths of them
	reported   uint32                              // middle of the last sender report's time
	reportedAt time.Duration
}

// note counts a packet.
func (r *reception) note(sequence uint16, timestamp, rate uint32, now time.Duration) {
	transit := int64(int32(uint32(int64(now)*int64(rate)/int64(time.Second)) - timestamp))
	if !r.any {
		r.any, r.first, r.highest, r.transit = true, uint32(sequence), uint32(sequence), transit
	}
	if ahead := int16(sequence - uint16(r.highest)); ahead > 0 {
		r.highest += uint32(ahead)
	}
	r.received++
	d := int64(int32(transit - r.transit))
	r.transit = transit
	r.jitter += max(d, -d) - (r.jitter+8)>>4
}

// report makes the report on an SSRC. It reports false before anything came.
func (r *reception) report(ssrc uint32, now time.Duration) (rtcp.ReceptionReport, bool) {
	if !r.any {
		return rtcp.ReceptionReport{}, false
	}
	expected := r.highest - r.first + 1
	lost := int64(expected) - int64(r.received)
	out := rtcp.ReceptionReport{
		SSRC: ssrc, LastSequenceNumber: r.highest, Jitter: uint32(r.jitter >> 4),
		TotalLost: uint32(min(max(lost, 0), 1<<23-1)),
	}
	span := expected - r.told.expected
	if missed := int64(span) - int64(r.received-r.told.received); span > 0 && missed > 0 {
		out.FractionLost = uint8(min(missed<<8/int64(span), 255))
	}
	r.told.expected, r.told.received = expected, r.received
	if r.reported != 0 {
		out.LastSenderReport = r.reported
		out.Delay = uint32((now - r.reportedAt) * 65536 / time.Second)
	}
	return out, true
}

const (
	// maxMissing is how many packets of an SSRC are waited for at once. With more
	// missing the path is broken, and a key frame costs less.
	maxMissing = 128
	// askAgain is how long a packet that was asked for is waited for before it is
	// asked for again: longer than most paths are.
	askAgain = 60 * time.Millisecond
	// askMost is how often a packet is asked for.
	askMost = 6
)

// missing lists the packets of one SSRC that have not come.
type missing struct {
	begun bool
	last  uint16 // the newest that came
	list  [maxMissing]absent
	n     int
}

type absent struct {
	sequence uint16
	times    uint8 // that it was asked for
	asked    time.Duration
}

// expect notes a packet that came. It reports whether others are missing now that
// were not before.
func (m *missing) expect(sequence uint16, now time.Duration) bool {
	ahead := int16(sequence - m.last)
	switch {
	case !m.begun:
		m.begun, m.last = true, sequence
		return false
	case ahead <= 0:
		m.recovered(sequence)
		return false
	}
	first := m.last + 1
	m.last = sequence
	if ahead > maxMissing {
		m.n = 0
		return false
	}
	if over := m.n + int(ahead) - 1 - maxMissing; over > 0 {
		m.n = copy(m.list[:], m.list[over:m.n]) // the oldest are given up
	}
	for ; first != sequence; first++ {
		m.list[m.n] = absent{sequence: first}
		m.n++
	}
	return ahead > 1
}

// recovered notes that a packet came after all. It reports false when it was not
// missing.
func (m *missing) recovered(sequence uint16) bool {
	for i := range m.list[:m.n] {
		if m.list[i].sequence == sequence {
			m.n = i + copy(m.list[i:], m.list[i+1:m.n])
			return true
		}
	}
	return false
}

// ask returns what is to be asked for now, and whether more may be later.
func (m *missing) ask(now time.Duration) (list []uint16, more bool) {
	kept := 0
	for _, a := range m.list[:m.n] {
		if a.times > 0 && now-a.asked < askAgain {
			m.list[kept] = a
			kept++
			continue
		}
		if a.times == askMost {
			continue
		}
		a.times++
		a.asked = now
		list = append(list, a.sequence)
		m.list[kept] = a
		kept++
	}
	m.n = kept
	return list, kept > 0
}
