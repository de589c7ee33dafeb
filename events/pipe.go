package events

// MaxPipePeers bounds the nodes that one node is joined to for one room.
const MaxPipePeers = 64

// PipePeer is a node that another one is joined to by a pipe, as that node's
// [Hello] described it.
type PipePeer struct {
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	// Addresses are those of the hello. A pipe tries private ones first; the port
	// is not theirs but PipePort.
	Addresses List[Address] `json:"addresses"`
	// PipePort is the hello's: TCP with TLS and UDP.
	PipePort int `json:"pipePort"`
	// Fingerprint is that of the certificate which the peer must show.
	Fingerprint string `json:"fingerprint"`
	// Feeder says that this peer is nearer to the root of the room's tree.
	Feeder bool `json:"feeder,omitempty"`
}

func (p PipePeer) validate() error {
	return firstOf(
		bounded("peers.node", p.Node, 1, MaxID),
		positive("peers.generation", p.Generation),
		reachable("peers.", p.Addresses, p.Fingerprint),
		inRange("peers.pipePort", int64(p.PipePort), 1, 65535),
	)
}

// Assignment is the complete list of the nodes that this one is joined to by
// pipes for one room. It may be lost, repeated and overtaken: the epoch orders
// the assignments of a room, the highest counts, and a node says in its
// [Inventory] which it has. A node that is not named is refused.
type Assignment struct {
	Header
	// Node and Generation are the receiver's; a node ignores others.
	Node       string `json:"node"`
	Generation int64  `json:"generation"`
	Room       string `json:"room"`
	// Epoch is that of the room's tree of nodes. Lower ones are ignored.
	Epoch int64 `json:"epoch"`
	// Peers are this node's neighbours in the tree; none means that the room is on
	// this node alone.
	Peers List[PipePeer] `json:"peers"`
}

// Validate implements [Message].
func (a Assignment) Validate() error {
	if err := a.check(ActionAssignment); err != nil {
		return err
	}
	if len(a.Peers) > MaxPipePeers {
		return badField("peers", "has %d entries, at most %d are taken", len(a.Peers), MaxPipePeers)
	}
	seen := map[string]bool{a.Node: true}
	feeder := false
	for _, p := range a.Peers {
		if err := p.validate(); err != nil {
			return err
		}
		if seen[p.Node] {
			return badField("peers.node", "lists %.64q twice, or the receiver itself", p.Node)
		}
		seen[p.Node] = true
		if p.Feeder && feeder {
			return badField("peers.feeder", "is set of several: a node has one")
		}
		feeder = feeder || p.Feeder
	}
	return firstOf(
		bounded("node", a.Node, 1, MaxID),
		positive("generation", a.Generation),
		bounded("room", a.Room, 1, MaxName),
		inRange("epoch", a.Epoch, 0, maxSafe),
	)
}
