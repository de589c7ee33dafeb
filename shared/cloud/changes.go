package cloud

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
)

// write is one conditioned write of one item: a put (item), an update (set,
// remove), no write at all but its condition (check), or else a delete. In its expressions #x stands for the attribute x,
// except for #k, which stands for the attribute named by k.
type write struct {
	key    itemKey
	item   item
	update string
	check  bool
	cond   string
	k      string
	values item
}

// names declares the placeholders of both expressions.
func (w write) names() map[string]string {
	names := map[string]string{}
	for _, part := range strings.Split(w.update+" "+w.cond, "#")[1:] {
		end := strings.IndexFunc(part, func(r rune) bool { return r < 'a' || r > 'z' })
		if end < 0 {
			end = len(part)
		}
		names["#"+part[:end]] = part[:end]
	}
	if _, ok := names["#k"]; ok {
		names["#k"] = w.k
	}
	if len(names) == 0 {
		return nil
	}
	return names
}

func (w write) vals() item {
	if len(w.values) == 0 {
		return nil
	}
	return w.values
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// transact makes the write a part of a transaction.
func (w write) transact(table string) types.TransactWriteItem {
	switch {
	case w.item != nil:
		return types.TransactWriteItem{Put: &types.Put{TableName: &table, Item: w.item, ConditionExpression: optional(w.cond),
			ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()}}
	case w.update != "":
		return types.TransactWriteItem{Update: &types.Update{TableName: &table, Key: w.key.attributes(), UpdateExpression: &w.update,
			ConditionExpression: optional(w.cond), ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()}}
	case w.check:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{TableName: &table, Key: w.key.attributes(), ConditionExpression: &w.cond,
			ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()}}
	default:
		return types.TransactWriteItem{Delete: &types.Delete{TableName: &table, Key: w.key.attributes(), ConditionExpression: optional(w.cond),
			ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()}}
	}
}

// put stores an item if attr equals was, or, where was is its zero value, if
// there is no item.
func put[T comparable](i item, err error, attr string, was T, value types.AttributeValue) ([]write, error) {
	if err != nil {
		return nil, err
	}
	w := write{key: itemKey{getStr(i, attrPK), getStr(i, attrSK)}, item: i, cond: "attribute_not_exists(#pk)"}
	var zero T
	if was != zero {
		w.cond, w.values = "#"+attr+" = :was", item{":was": value}
	}
	return []write{w}, nil
}

func one(w write) ([]write, error) { return []write{w}, nil }

// writesOf translates a change. The condition of each is the one that the
// change documents; an update is always conditioned on an attribute that only
// an existing item has, because DynamoDB would create the item otherwise.
func writesOf(c control.Change) ([]write, error) {
	switch c := c.(type) {
	case control.PutRoom, control.DeleteRoom, control.PutTree, control.DeleteTree:
		return roomWrites(c)
	case control.PutParticipant:
		i, err := encodeParticipant(c.Participant)
		return put(i, err, attrRevision, c.If, num(c.If))
	case control.DeleteParticipant:
		return one(write{key: participantKey(c.Room, c.Key), cond: "#r = :r", values: item{":r": num(c.If)}})
	case control.PutBeat:
		i, err := encodeBeat(c.Node, c.Beat)
		return []write{{key: beatKey(c.Node), item: i, cond: "attribute_not_exists(#pk) OR #g < :g OR (#g = :g AND #q < :q)",
			values: item{":g": num(c.Beat.Generation), ":q": num(c.Beat.Seq)}}}, err
	case control.CheckBeat:
		w := write{key: beatKey(c.Node), check: true, cond: "#g = :g AND #q = :q", values: item{":g": num(c.Generation), ":q": num(c.Seq)}}
		if c.Generation == 0 {
			w.cond, w.values = "attribute_not_exists(#pk)", nil
		}
		return one(w)
	case control.PutWait:
		i, err := encodeWait(c.Wait)
		return put(i, err, attrSession, c.If, str(c.If))
	case control.DeleteWait:
		return one(write{key: waitKey(c.Region, c.Room, c.Key), cond: "#s = :s", values: item{":s": str(c.If)}})
	case control.PutRecord:
		i, err := encodeRecord(c.Record)
		return []write{{key: recordKey(c.Record.Region, c.Record.ID), item: i}}, err
	case control.PutDemand:
		i, err := encodeDemand(c.Demand)
		return put(i, err, attrRevision, c.If, num(c.If))
	case control.PutBoots:
		i, err := encode(bootsKey(c.Boots.Region), c.Boots, item{attrRevision: num(c.Boots.Revision)})
		return put(i, err, attrRevision, c.If, num(c.If))
	case control.PutReservation:
		i, err := encodeReservation(c.Reservation)
		return put(i, err, attrRevision, c.If, num(c.If))
	case control.DeleteReservation:
		return one(write{key: reservationKey(c.Region, c.Room), cond: "#r = :r", values: item{":r": num(c.If)}})
	case control.Ring:
		return one(write{key: bellKey(c.Region), update: "SET #t = :at", cond: "attribute_not_exists(#pk) OR #t <= :ago",
			values: item{":at": millis(c.At), ":ago": millis(c.At.Add(-control.RingEvery))}})
	case control.PutLaunch:
		i, err := encodeLaunch(c.Launch)
		return put(i, err, attrState, c.If, str(string(c.If)))
	case control.DeleteLaunch:
		return one(write{key: launchKey(c.Region, c.ID), cond: "#st = :st", values: item{":st": str(string(c.If))}})
	}
	if w, ok, err := blockWrite(c); ok {
		return []write{w}, err
	}
	return nodeWrites(c)
}

// roomWrites translates a change of a room, a section or a tree.
func roomWrites(c control.Change) ([]write, error) {
	switch c := c.(type) {
	case control.PutRoom:
		i, err := encodeRoom(c.Room)
		w := write{key: roomKey(c.Room.Name, c.Room.Section), item: i, cond: "attribute_not_exists(#pk)"}
		if c.If != 0 {
			w.cond, w.values = atRevision, item{":r": num(c.If)}
		}
		return []write{w}, err
	case control.DeleteRoom:
		return one(write{key: roomKey(c.Name, c.Section), cond: atRevision, values: item{":r": num(c.If)}})
	case control.PutTree:
		i, err := encodeTree(c.Tree)
		return put(i, err, attrVersion, c.If, num(c.If))
	case control.DeleteTree:
		return one(write{key: treeKey(c.Room), cond: "#v = :v", values: item{":v": num(c.If)}})
	}
	return nil, fmt.Errorf("unknown change %T", c)
}

// atRevision is the condition that a room has a revision, be it packed or not.
const atRevision = "#v = :r OR #r = :r"

// onNode is the condition that a block is on a node in one of its lives. The
// generation alone does not say so: blocks move, and most nodes are in their first
// life.
const onNode = "#g = :g AND #by = :by"

// blockWrite translates a change of a block.
func blockWrite(c control.Change) (write, bool, error) {
	switch c := c.(type) {
	case control.PutBlock:
		i, err := encodeBlock(c.Block)
		return write{key: blockKey(c.Block.Room, c.Block.Index), item: i, cond: "attribute_not_exists(#pk)"}, true, err
	case control.DeleteBlock:
		w := write{key: blockKey(c.Room, c.Index), cond: onNode + " AND size(#m) = :zero",
			values: item{":g": num(c.Generation), ":by": str(byNode(c.Node)), ":zero": num(0)}}
		if c.Member != "" {
			w.k = string(c.Member)
			w.cond = onNode + " AND (size(#m) = :zero OR (size(#m) = :one AND #m.#k = :r))"
			w.values[":one"], w.values[":r"] = num(1), num(c.If)
		}
		return w, true, nil
	case control.ShrinkBlock:
		i, err := encodeBlock(c.Block)
		w := write{key: blockKey(c.Block.Room, c.Block.Index), update: "SET #n = :n, #d = :d",
			cond: onNode + " AND #n = :from AND size(#m) <= :n",
			values: item{":g": num(c.Block.Generation), ":by": str(byNode(c.Block.Node)), ":from": num(c.From), ":n": num(c.Block.Seats),
				":d": i[attrDoc]}}
		if c.Member != "" {
			w.k = string(c.Member)
			w.update += " REMOVE #m.#k"
			w.cond = onNode + " AND #n = :from AND size(#m) <= :most AND #m.#k = :r"
			w.values[":most"], w.values[":r"] = num(c.Block.Seats+1), num(c.If)
		}
		return w, true, err
	case control.SealBlock:
		return write{key: blockKey(c.Room, c.Index), update: "SET #z = :z", cond: onNode,
			values: item{":g": num(c.Generation), ":by": str(byNode(c.Node)), ":z": yes()}}, true, nil
	case control.MoveBlock:
		i, err := encodeBlock(c.Block)
		return write{key: blockKey(c.Block.Room, c.Block.Index), update: "SET #g = :to, #by = :home, #d = :d REMOVE #z",
			cond: onNode + " AND #n = :n",
			values: item{":g": num(c.If), ":by": str(byNode(c.From)), ":n": num(c.Block.Seats), ":to": num(c.Block.Generation),
				":home": str(byNode(c.Block.Node)), ":d": i[attrDoc]}}, true, err
	case control.DropBlock:
		return write{key: blockKey(c.Room, c.Index), cond: onNode, values: item{":g": num(c.Generation), ":by": str(byNode(c.Node))}}, true, nil
	case control.TakeSeat:
		return write{key: blockKey(c.Room, c.Index), k: string(c.Key), update: "SET #m.#k = :r",
			cond:   "#g = :g AND attribute_not_exists(#z) AND (#m.#k <= :r OR (attribute_not_exists(#m.#k) AND size(#m) < #n))",
			values: item{":g": num(c.Generation), ":r": num(c.Revision)}}, true, nil
	case control.ReleaseSeat:
		return write{key: blockKey(c.Room, c.Index), k: string(c.Key), update: "REMOVE #m.#k", cond: "#m.#k = :r",
			values: item{":r": num(c.Revision)}}, true, nil
	}
	return write{}, false, nil
}

// nodeWrites translates a change of a node.
func nodeWrites(c control.Change) ([]write, error) {
	switch c := c.(type) {
	case control.ClaimLoad:
		return one(write{key: nodeKey(c.Node), update: "SET #ak = #ak - :kbps, #ap = #ap - :pps, #t = :at",
			cond: "#g = :g AND #st IN (:filling, :ready) AND #ak >= :kbps AND #ap >= :pps",
			values: merge(load(c.Load), item{":g": num(c.Generation), ":at": millis(c.At),
				":filling": str(string(fleet.Filling)), ":ready": str(string(fleet.Ready))})})
	case control.ReturnLoad:
		return one(write{key: nodeKey(c.Node), update: "SET #ak = #ak + :kbps, #ap = #ap + :pps, #t = :at", cond: "#g = :g",
			values: merge(load(c.Load), item{":g": num(c.Generation), ":at": millis(c.At)})})
	case control.PutNode:
		i, err := encodeNode(c.Node)
		return put(i, err, attrGeneration, c.If, num(c.If))
	case control.SetConnection:
		return one(write{key: nodeKey(c.Node), k: strconv.Itoa(c.Slot), update: "SET #c.#k = :c", cond: "#g = :g",
			values: item{":g": num(c.Generation), ":c": str(c.Connection)}})
	case control.ClearConnection:
		return one(write{key: nodeKey(c.Node), k: strconv.Itoa(c.Slot), update: "REMOVE #c.#k", cond: "#g = :g AND #c.#k = :c",
			values: item{":g": num(c.Generation), ":c": str(c.Connection)}})
	case control.SetInstance:
		return one(write{key: nodeKey(c.Node), update: "SET #i = :i", cond: "attribute_exists(#pk)", values: item{":i": str(c.Instance)}})
	case control.SetState:
		w := write{key: nodeKey(c.Node), update: "SET #st = :to", cond: "#g = :g AND #st = :from",
			values: item{":g": num(c.Generation), ":from": str(string(c.From)), ":to": str(string(c.To))}}
		if c.IfEmpty {
			w.cond += " AND #ak = #ck AND #ap = #cp"
		}
		if c.To == fleet.Draining {
			w.update += ", #da = :at"
			w.values[":at"] = millis(c.At)
			if !c.By.IsZero() {
				w.update += ", #db = :drain"
				w.values[":drain"] = millis(c.By)
			}
		}
		if c.To == fleet.Ready {
			w.update += ", #in = #rg"
		} else {
			w.update += " REMOVE #in"
		}
		return one(w)
	case control.Hasten:
		return one(write{key: nodeKey(c.Node), update: "SET #db = :drain",
			cond:   "#g = :g AND #st = :draining AND (attribute_not_exists(#db) OR #db > :drain)",
			values: item{":g": num(c.Generation), ":drain": millis(c.By), ":draining": str(string(fleet.Draining))}})
	case control.SetCapacity:
		more := c.To.Minus(c.From)
		return one(write{key: nodeKey(c.Node), update: "SET #ak = #ak + :kbps, #ap = #ap + :pps, #ck = :ck, #cp = :cp", cond: "#g = :g AND #ck = :fk AND #cp = :fp",
			values: merge(load(more), item{":g": num(c.Generation), ":ck": num(c.To.Kbps), ":cp": num(c.To.PPS), ":fk": num(c.From.Kbps), ":fp": num(c.From.PPS)})})
	case control.DeleteNode:
		return []write{
			{key: nodeKey(c.Node), cond: "#g = :g AND #st = :st", values: item{":g": num(c.Generation), ":st": str(string(c.State))}},
			{key: beatKey(c.Node)},
		}, nil
	}
	return nil, fmt.Errorf("unknown change %T", c)
}

func load(l room.Load) item { return item{":kbps": num(l.Kbps), ":pps": num(l.PPS)} }

func merge(a, b item) item {
	for k, v := range b {
		a[k] = v
	}
	return a
}
