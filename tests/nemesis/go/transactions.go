package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Shorter than a run, so that what a crashed producer has left open is aborted in it.
const transactionTimeout = 5 * time.Second

// How long the end of a transaction may take, the broker's restarts included, before the client is given up.
const endLimit = 30 * time.Second

// Sends of one transaction: whether all of them were acked.
type sends struct {
	answers sync.WaitGroup
	failed  atomic.Bool
}

func transactionOf(p process, number int) string { return fmt.Sprintf("%d-t%d", p.id, number) }

// Sends one record in a transaction, a copy of the one at `from` if that is given.
func (d *driver) sendIn(transaction string, p process, cl *kgo.Client, to place, id, key string, from *placeAndOffset, in *sends) {
	record := &kgo.Record{Topic: to.topic, Partition: to.partition, Key: []byte(key), Value: valueOf(id, key, 20)}
	d.log(p, event{Op: "send", Type: "invoke", Topic: to.topic, Partition: &to.partition, Key: key, Value: id, Transaction: transaction, From: from})
	in.answers.Add(1)
	cl.Produce(context.Background(), record, func(r *kgo.Record, err error) {
		defer in.answers.Done()
		answer := event{Op: "send", Type: "ok", Topic: to.topic, Partition: &to.partition, Value: id}
		if err == nil {
			answer.Offset = &r.Offset
		} else {
			answer.Type, answer.Error = outcomeOf(err), err.Error()
			in.failed.Store(true)
		}
		d.log(p, answer)
	})
}

// Commits or aborts one transaction after the other, as one client after the other under one transactional id; some crash amid a transaction.
func (d *driver) produceInTransactions(name string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 5))
	for !d.isStopped() {
		d.transactAs(newProcess(name), name, time.Duration(5+random.IntN(15))*time.Second, random)
	}
}

func (d *driver) transactAs(p process, transactionalID string, life time.Duration, random *rand.Rand) {
	cl := d.client(p, kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(transactionTimeout), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(endLimit))
	defer cl.Close()
	end := time.Now().Add(life)
	places, counter := d.ofTopic(transactedTopic), 0
	for number := 0; !d.isStopped(); number++ {
		isLast := time.Now().After(end)
		if cl.BeginTransaction() != nil {
			break
		}
		transaction := transactionOf(p, number)
		var sent sends
		for range 1 + random.IntN(12) {
			to := places[random.IntN(len(places))]
			id := fmt.Sprintf("%d-%d", p.id, counter)
			counter++
			d.sendIn(transaction, p, cl, to, id, fmt.Sprintf("%s-%d", p.client, to.partition), nil, &sent)
		}
		if isLast { // crashes with it open, and whoever comes next under its name has it aborted
			break
		}
		try, asked := kgo.TryCommit, "commit"
		if random.IntN(5) == 0 {
			try, asked = kgo.TryAbort, "abort"
		}
		within, cancel := context.WithTimeout(context.Background(), endLimit)
		err := cl.Flush(within)
		if sent.failed.Load() || err != nil {
			try, asked = kgo.TryAbort, "abort"
		}
		if try == kgo.TryAbort {
			_ = cl.AbortBufferedRecords(within)
		}
		d.log(p, event{Op: "txn", Type: "invoke", Transaction: transaction, End: asked})
		answer := event{Op: "txn", Type: "ok", Transaction: transaction, End: asked}
		if err = cl.EndTransaction(within, try); err != nil {
			answer.Type, answer.Error = "info", err.Error()
		}
		cancel()
		d.log(p, answer)
		if err != nil {
			break
		}
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
	}
	d.log(p, event{Op: "crash_client", Type: "info"})
}

const copiers = "copiers"

// Copies the topic of the transactions to another one, exactly once: members of a group that commit what they have read with what they write.
func (d *driver) copyInTransactions(name string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 6))
	for !d.hasCopied() {
		d.copyAs(newProcess(name), name, time.Duration(8+random.IntN(12))*time.Second, random)
	}
}

func (d *driver) copyAs(p process, transactionalID string, life time.Duration, random *rand.Rand) {
	session, err := kgo.NewGroupTransactSession(append(d.common(p), append(d.memberOptions(p, copiers),
		kgo.ConsumeTopics(transactedTopic), kgo.TransactionalID(transactionalID), kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(endLimit))...)...)
	if err != nil {
		panic(err)
	}
	end := time.Now().Add(life)
	counter := 0
	for number := 0; !d.hasCopied(); number++ {
		fetches := poll(session.Client())
		_, generation := session.Client().GroupMetadata()
		if hasLoss(fetches) {
			break // it would go back and copy again: see logPoll
		}
		records := fetches.Records()
		if len(records) == 0 {
			session.AllowRebalance()
			continue
		}
		if session.Begin() != nil {
			break
		}
		transaction := transactionOf(p, number)
		next := map[place]int64{}
		var sent sends
		for _, record := range records {
			in := place{record.Topic, record.Partition}
			next[in] = record.Offset + 1
			if record.Attrs.IsControl() {
				continue
			}
			id := fmt.Sprintf("%d-%d", p.id, counter)
			counter++
			d.sendIn(transaction, p, session.Client(), place{copiedTopic, record.Partition}, id, p.client, &placeAndOffset{in, record.Offset}, &sent)
		}
		if d.producing() && time.Now().After(end) {
			break
		}
		isCommitted, err := d.endCopy(p, session, transaction, generation, next, &sent, random.IntN(6) > 0)
		session.AllowRebalance()
		if err != nil {
			break
		}
		if isCommitted {
			d.copied(next)
		}
	}
	d.log(p, event{Op: "crash_client", Type: "info"})
	session.CloseAllowingRebalance()
}

func (d *driver) endCopy(p process, session *kgo.GroupTransactSession, transaction string, generation int32, next map[place]int64, sent *sends, commit bool) (bool, error) {
	within, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	if commit && session.Client().Flush(within) != nil || sent.failed.Load() {
		commit = false
	}
	asked := event{Op: "txn", Type: "invoke", Transaction: transaction, End: "abort"}
	if commit {
		asked.End, asked.Group, asked.Offsets, asked.Generation = "commit", copiers, placesOf(next), &generation
	}
	d.log(p, asked)
	isCommitted, err := session.End(within, kgo.TransactionEndTry(commit))
	answer := asked
	switch {
	case err != nil:
		answer.Type, answer.Error = "info", err.Error()
	case commit && !isCommitted:
		answer.Type = "fail" // a rebalance came between, and it was aborted
	default:
		answer.Type = "ok"
	}
	d.log(p, answer)
	return isCommitted, err
}

// Sends one record to each partition of a topic that transactions write to, outside of them: whoever reads it as a committed one has seen their end.
func (d *driver) sendBehind(topic string) {
	p := newProcess("behind")
	cl := d.client(p, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1))
	defer cl.Close()
	for counter, to := range d.ofTopic(topic) {
		id := fmt.Sprintf("%d-%d", p.id, counter)
		record := &kgo.Record{Topic: to.topic, Partition: to.partition, Key: []byte(p.client), Value: valueOf(id, p.client, 0)}
		d.log(p, event{Op: "send", Type: "invoke", Topic: to.topic, Partition: &to.partition, Key: p.client, Value: id})
		if err := cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			panic(err)
		}
		d.log(p, event{Op: "send", Type: "ok", Topic: to.topic, Partition: &to.partition, Value: id, Offset: &record.Offset})
		d.acked(to, record.Offset)
	}
}
