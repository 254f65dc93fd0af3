// What franz-go can do with a broker. Prints "ok NAME" a step; asks for a restart with "RESTART".
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	bootstrap string
	ctx       = context.Background()
)

func check(holds bool, what ...any) {
	if !holds {
		panic(fmt.Sprint(what...))
	}
}

func must[T any](value T, err error) T {
	check(err == nil, err)
	return value
}

func eventually(holds func() bool) {
	end := time.Now().Add(30 * time.Second)
	for !holds() {
		check(time.Now().Before(end), "it did not come true in time")
		time.Sleep(50 * time.Millisecond)
	}
}

func client(options ...kgo.Opt) *kgo.Client {
	return must(kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...))
}

func drain(from *kgo.Client, count int) []*kgo.Record {
	until, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := from.PollFetches(until)
		check(until.Err() == nil, len(records), " of ", count, " records")
		fetches.EachError(func(topic string, partition int32, err error) {
			// The client tells of a lost coordinator and joins again by itself.
			var session *kgo.ErrGroupSession
			check(errors.As(err, &session), topic, partition, err)
		})
		records = append(records, fetches.Records()...)
	}
	return records
}

func produce(topic string, values ...string) {
	producer := client()
	defer producer.Close()
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(value)})
	}
	check(producer.ProduceSync(ctx, records...).FirstErr() == nil, "produce")
}

func admin() {
	cl := client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	retention := "600000"
	must(adm.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &retention}, "made"))
	check(len(must(adm.ListTopics(ctx, "made"))["made"].Partitions) == 3, "partitions")
	config := func(name string) string {
		for _, c := range must(adm.DescribeTopicConfigs(ctx, "made"))[0].Configs {
			if c.Key == name {
				return *c.Value
			}
		}
		return ""
	}
	check(config("retention.ms") == "600000", "config")
	size := "2000000"
	must(adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &size}}, "made"))
	eventually(func() bool { return config("max.message.bytes") == "2000000" })
	must(adm.UpdatePartitions(ctx, 5, "made"))
	eventually(func() bool { return len(must(adm.ListTopics(ctx, "made"))["made"].Partitions) == 5 })
	must(adm.DeleteTopic(ctx, "made"))
	eventually(func() bool { return must(adm.ListTopics(ctx))["made"].Topic == "" })
	check(len(must(adm.BrokerMetadata(ctx)).Brokers) == 1, "brokers")
}

func codecs() {
	for name, codec := range map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()} {
		topic := "go-codec-" + name
		producer := client(kgo.ProducerBatchCompression(codec))
		headers := []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}, {Key: "null"}}
		var records []*kgo.Record
		for i := 0; i < 300; i++ {
			record := &kgo.Record{Topic: topic, Headers: headers}
			if i%7 != 0 {
				record.Key = fmt.Appendf(nil, "key-%d", i%11)
			}
			if i%13 != 0 {
				record.Value = append(fmt.Appendf(nil, "value-%d", i), bytes.Repeat([]byte("x"), i%50)...)
			}
			records = append(records, record)
		}
		check(producer.ProduceSync(ctx, records...).FirstErr() == nil, "produce ", name)
		producer.Close()
		consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
		for i, got := range drain(consumer, 300) {
			want := records[i]
			check(got.Offset == int64(i) && bytes.Equal(got.Key, want.Key) && bytes.Equal(got.Value, want.Value), got)
			check((got.Key == nil) == (want.Key == nil) && (got.Value == nil) == (want.Value == nil), "nulls")
			check(reflect.DeepEqual(got.Headers, headers), got.Headers)
		}
		consumer.Close()
	}
}

func seeks() {
	start := time.Now().Add(-100 * time.Second).Truncate(time.Millisecond)
	producer := client()
	defer producer.Close()
	for i := 0; i < 100; i++ {
		producer.Produce(ctx, &kgo.Record{Topic: "seeks", Value: fmt.Append(nil, i), Timestamp: start.Add(time.Duration(i) * 10 * time.Millisecond)}, nil)
	}
	check(producer.Flush(ctx) == nil, "flush")
	adm := kadm.NewClient(producer)
	check(must(adm.ListStartOffsets(ctx, "seeks"))["seeks"][0].Offset == 0, "start")
	check(must(adm.ListEndOffsets(ctx, "seeks"))["seeks"][0].Offset == 100, "end")
	check(must(adm.ListOffsetsAfterMilli(ctx, start.UnixMilli()+505, "seeks"))["seeks"][0].Offset == 51, "by time")
	consumer := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"seeks": {0: kgo.NewOffset().At(90)}}))
	defer consumer.Close()
	check(drain(consumer, 10)[0].Offset == 90, "at 90")
	consumer.SetOffsets(map[string]map[int32]kgo.EpochOffset{"seeks": {0: {Epoch: -1, Offset: 0}}})
	check(drain(consumer, 1)[0].Offset == 0, "at 0")
	consumer.SetOffsets(map[string]map[int32]kgo.EpochOffset{"seeks": {0: {Epoch: -1, Offset: 100}}})
	consumer.PauseFetchTopics("seeks")
	produce("seeks", "later")
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	for _, record := range consumer.PollFetches(short).Records() {
		check(record.Offset < 100, "paused")
	}
	cancel()
	consumer.ResumeFetchTopics("seeks")
	eventually(func() bool {
		for _, record := range drain(consumer, 1) {
			if string(record.Value) == "later" {
				return true
			}
		}
		return false
	})
	offsets := kadm.Offsets{}
	offsets.AddOffset("seeks", 0, 40, -1)
	check(must(adm.DeleteRecords(ctx, offsets))["seeks"][0].LowWatermark == 40, "delete records")
}

func groups() {
	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()} {
		groupOfThree("grouped-"+balancer.ProtocolName(), kgo.Balancers(balancer), kgo.HeartbeatInterval(300*time.Millisecond))
	}
}

// A group reads all of a topic while one of its members joins late and another one leaves. The group has the name of the topic.
func groupOfThree(topic string, options ...kgo.Opt) {
	cl := client()
	must(kadm.NewClient(cl).CreateTopic(ctx, 6, 1, nil, topic))
	cl.Close()
	var seen sync.Map
	var count atomic.Int32
	var members sync.WaitGroup
	start := func() context.CancelFunc {
		until, stop := context.WithCancel(ctx)
		members.Go(func() {
			member := client(append(options, kgo.ConsumerGroup(topic), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())...)
			defer member.Close()
			for until.Err() == nil {
				member.PollFetches(until).EachRecord(func(record *kgo.Record) {
					if _, again := seen.LoadOrStore(string(record.Value), true); !again {
						count.Add(1)
					}
				})
				member.CommitUncommittedOffsets(ctx) // a rebalance in between reads those records again
			}
		})
		return stop
	}
	producer := must(kgo.NewClient(kgo.SeedBrokers(bootstrap)))
	stops := []context.CancelFunc{start(), start()}
	for i := 0; i < 1500; i++ {
		producer.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}, nil)
		if i == 500 {
			stops = append(stops, start())
		}
		if i == 1000 {
			check(producer.Flush(ctx) == nil, "flush")
			stops[0]()
		}
		if i%20 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	check(producer.Flush(ctx) == nil, "flush")
	eventually(func() bool { return count.Load() == 1500 })
	for _, stop := range stops {
		stop()
	}
	members.Wait()
	producer.Close()
}

func commits() {
	var values []string
	for i := range 50 {
		values = append(values, fmt.Sprint(i))
	}
	produce("commits", values...)
	group := func(name string, more ...kgo.Opt) *kgo.Client {
		return client(append([]kgo.Opt{kgo.ConsumerGroup(name), kgo.ConsumeTopics("commits"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, more...)...)
	}
	manual := group("manual", kgo.DisableAutoCommit(), kgo.InstanceID("instance"))
	records := drain(manual, 50)
	check(manual.CommitRecords(ctx, records[19]) == nil, "commit")
	adm := kadm.NewClient(manual)
	offset, _ := must(adm.FetchOffsets(ctx, "manual")).Lookup("commits", 0)
	check(offset.At == 20, offset)
	described := must(adm.DescribeGroups(ctx, "manual"))["manual"]
	check(described.State == "Stable" && len(described.Members) == 1, described)
	manual.Close()
	again := group("manual", kgo.DisableAutoCommit(), kgo.InstanceID("instance"))
	check(drain(again, 30)[0].Offset == 20, "from the committed offset")
	again.Close()
	automatic := group("automatic", kgo.AutoCommitInterval(100*time.Millisecond))
	drain(automatic, 50)
	cl := client()
	defer cl.Close()
	adm = kadm.NewClient(cl)
	eventually(func() bool {
		// What a poll returned counts as consumed, and is committed, from the next poll on.
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		automatic.PollFetches(short)
		offset, _ = must(adm.FetchOffsets(ctx, "automatic")).Lookup("commits", 0)
		return offset.At == 50
	})
	automatic.Close()
	must(adm.DeleteGroups(ctx, "automatic"))
	_, still := must(adm.ListGroups(ctx))["automatic"]
	check(!still, "deleted")
}

func pattern() {
	for _, topic := range []string{"logs-a", "logs-b", "other-c"} {
		produce(topic, topic)
	}
	consumer := client(kgo.ConsumerGroup("pattern"), kgo.ConsumeRegex(), kgo.ConsumeTopics("^logs-.*"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond))
	defer consumer.Close()
	for _, record := range drain(consumer, 2) {
		check(record.Topic != "other-c", record.Topic)
	}
	produce("logs-late", "late")
	eventually(func() bool { return drain(consumer, 1)[0].Topic == "logs-late" })
}

func restart() {
	producer := client()
	defer producer.Close()
	for i := range 200 {
		producer.Produce(ctx, &kgo.Record{Topic: "restarted", Value: fmt.Append(nil, i)}, nil)
	}
	check(producer.Flush(ctx) == nil, "flush")
	consumer := client(kgo.ConsumerGroup("restarted"), kgo.ConsumeTopics("restarted"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	check(consumer.CommitRecords(ctx, drain(consumer, 200)[149]) == nil, "commit")
	fmt.Println("RESTART")
	must(bufio.NewReader(os.Stdin).ReadString('\n'))
	for i := 200; i < 300; i++ {
		check(producer.ProduceSync(ctx, &kgo.Record{Topic: "restarted", Value: fmt.Append(nil, i)}).FirstErr() == nil, "produce")
	}
	// The new session starts at the committed offset.
	for last := ""; last != "299"; {
		records := drain(consumer, 1)
		last = string(records[len(records)-1].Value)
	}
	consumer.Close()
	again := client(kgo.ConsumerGroup("restarted"), kgo.ConsumeTopics("restarted"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	defer again.Close()
	for i, record := range drain(again, 150) {
		check(string(record.Value) == fmt.Sprint(150+i), record)
	}
}

func main() {
	bootstrap = os.Args[1]
	for _, step := range []struct {
		name string
		run  func()
	}{{"admin", admin}, {"codecs", codecs}, {"seeks", seeks}, {"groups", groups}, {"commits", commits}, {"pattern", pattern}, {"transactions", transactions}, {"groupTransactSession", groupTransactSession}, {"serverSideGroup", serverSideGroup}, {"restart", restart}} {
		step.run()
		fmt.Println("ok", step.name)
	}
}
