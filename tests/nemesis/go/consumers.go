package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Logs what a poll gave. Returns the position behind it, by partition.
func (d *driver) logPoll(p process, mode, group string, fetches kgo.Fetches) map[place]int64 {
	fetches.EachError(func(topic string, partition int32, err error) {
		var loss *kgo.ErrDataLoss
		if errors.As(err, &loss) && isTransactional(topic) {
			// The client takes the epoch of the last record that it gave out for that of the last batch that it passed, aborted ones and markers included:
			// with a new epoch it goes back to the end of the old one. Whether anything is lost, the checker finds out by itself.
			d.logPositions(p, map[place]int64{{topic, partition}: loss.ResetTo})
			return
		}
		if errors.As(err, &loss) || errors.Is(err, kerr.OffsetOutOfRange) {
			d.log(p, event{Op: "poll", Type: "fail", Mode: mode, Group: group, Topic: topic, Partition: &partition, Error: err.Error()})
		}
	})
	var records []partitionReads
	next := map[place]int64{}
	fetches.EachPartition(func(of kgo.FetchTopicPartition) {
		if len(of.Records) == 0 {
			return
		}
		var reads []read
		for _, record := range of.Records {
			if !record.Attrs.IsControl() {
				reads = append(reads, read{record.Offset, nameOf(record), string(record.Key)})
			}
			next[place{of.Topic, of.Partition}] = record.Offset + 1
		}
		if len(reads) == 0 {
			return
		}
		records = append(records, partitionReads{of.Topic, of.Partition, reads})
	})
	if len(records) > 0 {
		d.log(p, event{Op: "poll", Type: "ok", Mode: mode, Group: group, Records: records})
	}
	return next
}

func hasLoss(fetches kgo.Fetches) bool {
	found := false
	fetches.EachError(func(_ string, _ int32, err error) {
		var loss *kgo.ErrDataLoss
		found = found || errors.As(err, &loss)
	})
	return found
}

func poll(cl *kgo.Client) kgo.Fetches {
	within, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return cl.PollFetches(within)
}

func offsetsOf(position map[place]int64) map[string]map[int32]kgo.Offset {
	offsets := map[string]map[int32]kgo.Offset{}
	for in, offset := range position {
		if offsets[in.topic] == nil {
			offsets[in.topic] = map[int32]kgo.Offset{}
		}
		offsets[in.topic][in.partition] = kgo.NewOffset().At(offset)
	}
	return offsets
}

func epochOffsetsOf(position map[place]int64) map[string]map[int32]kgo.EpochOffset {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for in, offset := range position {
		if offsets[in.topic] == nil {
			offsets[in.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[in.topic][in.partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	return offsets
}

func placesOf(position map[place]int64) []placeAndOffset {
	var offsets []placeAndOffset
	for in, offset := range position {
		offsets = append(offsets, placeAndOffset{in, offset})
	}
	return offsets
}

func (d *driver) logPositions(p process, position map[place]int64) {
	d.log(p, event{Op: "assign", Type: "ok", Mode: "assign", Offsets: placesOf(position)})
}

func (d *driver) startPositions() map[place]int64 {
	at := map[place]int64{}
	for _, in := range d.places {
		at[in] = 0
	}
	return at
}

// Reads all partitions from their start, with a client that lives as long as the run.
func (d *driver) readAll() {
	p := newProcess("reader")
	position := d.startPositions()
	cl := d.client(p, kgo.ConsumePartitions(offsetsOf(position)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer cl.Close()
	d.logPositions(p, position)
	for !d.hasRead(position) {
		for in, next := range d.logPoll(p, "assign", "", poll(cl)) {
			position[in] = next
		}
	}
}

// Reads near the end, goes back now and then, and crashes now and then.
func (d *driver) readAndSeek(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	position := d.startPositions()
	for !d.isStopped() {
		p := newProcess("seeker")
		goBack := func(from map[place]int64) map[place]int64 {
			offsets := map[place]int64{}
			for in := range from {
				offsets[in] = max(0, position[in]-int64(random.IntN(500)))
				position[in] = offsets[in]
			}
			d.logPositions(p, offsets)
			return offsets
		}
		cl := d.client(p, kgo.ConsumePartitions(offsetsOf(goBack(position))), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
		// Only where it has read may a client be told to go back: what was not polled yet, it passes over.
		read := map[place]int64{}
		for life := 1 + random.IntN(4); life > 0 && !d.isStopped(); life-- {
			for end := time.Now().Add(time.Duration(2+random.IntN(6)) * time.Second); time.Now().Before(end) && !d.isStopped(); {
				for in, next := range d.logPoll(p, "assign", "", poll(cl)) {
					position[in], read[in] = next, next
				}
			}
			if len(read) > 0 {
				cl.SetOffsets(epochOffsetsOf(goBack(read)))
			}
		}
		d.log(p, event{Op: "crash_client", Type: "info"})
		cl.Close()
	}
}

const group = "nemesis"

// One member of the group. It commits what it has read, and leaves without a commit of its last records now and then.
func (d *driver) readInGroup(name string, seed uint64, mortal bool) {
	random := rand.New(rand.NewPCG(seed, 4))
	for {
		p := newProcess(name)
		cl := d.client(p, append(d.memberOptions(p, group), kgo.ConsumeTopics(d.topics()...), kgo.DisableAutoCommit())...)
		end := time.Now().Add(time.Duration(10+random.IntN(20)) * time.Second)
		for !d.groupHasRead() && (d.isStopped() || !mortal || time.Now().Before(end)) {
			next := d.logPoll(p, "group", group, poll(cl))
			d.commit(p, cl, next)
			cl.AllowRebalance()
		}
		if d.groupHasRead() {
			cl.CloseAllowingRebalance()
			return
		}
		d.logPoll(p, "group", group, poll(cl))
		d.log(p, event{Op: "crash_client", Type: "info"})
		cl.CloseAllowingRebalance()
	}
}

func (d *driver) memberOptions(p process, group string) []kgo.Opt {
	rebalanced := func(op string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, cl *kgo.Client, partitions map[string][]int32) {
			var offsets []placeAndOffset
			for topic, numbers := range partitions {
				for _, partition := range numbers {
					offsets = append(offsets, placeAndOffset{place{topic, partition}, -1})
				}
			}
			if len(offsets) == 0 {
				return
			}
			_, generation := cl.GroupMetadata()
			d.log(p, event{Op: op, Type: "ok", Group: group, Offsets: offsets, Generation: &generation})
		}
	}
	return []kgo.Opt{kgo.ConsumerGroup(group), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(3 * time.Second), kgo.HeartbeatInterval(300 * time.Millisecond), kgo.RebalanceTimeout(4 * time.Second),
		kgo.OnPartitionsAssigned(rebalanced("assigned")), kgo.OnPartitionsRevoked(rebalanced("revoked")), kgo.OnPartitionsLost(rebalanced("lost"))}
}

func (d *driver) commit(p process, cl *kgo.Client, next map[place]int64) {
	if len(next) == 0 {
		return
	}
	logged := placesOf(next)
	_, generation := cl.GroupMetadata()
	d.log(p, event{Op: "commit", Type: "invoke", Group: group, Offsets: logged, Generation: &generation})
	within, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	answer := event{Op: "commit", Type: "ok", Group: group, Offsets: logged, Generation: &generation}
	cl.CommitOffsetsSync(within, epochOffsetsOf(next), func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if err == nil && response == nil {
			err = errors.New("no answer")
		}
		for i := 0; err == nil && i < len(response.Topics); i++ {
			for _, partition := range response.Topics[i].Partitions {
				if err == nil {
					err = kerr.ErrorForCode(partition.ErrorCode)
				}
			}
		}
		if err != nil {
			answer.Type, answer.Error = "info", err.Error()
		}
	})
	d.log(p, answer)
	if answer.Type == "ok" {
		d.committed(next)
	}
}

// Asks for the group's committed offsets and for the ends of the partitions, again and again, each time on a connection of its own choice.
func (d *driver) observe() {
	p := newProcess("observer")
	cl := d.client(p)
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for last := false; !last; {
		last = isClosed(d.settled)
		d.observeCommitted(p, adm, group)
		d.observeCommitted(p, adm, copiers)
		d.observeEnds(p, adm.ListEndOffsets, false)
		d.observeEnds(p, adm.ListCommittedOffsets, true)
		time.Sleep(300 * time.Millisecond)
	}
}

func (d *driver) observeCommitted(p process, adm *kadm.Client, group string) {
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	topics := d.topics()
	if group == copiers {
		topics = []string{transactedTopic}
	}
	d.log(p, event{Op: "committed", Type: "invoke", Group: group})
	answer := event{Op: "committed", Type: "ok", Group: group}
	found, err := adm.FetchOffsetsForTopics(kadm.RequireStable(within), group, topics...)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		answer.Type, answer.Error = "info", err.Error()
	} else {
		found.Each(func(o kadm.OffsetResponse) {
			answer.Offsets = append(answer.Offsets, placeAndOffset{place{o.Topic, o.Partition}, o.At})
		})
	}
	d.log(p, answer)
}

func (d *driver) observeEnds(p process, list func(context.Context, ...string) (kadm.ListedOffsets, error), isCommitted bool) {
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d.log(p, event{Op: "list_offsets", Type: "invoke", IsCommitted: isCommitted})
	answer := event{Op: "list_offsets", Type: "ok", IsCommitted: isCommitted}
	found, err := list(within, d.topics()...)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		answer.Type, answer.Error = "info", err.Error()
	} else {
		found.Each(func(o kadm.ListedOffset) {
			answer.Offsets = append(answer.Offsets, placeAndOffset{place{o.Topic, o.Partition}, o.Offset})
		})
	}
	d.log(p, answer)
}

// When all is quiet: every partition from 0 to what was acked last.
func (d *driver) readEverything() {
	p := newProcess("final")
	position := d.startPositions()
	cl := d.client(p, kgo.ConsumePartitions(offsetsOf(position)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer cl.Close()
	d.logPositions(p, position)
	for !d.hasRead(position) {
		for in, next := range d.logPoll(p, "final", "", poll(cl)) {
			position[in] = next
		}
	}
}
