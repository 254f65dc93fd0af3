package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Values of a topic that was written in transactions, in the order of its only partition, up to a record that was sent behind them all.
func committedValues(topic string) []string {
	produce(topic, "end")
	consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer consumer.Close()
	var values []string
	for {
		for _, record := range drain(consumer, 1) {
			if string(record.Value) == "end" {
				return values
			}
			values = append(values, string(record.Value))
		}
	}
}

func inTransaction(cl *kgo.Client, topic string, end kgo.TransactionEndTry, values ...string) error {
	check(cl.BeginTransaction() == nil, "begin")
	for _, value := range values {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
			return err
		}
	}
	return cl.EndTransaction(ctx, end)
}

func transactions() {
	first := client(kgo.TransactionalID("go-1"))
	defer first.Close()
	check(inTransaction(first, "go-transactions", kgo.TryCommit, "a", "b") == nil, "commit")
	check(inTransaction(first, "go-transactions", kgo.TryAbort, "c") == nil, "abort")
	check(inTransaction(first, "go-transactions", kgo.TryCommit, "d") == nil, "commit after an abort")
	// Left open, until another client takes over its name.
	check(first.BeginTransaction() == nil, "begin")
	check(first.ProduceSync(ctx, &kgo.Record{Topic: "go-transactions", Value: []byte("e")}).FirstErr() == nil, "produce")
	second := client(kgo.TransactionalID("go-1"))
	defer second.Close()
	check(inTransaction(second, "go-transactions", kgo.TryCommit, "f") == nil, "commit of the second")
	err := first.EndTransaction(ctx, kgo.TryCommit)
	check(errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced), "fenced: ", err)
	values := committedValues("go-transactions")
	check(fmt.Sprint(values) == "[a b d f]", values)

	adm := kadm.NewClient(second)
	described := must(adm.DescribeTransactions(ctx, "go-1"))["go-1"]
	check(described.State == "CompleteCommit" || described.State == "Empty", described)
	check(must(adm.ListTransactions(ctx, nil, nil))["go-1"].TxnID == "go-1", "list")
}

// Two sessions of one group copy a topic, and abort now and then; one joins late.
func groupTransactSession() {
	cl := client()
	adm := kadm.NewClient(cl)
	must(adm.CreateTopic(ctx, 4, 1, nil, "go-input"))
	for i := range 2000 {
		cl.Produce(ctx, &kgo.Record{Topic: "go-input", Partition: int32(i % 4), Value: fmt.Append(nil, i)}, nil)
	}
	check(cl.Flush(ctx) == nil, "flush")
	var copiers sync.WaitGroup
	until, stop := context.WithCancel(ctx)
	copier := func(id string) {
		session := must(kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation(), kgo.TransactionalID(id), kgo.ConsumerGroup("go-copiers"), kgo.ConsumeTopics("go-input"),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.HeartbeatInterval(300*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner())))
		defer session.Close()
		for round := 0; until.Err() == nil; round++ {
			records := session.PollRecords(until, 50).Records()
			if len(records) == 0 {
				continue
			}
			check(session.Begin() == nil, "begin")
			produced := kgo.AbortingFirstErrPromise(session.Client())
			for _, record := range records {
				session.Produce(ctx, &kgo.Record{Topic: "go-output", Value: record.Value}, produced.Promise())
			}
			wantCommit := round%5 != 3
			check(!wantCommit || produced.Err() == nil, "produce: ", produced.Err())
			must(session.End(ctx, kgo.TransactionEndTry(wantCommit)))
		}
	}
	copiers.Go(func() { copier("go-copier-1") })
	time.Sleep(300 * time.Millisecond)
	copiers.Go(func() { copier("go-copier-2") })
	eventually(func() bool {
		var copied int64
		must(adm.FetchOffsets(kadm.RequireStable(ctx), "go-copiers")).Each(func(o kadm.OffsetResponse) { copied += o.At })
		return copied == 2000
	})
	stop()
	copiers.Wait()
	cl.Close()
	var numbers []int
	for _, value := range committedValues("go-output") {
		var number int
		must(fmt.Sscan(value, &number))
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	check(len(numbers) == 2000, len(numbers), " copies")
	for i, number := range numbers {
		check(i == number, number, " for ", i)
	}
}

// The broker assigns (KIP-848): three members, of which one joins late and one leaves.
func serverSideGroup() {
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "uniform": kgo.StickyBalancer()} {
		groupOfThree("go-next-"+name, kgo.Balancers(balancer), kgo.ServerSideBalancer())
		cl := client()
		described := must(kadm.NewClient(cl).DescribeConsumerGroups(ctx, "go-next-"+name))["go-next-"+name]
		check(described.Err == nil && described.State == "Empty" && described.Epoch > 1, described) // a classic group is not described so
		cl.Close()
	}
}
