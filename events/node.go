package events

import "net/netip"

// Actions between nodes and the gateway.
const (
	ActionHello     Action = "hello"     // node→gateway
	ActionHeartbeat Action = "heartbeat" // node→gateway
	ActionAnswered  Action = "answered"  // node→gateway
	ActionJournal   Action = "journal"   // node→gateway
	ActionWelcome   Action = "welcome"   // gateway→node
	ActionRenewed   Action = "renewed"   // gateway→node
	ActionOffer     Action = "offer"     // gateway→node
	ActionRemove    Action = "remove"    // gateway→node
	ActionMove      Action = "move"      // gateway→node, node→sdk
	ActionShutdown  Action = "shutdown"  // gateway→node

	ActionAssignment Action = "assignment" // gateway→node
)

// MaxSlots bounds the sockets that one node keeps open at a time.
const MaxSlots = 4

// Scope tells from where an address can be reached.
type Scope string

// The scopes of a node's addresses.
const (
	PublicScope  Scope = "public"
	PrivateScope Scope = "private"
)

// Address is where a node takes media over UDP.
type Address struct {
	IP    string `json:"ip"`
	Port  int    `json:"port"`
	Scope Scope  `json:"scope"`
}

func (a Address) validate() error {
	if ip, err := netip.ParseAddr(a.IP); err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
		return badField("addresses.ip", "is not an IP address that others can send to")
	}
	if a.Scope != PublicScope && a.Scope != PrivateScope {
		return badField("addresses.scope", "is %.32q, expected public or private", string(a.Scope))
	}
	return inRange("addresses.port", int64(a.Port), 1, 65535)
}

// reachable checks where a node is and by what certificate it is known.
func reachable(prefix string, addresses []Address, print string) error {
	if len(addresses) < 1 || len(addresses) > 8 {
		return badField(prefix+"addresses", "has %d entries, expected 1 to 8", len(addresses))
	}
	for _, a := range addresses {
		if err := a.validate(); err != nil {
			return err
		}
	}
	if !fingerprint(print) {
		return badField(prefix+"fingerprint", "is not a SHA-256 in hexadecimal digits with colons")
	}
	return nil
}

// Hello is a node's first message on each of its sockets. Boot is random and
// made anew each time the process starts: an unseen one begins a new
// generation, a known one adds a socket to the present generation.
type Hello struct {
	Header
	Node string `json:"node"`
	Boot string `json:"boot"`
	// Slot tells the node's sockets apart, 0 to [MaxSlots]-1. A hello on a slot
	// in use replaces that socket.
	Slot      int           `json:"slot"`
	Addresses List[Address] `json:"addresses"`
	// Fingerprint is the SHA-256 of the node's DTLS certificate in colon-separated
	// hexadecimal digits (RFC 8122, section 5).
	Fingerprint string `json:"fingerprint"`
	// PipePort is where other nodes reach this one for pipes, at each of its
	// addresses: TCP with TLS for what pipes say, UDP for what they carry. 0 is a
	// node that takes part in no room of several nodes. The control plane copies it
	// into [PipePeer].
	PipePort int `json:"pipePort,omitempty"`
	// Build names the version of sfu-node.
	Build string `json:"build"`
}

// Validate implements [Message].
func (h Hello) Validate() error {
	if err := h.check(ActionHello); err != nil {
		return err
	}
	return firstOf(
		reachable("", h.Addresses, h.Fingerprint),
		bounded("node", h.Node, 1, MaxID),
		bounded("boot", h.Boot, 8, MaxID),
		inRange("slot", int64(h.Slot), 0, MaxSlots-1),
		inRange("pipePort", int64(h.PipePort), 0, 65535),
		bounded("build", h.Build, 0, MaxID),
	)
}

// Welcome answers [Hello]: the node may serve until its lease ends.
type Welcome struct {
	Header
	Node string `json:"node"`
	Boot string `json:"boot"`
	Slot int    `json:"slot"`
	// Generation goes into every later message of this life of the node.
	Generation int64 `json:"generation"`
	// HeartbeatMs is the time between heartbeats, LeaseMs how long one lasts.
	HeartbeatMs int64 `json:"heartbeatMs"`
	LeaseMs     int64 `json:"leaseMs"`
}

// Validate implements [Message].
func (w Welcome) Validate() error {
	if err := w.check(ActionWelcome); err != nil {
		return err
	}
	return firstOf(
		bounded("node", w.Node, 1, MaxID),
		bounded("boot", w.Boot, 8, MaxID),
		inRange("slot", int64(w.Slot), 0, MaxSlots-1),
		positive("generation", w.Generation),
		inRange("heartbeatMs", w.HeartbeatMs, 100, 60_000),
		inRange("leaseMs", w.LeaseMs, w.HeartbeatMs, 600_000),
	)
}
