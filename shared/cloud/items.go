package cloud

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num[T ~int | ~int64](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
}

func bin(data []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: data} }

func yes() types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: true} }

// millis stores a time; the zero time is 0.
func millis(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return num(0)
	}
	return num(t.UnixMilli())
}

func getStr(i item, name string) string {
	s, _ := i[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

func getBin(i item, name string) []byte {
	b, _ := i[name].(*types.AttributeValueMemberB)
	if b == nil {
		return nil
	}
	return b.Value
}

func getNum(i item, name string) int64 { return numOf(i[name]) }

func numOf(v types.AttributeValue) int64 {
	n, _ := v.(*types.AttributeValueMemberN)
	if n == nil {
		return 0
	}
	i, _ := strconv.ParseInt(n.Value, 10, 64) // DynamoDB stores nothing else
	return i
}

func getTime(i item, name string) time.Time {
	ms := getNum(i, name)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func getMap(i item, name string) map[string]types.AttributeValue {
	m, _ := i[name].(*types.AttributeValueMemberM)
	if m == nil {
		return nil
	}
	return m.Value
}

// encode makes an item from its key, its document and further attributes.
func encode(k itemKey, doc any, attrs item) (item, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", k.pk, err)
	}
	out := k.attributes()
	out[attrDoc] = str(string(data))
	for name, v := range attrs {
		out[name] = v
	}
	return out, nil
}

func document(i item, into any) error {
	if err := json.Unmarshal([]byte(getStr(i, attrDoc)), into); err != nil {
		return fmt.Errorf("decode %s %s: %w", getStr(i, attrPK), getStr(i, attrSK), err)
	}
	return nil
}

// encodeRoom encodes a room or a section. The directory is packed. Its revision has
// another name than where it was not: a function of an earlier version, which would
// take the room for empty, finds its conditions unmet.
func encodeRoom(r room.Room) (item, error) {
	r = r.Stored()
	attrs := item{attrVersion: num(r.Revision), attrPacked: bin(r.Pack())}
	if r.Section == 0 {
		attrs[attrBy] = str(byRooms)
		if r.Over() { // declared, and nobody is in it
			attrs[attrTTL] = num(r.KeepUntil.Unix())
		}
	}
	r.Nodes, r.Blocks, r.Sections = nil, nil, nil
	return encode(roomKey(r.Name, r.Section), r, attrs)
}

func decodeRoom(i item) (room.Room, error) {
	var r room.Room
	if err := document(i, &r); err != nil || i[attrPacked] == nil {
		return r, err // nil: of a version that did not pack
	}
	return r.Unpacked(getBin(i, attrPacked))
}

func encodeTree(t room.Tree) (item, error) {
	doc := room.Tree{Room: t.Room, Epoch: t.Epoch}
	return encode(treeKey(t.Room), doc, item{attrVersion: num(t.Epoch), attrPacked: bin(room.Room{Nodes: t.Nodes}.Pack())})
}

func decodeTree(i item) (room.Tree, error) {
	var t room.Tree
	if err := document(i, &t); err != nil {
		return t, err
	}
	r, err := room.Room{Name: t.Room}.Unpacked(getBin(i, attrPacked))
	t.Nodes = r.Nodes
	return t, err
}

// participantLasts bounds how long a participant's row outlives everything that
// would have removed it. Sessions may last longer: what is lost then is that a
// second session of the same participant takes the seat over with the first
// one's revision known.
const participantLasts = 7 * 24 * time.Hour

// removedLasts is for how long it is remembered whose session was removed: longer
// than any ticket would let it back in.
const removedLasts = control.ResumeLasts + time.Hour

func encodeParticipant(p room.Participant) (item, error) {
	ttl := p.SeatedAt.Add(participantLasts)
	if !p.Removed.IsZero() {
		ttl = p.Removed.Add(removedLasts)
		if p.Barred.After(ttl) {
			ttl = p.Barred
		}
	}
	return encode(participantKey(p.Room, p.Key), p, item{attrRevision: num(p.Revision), attrTTL: num(ttl.Unix())})
}

func encodeBlock(b fleet.Block) (item, error) {
	members := item{}
	for k, rev := range b.Members {
		members[string(k)] = num(rev)
	}
	attrs := item{attrGeneration: num(b.Generation), attrSeats: num(b.Seats), attrBy: str(byNode(b.Node)),
		attrMembers: &types.AttributeValueMemberM{Value: members}}
	if b.Sealed {
		attrs[attrSealed] = yes()
	}
	b.Members = nil
	return encode(blockKey(b.Room, b.Index), b, attrs)
}

func decodeBlock(i item) (fleet.Block, error) {
	var b fleet.Block
	if err := document(i, &b); err != nil {
		return b, err
	}
	b.Sealed = i[attrSealed] != nil
	b.Members = map[room.Key]room.Revision{}
	for k, v := range getMap(i, attrMembers) {
		b.Members[room.Key(k)] = room.Revision(numOf(v))
	}
	return b, nil
}

func encodeNode(n fleet.Node) (item, error) {
	sockets := item{}
	for slot, c := range n.Connections {
		sockets[strconv.Itoa(slot)] = str(c)
	}
	attrs := item{attrGeneration: num(n.Generation), attrState: str(string(n.State)), attrBy: str(byNodes), attrInstance: str(n.Instance),
		attrAvailKbps: num(n.Available.Kbps), attrAvailPPS: num(n.Available.PPS),
		attrCapKbps: num(n.Capacity.Kbps), attrCapPPS: num(n.Capacity.PPS),
		attrRegion: str(n.Region), attrTouched: millis(n.TouchedAt), attrSockets: &types.AttributeValueMemberM{Value: sockets}}
	if !n.DrainAt.IsZero() {
		attrs[attrDrainAt] = millis(n.DrainAt)
	}
	if !n.DrainBy.IsZero() {
		attrs[attrDrainBy] = millis(n.DrainBy)
	}
	if in := inCandidates(n); in != "" {
		attrs[attrIn] = str(in)
	}
	n.Connections = nil
	return encode(nodeKey(n.ID), n, attrs)
}

func decodeNode(i item) (fleet.Node, error) {
	var n fleet.Node
	if err := document(i, &n); err != nil {
		return n, err
	}
	n.State = fleet.State(getStr(i, attrState))
	n.Instance = getStr(i, attrInstance)
	n.Available = room.Load{Kbps: getNum(i, attrAvailKbps), PPS: getNum(i, attrAvailPPS)}
	n.Capacity = room.Load{Kbps: getNum(i, attrCapKbps), PPS: getNum(i, attrCapPPS)}
	n.TouchedAt = getTime(i, attrTouched)
	n.DrainAt, n.DrainBy = getTime(i, attrDrainAt), getTime(i, attrDrainBy)
	n.Connections = map[int]string{}
	for slot, c := range getMap(i, attrSockets) {
		if k, err := strconv.Atoi(slot); err == nil {
			if s, ok := c.(*types.AttributeValueMemberS); ok {
				n.Connections[k] = s.Value
			}
		}
	}
	return n, nil
}

func encodeBeat(id room.NodeID, b fleet.Beat) (item, error) {
	return encode(beatKey(id), b, item{attrGeneration: num(b.Generation), attrSeq: num(b.Seq)})
}

// waitLasts is when DynamoDB may remove somebody in line whom no sweep removed.
const waitLasts = time.Hour

func encodeWait(w fleet.Wait) (item, error) {
	return encode(waitKey(w.Region, w.Room, w.Key), w, item{attrSession: str(w.Session), attrTTL: num(w.SeenAt.Add(waitLasts).Unix())})
}

func encodeDemand(d fleet.Demand) (item, error) {
	return encode(demandKey(d.Region), d, item{attrRevision: num(d.Revision)})
}

func encodeReservation(r fleet.Reservation) (item, error) {
	return encode(reservationKey(r.Region, r.Room), r, item{attrRevision: num(r.Revision), attrTTL: num(r.StartAt.Add(24 * time.Hour).Unix())})
}

func encodeLaunch(l fleet.Launch) (item, error) {
	return encode(launchKey(l.Region, l.ID), l, item{attrState: str(string(l.State))})
}

func encodeRecord(r control.Record) (item, error) {
	return encode(recordKey(r.Region, r.ID), r, item{attrTTL: num(r.At.Add(control.RecordLasts).Unix())})
}

// collect decodes items into what they are. A heartbeat is joined to its node;
// one without a node is dropped.
func collect(items []item) (step.Items, error) {
	var out step.Items
	beats := map[string]fleet.Beat{}
	for _, i := range items {
		k := itemKey{getStr(i, attrPK), getStr(i, attrSK)}
		var err error
		switch kindOf(k) {
		case "ROOM", "SECTION":
			var r room.Room
			r, err = decodeRoom(i)
			out.Rooms = append(out.Rooms, r)
		case "TREE":
			var t room.Tree
			t, err = decodeTree(i)
			out.Trees = append(out.Trees, t)
		case "BLOCK":
			var b fleet.Block
			b, err = decodeBlock(i)
			out.Blocks = append(out.Blocks, b)
		case "PART":
			out.Participants, err = appendDoc(out.Participants, i)
		case "NODE":
			var n fleet.Node
			n, err = decodeNode(i)
			out.Nodes = append(out.Nodes, fleet.View{Node: n})
		case "BEAT":
			var b fleet.Beat
			err = document(i, &b)
			beats[k.pk] = b
		case "WAIT":
			out.Waits, err = appendDoc(out.Waits, i)
		case "DEMAND":
			err = document(i, &out.Demand)
		case "RESERVE":
			out.Reservations, err = appendDoc(out.Reservations, i)
		case "BOOTS":
			err = document(i, &out.Boots)
		case "LAUNCH":
			out.Launches, err = appendDoc(out.Launches, i)
		case "RECORD":
			out.Records, err = appendDoc(out.Records, i)
		}
		if err != nil {
			return step.Items{}, err
		}
	}
	for i := range out.Nodes {
		out.Nodes[i].Beat = beats[nodeKey(out.Nodes[i].Node.ID).pk]
	}
	return out, nil
}

func appendDoc[T any](to []T, i item) ([]T, error) {
	var v T
	err := document(i, &v)
	return append(to, v), err
}
