// Package cloud holds all code that speaks to AWS: the store on DynamoDB, posts
// through API Gateway, instances on EC2, the event bus, secrets in SSM. What
// AWS answers is translated here, in errors.go, into what its callers can act
// on.
package cloud

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spillway-sfu/spillway/shared/fleet"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// One table holds everything. Attributes that a condition, an index or a
// partial update needs stand by themselves under short names; the rest of an
// item is one JSON document.
//
//	item         pk                 sk          by          in      ak
//	ROOM         ROOM#room          ROOM        ROOMS
//	SECTION      SECTION#room#index SECTION
//	TREE         TREE#room          TREE
//	BLOCK        BLOCK#room#index   BLOCK       NODE#node
//	PART         PART#room#key      PART
//	NODE         NODE#node          NODE        NODES       region  available kbps
//	BEAT         NODE#node          BEAT
//	WAIT         WAIT#region        room#key
//	DEMAND       DEMAND#region      DEMAND
//	BOOTS        DEMAND#region      BOOTS
//	RESERVE      RESERVE#region     room
//	BELL         BELL#region        BELL
//	LAUNCH       DEMAND#region      LAUNCH#node
//	RECORD       RECORD#region      id
//
// "in" stands on ready nodes only, so that the index of candidates holds what
// may be chosen and nothing else.
const (
	attrPK  = "pk"
	attrSK  = "sk"
	attrBy  = "by"
	attrIn  = "in"
	attrTTL = "ttl" // Unix seconds
	attrDoc = "d"

	attrGeneration = "g"
	attrRevision   = "r"
	attrPacked     = "p" // a directory, see [room.Room.Pack]
	attrVersion    = "v" // the revision of what has one
	attrSession    = "s"
	attrState      = "st"
	attrAvailKbps  = "ak"
	attrAvailPPS   = "ap"
	attrCapKbps    = "ck"
	attrCapPPS     = "cp"
	attrTouched    = "t" // Unix milliseconds
	attrInstance   = "i"
	attrRegion     = "rg"
	attrSockets    = "c"
	attrDrainAt    = "da" // Unix milliseconds, as is the next
	attrDrainBy    = "db"
	attrMembers    = "m"
	attrSeats      = "n"
	attrSealed     = "z"
	attrSeq        = "q"

	indexCandidates = "candidates"
	indexBy         = "lists" // three letters at least, as DynamoDB wants
)

// CreateTableInput describes the table with its indexes. The deployed stack
// declares the same.
func CreateTableInput(name string) *dynamodb.CreateTableInput {
	attr := func(n string, t types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: aws.String(n), AttributeType: t}
	}
	keys := func(hash, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{
			{AttributeName: aws.String(hash), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange},
		}
	}
	keysOnly := &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}
	return &dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			attr(attrPK, types.ScalarAttributeTypeS), attr(attrSK, types.ScalarAttributeTypeS),
			attr(attrBy, types.ScalarAttributeTypeS), attr(attrIn, types.ScalarAttributeTypeS),
			attr(attrAvailKbps, types.ScalarAttributeTypeN),
		},
		KeySchema: keys(attrPK, attrSK),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			{IndexName: aws.String(indexCandidates), KeySchema: keys(attrIn, attrAvailKbps), Projection: keysOnly},
			{IndexName: aws.String(indexBy), KeySchema: keys(attrBy, attrPK), Projection: keysOnly},
		},
	}
}

// TimeToLiveAttribute is the attribute by which DynamoDB removes what a crash
// has left behind and nothing else would find.
const TimeToLiveAttribute = attrTTL

// itemKey is the primary key of one item.
type itemKey struct{ pk, sk string }

func (k itemKey) attributes() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{attrPK: str(k.pk), attrSK: str(k.sk)}
}

func roomKey(r room.Name, section int) itemKey {
	if section > 0 {
		return itemKey{fmt.Sprintf("SECTION#%s#%d", r, section), "SECTION"}
	}
	return itemKey{"ROOM#" + string(r), "ROOM"}
}

func treeKey(r room.Name) itemKey { return itemKey{"TREE#" + string(r), "TREE"} }

func blockKey(r room.Name, index int) itemKey {
	return itemKey{fmt.Sprintf("BLOCK#%s#%d", r, index), "BLOCK"}
}

func participantKey(r room.Name, k room.Key) itemKey {
	return itemKey{fmt.Sprintf("PART#%s#%s", r, k), "PART"}
}

func nodeKey(n room.NodeID) itemKey { return itemKey{"NODE#" + string(n), "NODE"} }

func beatKey(n room.NodeID) itemKey { return itemKey{"NODE#" + string(n), "BEAT"} }

func waitKey(region string, r room.Name, k room.Key) itemKey {
	return itemKey{"WAIT#" + region, fmt.Sprintf("%s#%s", r, k)}
}

func demandKey(region string) itemKey { return itemKey{"DEMAND#" + region, "DEMAND"} }

func reservationKey(region string, r room.Name) itemKey {
	return itemKey{"RESERVE#" + region, string(r)}
}

func bootsKey(region string) itemKey { return itemKey{"DEMAND#" + region, "BOOTS"} }

func bellKey(region string) itemKey { return itemKey{"BELL#" + region, "BELL"} }

func launchKey(region string, id room.NodeID) itemKey {
	return itemKey{"DEMAND#" + region, "LAUNCH#" + string(id)}
}

func recordKey(region, id string) itemKey { return itemKey{"RECORD#" + region, id} }

// keysOf returns the items that make up what a key names.
func keysOf(k step.Key) []itemKey {
	switch k := k.(type) {
	case step.RoomKey:
		return []itemKey{roomKey(k.Room, k.Section)}
	case step.TreeKey:
		return []itemKey{treeKey(k.Room)}
	case step.BlockKey:
		return []itemKey{blockKey(k.Room, k.Index)}
	case step.ParticipantKey:
		return []itemKey{participantKey(k.Room, k.Key)}
	case step.NodeKey:
		return []itemKey{nodeKey(k.Node), beatKey(k.Node)}
	case step.WaitKey:
		return []itemKey{waitKey(k.Region, k.Room, k.Key)}
	case step.ReservationKey:
		return []itemKey{reservationKey(k.Region, k.Room)}
	case step.BootsKey:
		return []itemKey{bootsKey(k.Region)}
	case step.LaunchKey:
		return []itemKey{launchKey(k.Region, k.ID)}
	}
	return nil
}

// kindOf tells which kind of item a key belongs to: the part of the partition
// key before the first #, except for items that share a partition.
func kindOf(k itemKey) string {
	kind, _, _ := strings.Cut(k.pk, "#")
	switch {
	case kind == "NODE" && k.sk == "BEAT":
		return "BEAT"
	case kind == "DEMAND" && k.sk == "BOOTS":
		return "BOOTS"
	case kind == "DEMAND" && k.sk != "DEMAND":
		return "LAUNCH"
	}
	return kind
}

const (
	byRooms = "ROOMS"
	byNodes = "NODES"
)

func byNode(n room.NodeID) string { return "NODE#" + string(n) }

// inCandidates is the partition of a region's candidates; a node that may not
// be chosen has none.
func inCandidates(n fleet.Node) string {
	if n.State != fleet.Ready {
		return ""
	}
	return n.Region
}
