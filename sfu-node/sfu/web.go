package sfu

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/spillway-sfu/spillway/events"
	"github.com/spillway-sfu/spillway/sfu-node/pipe"
)

// web is the pipes of a node, and which room uses which. Its lock is taken before
// that of the SFU.
type web struct {
	sfu  *SFU
	mesh *pipe.Mesh // nil when the node takes part in no room of several nodes

	turn sync.Mutex // one assignment at a time

	mu       sync.Mutex
	assigned map[string]assigned
	links    map[string]*pipe.Link      // those that stand, by node
	opened   map[*pipe.Link][]pipe.Open // by nodes that were told of a room before this one was
}

// assigned is the assignment of a room that is in force.
type assigned struct {
	epoch int64
	peers map[string]pipe.Peer
	at    time.Duration
}

// keepAssigned is how long it is remembered that a room is not here any more.
const keepAssigned = 10 * time.Minute

var _ pipe.Handler = (*web)(nil)

func (w *web) open(s *SFU) error {
	w.sfu = s
	w.assigned, w.links, w.opened = map[string]assigned{}, map[string]*pipe.Link{}, map[*pipe.Link][]pipe.Open{}
	// Pipes use one family; nodes that have both have IPv4 in common with all others.
	addresses := slices.Clone(s.cfg.Addresses)
	if four, _ := families(addresses); four {
		addresses = slices.DeleteFunc(addresses, netip.Addr.Is6)
	}
	bind := bindTo(addresses)
	var err error
	w.mesh, err = pipe.Listen(pipe.Config{
		Node: s.cfg.Node, Certificate: s.identity.tls, Bind: netip.AddrPortFrom(bind, uint16(s.cfg.PipePort)),
		Log: s.log, Handler: w, Plain: s.cfg.Plain,
	})
	return err
}

// close cuts all pipes and ends the rooms that only they kept.
func (w *web) close(s *SFU) {
	if w.mesh == nil {
		return
	}
	w.mesh.Close()
	for _, room := range w.rooms() {
		s.resettle(room, nil, 0)
	}
}

// PipePort is where other nodes reach this one; 0 is nowhere.
func (s *SFU) PipePort() int {
	if s.web.mesh == nil {
		return 0
	}
	return s.web.mesh.Port()
}

// room returns the room of a name, and makes it if it is not there. The caller
// holds s.mu.
func (s *SFU) room(name string) *Room {
	room := s.rooms[name]
	if room == nil {
		room = newRoom(s, name)
		s.rooms[name] = room
	}
	return room
}

// Assign joins a room to its parts on other nodes. An assignment that is older than
// the one in force is ignored.
func (s *SFU) Assign(a events.Assignment) {
	w := &s.web
	if w.mesh == nil {
		s.log.Warn("a room is to spread over nodes, which this one has no port for", "room", a.Room)
		return
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	now := s.now()
	if old, ok := w.assigned[a.Room]; ok && a.Epoch < old.epoch {
		w.mu.Unlock()
		return
	}
	entry := assigned{epoch: a.Epoch, peers: map[string]pipe.Peer{}, at: now}
	for _, p := range a.Peers {
		entry.peers[p.Node] = peerOf(p)
	}
	w.assigned[a.Room] = entry
	for room, old := range w.assigned {
		if len(old.peers) == 0 && now-old.at > keepAssigned {
			delete(w.assigned, room)
		}
	}
	peers := w.peers()
	w.mu.Unlock()

	s.log.Info("room assigned", "room", a.Room, "epoch", a.Epoch, "peers", len(a.Peers))
	w.mesh.Assign(peers)
	w.mu.Lock()
	links := map[string]*pipe.Link{}
	for node := range entry.peers {
		links[node] = w.links[node]
	}
	s.resettle(a.Room, links, a.Epoch)
	var waiting []pipe.Open
	var from []*pipe.Link
	for _, l := range links {
		if l == nil {
			continue
		}
		w.opened[l] = slices.DeleteFunc(w.opened[l], func(o pipe.Open) bool {
			if o.Room == a.Room {
				waiting, from = append(waiting, o), append(from, l)
			}
			return o.Room == a.Room
		})
	}
	w.mu.Unlock()
	for i, o := range waiting {
		w.Take(from[i], o)
	}
}

// resettle gives a room its neighbours. A room without people is there for them
// alone.
func (s *SFU) resettle(name string, links map[string]*pipe.Link, epoch int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.rooms[name]
	if room == nil && len(links) > 0 && !s.closed {
		room = s.room(name)
	}
	if room != nil && room.setNeighbours(links, epoch) {
		delete(s.rooms, name)
	}
}

// peers are the nodes that any room is joined to. The caller holds w.mu.
func (w *web) peers() []pipe.Peer {
	all := map[string]pipe.Peer{}
	for _, entry := range w.assigned {
		for node, p := range entry.peers {
			if other, ok := all[node]; !ok || other.Generation <= p.Generation {
				all[node] = p
			}
		}
	}
	var list []pipe.Peer
	for _, p := range all {
		list = append(list, p)
	}
	return list
}

// peerOf reads an assignment's peer: private addresses come first, and those of
// another family than ours last, where they are not tried before others fail.
func peerOf(p events.PipePeer) pipe.Peer {
	peer := pipe.Peer{Node: p.Node, Generation: p.Generation, Fingerprint: p.Fingerprint}
	for _, scope := range []events.Scope{events.PrivateScope, events.PublicScope} {
		for _, a := range p.Addresses {
			if ip, err := netip.ParseAddr(a.IP); err == nil && a.Scope == scope {
				peer.Addresses = append(peer.Addresses, netip.AddrPortFrom(ip.Unmap(), uint16(p.PipePort)))
			}
		}
	}
	return peer
}

// epochs are those of the assignments in force.
func (w *web) epochs() map[string]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	epochs := make(map[string]int64, len(w.assigned))
	for room, entry := range w.assigned {
		epochs[room] = entry.epoch
	}
	return epochs
}

// rooms lists the rooms that have an assignment.
func (w *web) rooms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name := range w.assigned {
		names = append(names, name)
	}
	return names
}

// joined returns the rooms that a node is a neighbour for.
func (w *web) joined(node string) []*Room {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sfu.mu.Lock()
	defer w.sfu.mu.Unlock()
	var rooms []*Room
	for name, entry := range w.assigned {
		if _, ok := entry.peers[node]; ok && w.sfu.rooms[name] != nil {
			rooms = append(rooms, w.sfu.rooms[name])
		}
	}
	return rooms
}

// Up implements [pipe.Handler].
func (w *web) Up(l *pipe.Link) {
	w.mu.Lock()
	w.links[l.Node()] = l
	w.mu.Unlock()
	for _, r := range w.joined(l.Node()) {
		r.up(l)
	}
}

// Down implements [pipe.Handler].
func (w *web) Down(l *pipe.Link) {
	w.mu.Lock()
	if w.links[l.Node()] == l {
		delete(w.links, l.Node())
	}
	delete(w.opened, l)
	w.mu.Unlock()
	for _, r := range w.joined(l.Node()) {
		r.down(l)
	}
}

// maxOpened bounds the rooms that a node may name before this one is assigned them.
const maxOpened = 10_000

// Take implements [pipe.Handler]. What is said of a room that the two nodes are not
// both assigned is not for this one, but that the other has it is remembered: its
// assignment may have come sooner.
func (w *web) Take(l *pipe.Link, m pipe.Message) {
	w.mu.Lock()
	_, ours := w.assigned[m.About()].peers[l.Node()]
	if !ours {
		w.opened[l] = slices.DeleteFunc(w.opened[l], func(o pipe.Open) bool { return o.Room == m.About() })
		if o, ok := m.(pipe.Open); ok && len(w.opened[l]) < maxOpened {
			w.opened[l] = append(w.opened[l], o)
		}
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	w.sfu.mu.Lock()
	room := w.sfu.rooms[m.About()]
	w.sfu.mu.Unlock()
	if room != nil {
		room.take(l, m)
	}
}

// sendOn sends packets of one layer to other nodes.
func (s *SFU) sendOn(outs []outlet, packets []*packet) {
	b := s.web.mesh.Batch()
	b.Packets = b.Packets[:0]
	for _, p := range packets {
		b.Packets = append(b.Packets, pipe.Packet{
			Sequence: p.in.SequenceNumber, Timestamp: p.in.Timestamp, Type: uint8(p.codec), Marker: p.in.Marker, Payload: p.payload,
			Dependency: p.dependency,
		})
	}
	for _, o := range outs {
		o.send(b)
	}
	s.count.PipedOut.Add(int64(len(packets) * len(outs)))
	b.Release()
}
