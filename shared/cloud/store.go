package cloud

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spillway-sfu/spillway/shared/control"
	"github.com/spillway-sfu/spillway/shared/room"
	"github.com/spillway-sfu/spillway/shared/step"
)

// Store is [step.Store] on one DynamoDB table. It is safe for concurrent use.
type Store struct {
	db    *dynamodb.Client
	table string
}

var _ step.Store = (*Store)(nil)

// NewStore returns a store on a table that was made as [CreateTableInput] says.
func NewStore(db *dynamodb.Client, table string) *Store { return &Store{db, table} }

// batchLimit is how many items one BatchGetItem takes.
const batchLimit = 100

// Get implements [step.Store], with one request for up to 100 items.
func (s *Store) Get(ctx context.Context, consistent bool, keys ...step.Key) (step.Items, error) {
	var want []itemKey
	seen := map[itemKey]bool{} // DynamoDB refuses a batch that names an item twice
	for _, k := range keys {
		for _, i := range keysOf(k) {
			if !seen[i] {
				seen[i] = true
				want = append(want, i)
			}
		}
	}
	items, err := s.get(ctx, consistent, want)
	if err != nil {
		return step.Items{}, err
	}
	return collect(items)
}

func (s *Store) get(ctx context.Context, consistent bool, keys []itemKey) ([]item, error) {
	var out []item
	for len(keys) > 0 {
		n := min(len(keys), batchLimit)
		var batch []item
		for _, k := range keys[:n] {
			batch = append(batch, k.attributes())
		}
		keys = keys[n:]
		for attempt := 0; len(batch) > 0; attempt++ {
			if attempt == 5 {
				return nil, fmt.Errorf("get items: %w", step.ErrBusy)
			}
			r, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
				s.table: {Keys: batch, ConsistentRead: aws.Bool(consistent)}}})
			if err != nil {
				return nil, fmt.Errorf("get items: %w", storeError(err))
			}
			got := r.Responses[s.table]
			step.UsageOf(ctx).Add(readUnits(got, len(batch), consistent), 0)
			out = append(out, got...)
			batch = r.UnprocessedKeys[s.table].Keys
		}
	}
	return out, nil
}

// Find implements [step.Store].
func (s *Store) Find(ctx context.Context, q step.Query) (step.Items, error) {
	switch q := q.(type) {
	case step.Candidates:
		return s.candidates(ctx, q)
	case step.AllNodes:
		return s.byIndex(ctx, byNodes)
	case step.BlocksOf:
		return s.byIndex(ctx, byNode(q.Node))
	case step.NodeOf:
		return s.nodeOf(ctx, q)
	case step.AllRooms:
		return s.byIndex(ctx, byRooms)
	case step.Waiting:
		return s.partition(ctx, "WAIT#"+q.Region)
	case step.Reservations:
		return s.partition(ctx, "RESERVE#"+q.Region)
	case step.Demand:
		return s.partition(ctx, "DEMAND#"+q.Region)
	case step.Records:
		return s.records(ctx, q)
	}
	return step.Items{}, fmt.Errorf("unknown query %T", q)
}

// candidates asks the index for the fullest nodes with enough kbps, or for the
// emptiest, then reads
// the nodes themselves, and drops those that the index is wrong about or that
// lack packets per second.
func (s *Store) candidates(ctx context.Context, q step.Candidates) (step.Items, error) {
	r, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.table, IndexName: aws.String(indexCandidates), Limit: aws.Int32(int32(q.Limit)),
		ScanIndexForward:          aws.Bool(!q.Emptiest),
		KeyConditionExpression:    aws.String("#in = :in AND #ak >= :kbps"),
		ExpressionAttributeNames:  map[string]string{"#in": attrIn, "#ak": attrAvailKbps},
		ExpressionAttributeValues: item{":in": str(q.Region), ":kbps": num(q.Need.Kbps)},
	})
	if err != nil {
		return step.Items{}, fmt.Errorf("find candidates: %w", storeError(err))
	}
	step.UsageOf(ctx).Add(readUnits(r.Items, 1, false), 0)
	var keys []step.Key
	for _, i := range r.Items {
		keys = append(keys, step.NodeKey{Node: room.NodeID(strings.TrimPrefix(getStr(i, attrPK), "NODE#"))})
	}
	if len(keys) == 0 {
		return step.Items{}, nil
	}
	items, err := s.Get(ctx, true, keys...)
	if err != nil {
		return step.Items{}, err
	}
	fit := items.Nodes[:0]
	for _, v := range items.Nodes {
		if v.Node.State.Takes() && q.Need.Fits(v.Node.Available) {
			fit = append(fit, v)
		}
	}
	return step.Items{Nodes: q.InOrder(sortedByAvailable(fit))}, nil
}

// byIndex reads all items of one partition of the index "lists".
func (s *Store) byIndex(ctx context.Context, by string) (step.Items, error) {
	found, err := s.query(ctx, &dynamodb.QueryInput{
		TableName: &s.table, IndexName: aws.String(indexBy),
		KeyConditionExpression:    aws.String("#by = :by"),
		ExpressionAttributeNames:  map[string]string{"#by": attrBy},
		ExpressionAttributeValues: item{":by": str(by)},
	}, false)
	if err != nil {
		return step.Items{}, fmt.Errorf("find %s: %w", by, err)
	}
	var keys []itemKey
	for _, i := range found {
		k := itemKey{getStr(i, attrPK), getStr(i, attrSK)}
		keys = append(keys, k)
		if kindOf(k) == "NODE" {
			keys = append(keys, itemKey{k.pk, "BEAT"})
		}
	}
	items, err := s.get(ctx, true, keys)
	if err != nil {
		return step.Items{}, err
	}
	out, err := collect(items)
	sortItems(&out)
	return out, err
}

// partition reads all items of one partition of the table, consistently.
func (s *Store) partition(ctx context.Context, pk string) (step.Items, error) {
	items, err := s.query(ctx, &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: item{":pk": str(pk)},
	}, true)
	if err != nil {
		return step.Items{}, fmt.Errorf("read %s: %w", pk, err)
	}
	return collect(items)
}

// nodeOf reads a node and its heartbeat as what they are, one partition: a query
// costs by the sum of what it finds.
func (s *Store) nodeOf(ctx context.Context, q step.NodeOf) (step.Items, error) {
	r, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: item{":pk": str(nodeKey(q.Node).pk)},
	})
	if err != nil {
		return step.Items{}, fmt.Errorf("read a node: %w", storeError(err))
	}
	size := 0
	for _, i := range r.Items {
		size += itemSize(i)
	}
	step.UsageOf(ctx).Add(began(size)/2, 0)
	return collect(r.Items)
}

// records reads the newest records of a region.
func (s *Store) records(ctx context.Context, q step.Records) (step.Items, error) {
	r, err := s.db.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.table, Limit: aws.Int32(int32(q.Limit)), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK},
		ExpressionAttributeValues: item{":pk": str(recordKey(q.Region, "").pk)},
	})
	if err != nil {
		return step.Items{}, fmt.Errorf("find records: %w", storeError(err))
	}
	step.UsageOf(ctx).Add(readUnits(r.Items, 1, false), 0)
	return collect(r.Items)
}

// query reads all pages.
func (s *Store) query(ctx context.Context, in *dynamodb.QueryInput, consistent bool) ([]item, error) {
	var out []item
	for {
		r, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, storeError(err)
		}
		step.UsageOf(ctx).Add(readUnits(r.Items, 1, consistent), 0)
		out = append(out, r.Items...)
		if len(r.LastEvaluatedKey) == 0 {
			return out, nil
		}
		in.ExclusiveStartKey = r.LastEvaluatedKey
	}
}

// Commit implements [step.Store]: one write where that is all, else one
// transaction.
func (s *Store) Commit(ctx context.Context, changes []control.Change) error {
	var writes []write
	for _, c := range changes {
		w, err := writesOf(c)
		if err != nil {
			return err
		}
		writes = append(writes, w...)
	}
	step.UsageOf(ctx).Add(0, writeUnits(writes))
	if len(writes) == 1 && !writes[0].check {
		return s.write(ctx, writes[0])
	}
	in := &dynamodb.TransactWriteItemsInput{}
	for _, w := range writes {
		in.TransactItems = append(in.TransactItems, w.transact(s.table))
	}
	if _, err := s.db.TransactWriteItems(ctx, in); err != nil {
		return fmt.Errorf("write %d items: %w", len(writes), storeError(err))
	}
	return nil
}

func (s *Store) write(ctx context.Context, w write) error {
	var err error
	switch {
	case w.item != nil:
		_, err = s.db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: w.item, ConditionExpression: optional(w.cond),
			ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()})
	case w.update != "":
		_, err = s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &s.table, Key: w.key.attributes(), UpdateExpression: &w.update,
			ConditionExpression: optional(w.cond), ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()})
	default:
		_, err = s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: w.key.attributes(), ConditionExpression: optional(w.cond),
			ExpressionAttributeNames: w.names(), ExpressionAttributeValues: w.vals()})
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", kindOf(w.key), storeError(err))
	}
	return nil
}

// Dump returns the keys of everything in the table, for tests and operators:
// it reads the whole table.
func (s *Store) Dump(ctx context.Context) ([]string, error) {
	var keys []string
	in := &dynamodb.ScanInput{TableName: &s.table, ConsistentRead: aws.Bool(true)}
	for {
		r, err := s.db.Scan(ctx, in)
		if err != nil {
			return nil, storeError(err)
		}
		for _, i := range r.Items {
			keys = append(keys, getStr(i, attrPK)+" "+getStr(i, attrSK))
		}
		if len(r.LastEvaluatedKey) == 0 {
			return keys, nil
		}
		in.ExclusiveStartKey = r.LastEvaluatedKey
	}
}
