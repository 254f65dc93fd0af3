// A load for the nemesis: idempotent producers, readers with and without a group, observers. Writes its history to standard output, a line of JSON
// an event; ends once a line, or the end, of standard input has come and everybody has read what was acked.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const maxMessageBytes = 64 << 10

// How long readers may take, after the last send, to have read everything; and in a brief run, where something may be missing.
const (
	settleLimit      = 200 * time.Second
	briefSettleLimit = 3 * time.Second
)

type driver struct {
	*history
	bootstrap string
	// Producers and one reader of the topics without transactions, for a broker that is known to lose records.
	brief  bool
	places []place
	// Those that no transaction writes to.
	plain []place
	stop  chan struct{}
	// Everything is sent, the copies and what is behind them too.
	sent    chan struct{}
	settled chan struct{}

	mutex     sync.Mutex
	stoppedAt time.Time
	// Behind the highest acked offset (where transactions write, behind the record that is sent behind them all), behind what the group has committed,
	// and behind what the copiers have.
	ackedEnds, committedEnds, copiedEnds map[place]int64
}

const (
	transactedTopic = "nemesis-transacted"
	copiedTopic     = "nemesis-copied"
)

var topics = []struct {
	name       string
	partitions int32
	configs    map[string]string
}{
	{"nemesis-plain", 3, map[string]string{"segment.bytes": "1048576"}},
	{"nemesis-flushed", 2, map[string]string{"segment.bytes": "2097152", "flush.messages": "1"}},
	{"nemesis-timed", 2, map[string]string{"segment.ms": "5000", "flush.ms": "1000"}},
	{transactedTopic, 3, map[string]string{"segment.bytes": "1048576"}},
	{copiedTopic, 3, map[string]string{"segment.ms": "5000"}},
}

func (d *driver) topics() []string {
	var names []string
	for _, topic := range topics {
		names = append(names, topic.name)
	}
	return names
}

func isTransactional(topic string) bool { return topic == transactedTopic || topic == copiedTopic }

func (d *driver) ofTopic(topic string) []place {
	var places []place
	for _, in := range d.places {
		if in.topic == topic {
			places = append(places, in)
		}
	}
	return places
}

// A broker that is away comes back within seconds.
func (d *driver) common(p process) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(d.bootstrap), kgo.ClientID(fmt.Sprintf("%s-%d", p.client, p.id)),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RequestTimeoutOverhead(30 * time.Second), kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()}
}

func (d *driver) client(p process, options ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append(d.common(p), options...)...)
	if err != nil {
		panic(err)
	}
	return cl
}

func (d *driver) createTopics() {
	cl := d.client(process{0, "admin"})
	defer cl.Close()
	for _, topic := range topics {
		if d.brief && isTransactional(topic.name) {
			continue
		}
		maxBytes := fmt.Sprint(maxMessageBytes)
		configs := map[string]*string{"max.message.bytes": &maxBytes}
		for name, value := range topic.configs {
			configs[name] = &value
		}
		response, err := kadm.NewClient(cl).CreateTopic(context.Background(), topic.partitions, 1, configs, topic.name)
		if err == nil {
			err = response.Err
		}
		if err != nil && err != kerr.TopicAlreadyExists {
			panic(err)
		}
		for partition := range topic.partitions {
			in := place{topic.name, partition}
			d.places = append(d.places, in)
			if !isTransactional(topic.name) {
				d.plain = append(d.plain, in)
			}
		}
	}
}

func isClosed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func (d *driver) isStopped() bool { return isClosed(d.stop) }

func (d *driver) settleLimit() time.Duration {
	if d.brief {
		return briefSettleLimit
	}
	return settleLimit
}

func (d *driver) isLate() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return !d.stoppedAt.IsZero() && time.Since(d.stoppedAt) > d.settleLimit()
}

// Ends early when the run ends.
func (d *driver) pause(duration time.Duration) {
	select {
	case <-time.After(duration):
	case <-d.stop:
	}
}

func (d *driver) acked(in place, offset int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.ackedEnds[in] = max(d.ackedEnds[in], offset+1)
}

func (d *driver) committed(next map[place]int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for in, offset := range next {
		d.committedEnds[in] = max(d.committedEnds[in], offset)
	}
}

func (d *driver) copied(next map[place]int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for in, offset := range next {
		d.copiedEnds[in] = max(d.copiedEnds[in], offset)
	}
}

// The copiers have come to the record behind all transactions, or take too long.
func (d *driver) hasCopied() bool {
	if d.isLate() {
		return true
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for _, in := range d.ofTopic(transactedTopic) {
		if end, isKnown := d.ackedEnds[in]; !isKnown || d.copiedEnds[in] < end {
			return false
		}
	}
	return true
}

func (d *driver) hasRead(position map[place]int64) bool {
	if !isClosed(d.sent) {
		return false
	}
	if d.isLate() {
		return true
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for in, end := range d.ackedEnds {
		if position[in] < end {
			return false
		}
	}
	return true
}

func (d *driver) groupHasRead() bool {
	d.mutex.Lock()
	position := make(map[place]int64, len(d.committedEnds))
	for in, end := range d.committedEnds {
		position[in] = end
	}
	d.mutex.Unlock()
	return d.hasRead(position)
}

// Producers are at work; once stopped, until the last one has its answers.
func (d *driver) producing() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.stoppedAt.IsZero()
}

func main() {
	d := &driver{stop: make(chan struct{}), sent: make(chan struct{}), settled: make(chan struct{}), ackedEnds: map[place]int64{}, committedEnds: map[place]int64{}, copiedEnds: map[place]int64{}}
	rate := flag.Int("rate", 600, "records a second, in all")
	seed := flag.Uint64("seed", 1, "for sizes, keys, partitions and lives of clients")
	flag.StringVar(&d.bootstrap, "bootstrap", "", "host:port")
	flag.BoolVar(&d.brief, "brief", false, "producers and one reader, of the topics without transactions")
	flag.Parse()
	d.history = newHistory()
	d.createTopics()
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		close(d.stop)
	}()

	var producers, copying, readers, observers sync.WaitGroup
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, codec := range codecs {
		producers.Go(func() { d.produce(fmt.Sprintf("producer%d", i), *rate/len(codecs), *seed*100+uint64(i), codec) })
	}
	readers.Go(d.readAll)
	if d.brief {
		d.finishBriefly(&producers, &readers)
		return
	}
	producers.Go(func() { d.produceTooLarge(*seed) })
	for i := range 2 {
		producers.Go(func() { d.produceInTransactions(fmt.Sprintf("transactor%d", i), *seed*100+uint64(i)) })
		copying.Go(func() { d.copyInTransactions(fmt.Sprintf("copier%d", i), *seed*100+uint64(i)) })
	}
	readers.Go(func() { d.readAndSeek(*seed) })
	for i := range 3 {
		readers.Go(func() { d.readInGroup(fmt.Sprintf("member%d", i), *seed*100+uint64(i), i > 0) })
	}
	observers.Go(d.observe)
	producers.Wait()
	d.haveStopped()
	d.sendBehind(transactedTopic)
	copying.Wait()
	d.sendBehind(copiedTopic)
	close(d.sent)
	readers.Wait()
	close(d.settled)
	observers.Wait()
	d.end()
}

func (d *driver) haveStopped() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.stoppedAt = time.Now()
}

func (d *driver) finishBriefly(producers, readers *sync.WaitGroup) {
	producers.Wait()
	d.haveStopped()
	close(d.sent)
	readers.Wait()
	close(d.settled)
	d.end()
}

func (d *driver) end() {
	d.readEverything()
	d.log(process{0, "driver"}, event{Op: "end", Type: "ok"})
	d.flush()
}
