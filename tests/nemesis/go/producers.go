package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The broker's codes that prove that nothing was appended, by this attempt or an earlier one of the same batch.
var provenFailures = []*kerr.Error{kerr.MessageTooLarge, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed, kerr.InvalidRecord}

func outcomeOf(err error) string {
	for _, failure := range provenFailures {
		if errors.Is(err, failure) {
			return "fail"
		}
	}
	return "info"
}

// A value is "PROCESS-COUNTER|KEY|PADDING|CHECKSUM": unique, and it tells when anything of it was changed on its way.
func valueOf(id, key string, padding int) []byte {
	text := id + "|" + key + "|" + strings.Repeat("x", padding) + "|"
	return fmt.Appendf([]byte(text), "%08x", crc32.ChecksumIEEE([]byte(text)))
}

// The value's name, or what is wrong with the record.
func nameOf(record *kgo.Record) string {
	value := string(record.Value)
	parts := strings.Split(value, "|")
	if len(parts) != 4 || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(value[:len(value)-len(parts[3])]))) != parts[3] || parts[1] != string(record.Key) {
		return fmt.Sprintf("damaged: key %.40q, value %.80q", record.Key, record.Value)
	}
	return parts[0]
}

// Sends to every partition until it is stopped, as one client after the other: each crashes after some seconds, with what it has in flight.
func (d *driver) produce(name string, perSecond int, seed uint64, codec kgo.CompressionCodec) {
	random := rand.New(rand.NewPCG(seed, 1))
	for !d.isStopped() {
		life := time.Duration(10+random.IntN(20)) * time.Second
		d.produceAs(newProcess(name), perSecond, life, random, codec)
	}
}

func (d *driver) produceAs(p process, perSecond int, life time.Duration, random *rand.Rand, codec kgo.CompressionCodec) {
	cl := d.client(p, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.StopProducerOnDataLossDetected(), kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(5000))
	var answers sync.WaitGroup
	end := time.Now().Add(life)
	const tick = 20 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	counter, due := 0, 0.0
	for !d.isStopped() && time.Now().Before(end) {
		<-ticks.C
		for due += float64(perSecond) * tick.Seconds(); due >= 1; due-- {
			to := d.plain[random.IntN(len(d.plain))]
			id := fmt.Sprintf("%d-%d", p.id, counter)
			key := fmt.Sprintf("%s-%d-%d", p.client, to.partition, random.IntN(4))
			counter++
			record := &kgo.Record{Topic: to.topic, Partition: to.partition, Key: []byte(key), Value: valueOf(id, key, random.IntN(200))}
			d.log(p, event{Op: "send", Type: "invoke", Topic: to.topic, Partition: &to.partition, Key: key, Value: id})
			answers.Add(1)
			cl.Produce(context.Background(), record, func(r *kgo.Record, err error) {
				defer answers.Done()
				answer := event{Op: "send", Type: "ok", Topic: to.topic, Partition: &to.partition, Value: id}
				if err == nil {
					answer.Offset = &r.Offset
					d.acked(to, r.Offset)
				} else {
					answer.Type, answer.Error = outcomeOf(err), err.Error()
				}
				d.log(p, answer)
			})
		}
	}
	if d.isStopped() {
		within, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = cl.Flush(within) // what is not answered by then is of unknown fate, and closing says so
	} else {
		d.log(p, event{Op: "crash_client", Type: "info"})
	}
	cl.Close()
	answers.Wait()
}

// One at a time, and now and then a record that the topic does not take: its refusal is certain, and nobody may ever read it.
func (d *driver) produceTooLarge(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	for !d.isStopped() {
		p := newProcess("oversized")
		cl := d.client(p, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		to := d.plain[random.IntN(len(d.plain))]
		id, key := fmt.Sprintf("%d-0", p.id), p.client
		record := &kgo.Record{Topic: to.topic, Partition: to.partition, Key: []byte(key), Value: valueOf(id, key, maxMessageBytes+1)}
		d.log(p, event{Op: "send", Type: "invoke", Topic: to.topic, Partition: &to.partition, Key: key, Value: id})
		err := cl.ProduceSync(context.Background(), record).FirstErr()
		answer := event{Op: "send", Type: "ok", Topic: to.topic, Partition: &to.partition, Value: id, Offset: &record.Offset}
		if err != nil {
			answer.Type, answer.Error, answer.Offset = outcomeOf(err), err.Error(), nil
		}
		d.log(p, answer)
		cl.Close()
		d.pause(5 * time.Second)
	}
}
