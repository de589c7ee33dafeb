package sfu

import (
	"cmp"
	"slices"

	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// FlowCount is one layer of a publication on one pipe, in one direction: what has
// gone there since it was asked for.
type FlowCount struct {
	Room string `json:"room"`
	// Peer is the node at the other end.
	Peer string `json:"peer"`
	// Out says that it goes there; else it comes from there.
	Out bool `json:"out"`
	pipe.Publication
	Layer int `json:"layer"`
	// Flow is its number, which the receiving side has chosen.
	Flow uint32 `json:"flow"`
	// Packets are counted without repetitions where they leave, with them where they
	// arrive.
	Packets int64 `json:"packets"`
}

// Flows tells what goes over pipes now, by room, peer and flow.
func (s *SFU) Flows() []FlowCount {
	s.mu.Lock()
	rooms := make([]*Room, 0, len(s.rooms))
	for _, r := range s.rooms {
		rooms = append(rooms, r)
	}
	s.mu.Unlock()
	flows := []FlowCount{}
	for _, r := range rooms {
		flows = append(flows, r.flows()...)
	}
	slices.SortFunc(flows, func(a, b FlowCount) int {
		out := func(f FlowCount) int {
			if f.Out {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.Peer, b.Peer), out(a)-out(b), cmp.Compare(a.Flow, b.Flow))
	})
	return flows
}

func (r *Room) flows() (flows []FlowCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for node, n := range r.neighbours {
		if n.link == nil {
			continue
		}
		for _, o := range n.wants {
			flows = append(flows, FlowCount{
				Room: r.name, Peer: node, Out: true, Publication: o.want.Publication, Layer: o.want.Layer, Flow: o.want.Flow, Packets: o.flow.Packets(),
			})
		}
		came := n.link.Received()
		for pub := range r.fars {
			for i, u := range pub.far.fetched {
				if u != nil && pub.far.via == n {
					flows = append(flows, FlowCount{
						Room: r.name, Peer: node, Publication: pub.far.name, Layer: i, Flow: u.ssrc, Packets: came[u.ssrc],
					})
				}
			}
		}
	}
	return flows
}
