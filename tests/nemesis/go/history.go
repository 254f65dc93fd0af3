package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// One line of the history, see ../history.ts. A line is written before a request leaves (invoke) and after its answer has come (ok, fail, info),
// so that the order of lines is an order of real time.
type event struct {
	Time    int64  `json:"time"`
	Process int    `json:"process"`
	Client  string `json:"client"`
	Op      string `json:"op"`
	Type    string `json:"type"`

	Topic     string `json:"topic,omitempty"`
	Partition *int32 `json:"partition,omitempty"`
	Key       string `json:"key,omitempty"`
	Value     string `json:"value,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	Error     string `json:"error,omitempty"`

	Transaction string          `json:"transaction,omitempty"`
	From        *placeAndOffset `json:"from,omitempty"`
	End         string          `json:"end,omitempty"`
	Generation  *int32          `json:"generation,omitempty"`
	IsCommitted bool            `json:"isCommitted,omitempty"`

	Mode    string           `json:"mode,omitempty"`
	Group   string           `json:"group,omitempty"`
	Records []partitionReads `json:"records,omitempty"`
	Offsets []placeAndOffset `json:"offsets,omitempty"`
}

// ["topic", partition, [[offset, "value", "key"], …]]
type partitionReads struct {
	topic     string
	partition int32
	records   []read
}

type read struct {
	offset     int64
	value, key string
}

func (p partitionReads) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{p.topic, p.partition, p.records})
}

func (r read) MarshalJSON() ([]byte, error) { return json.Marshal([]any{r.offset, r.value, r.key}) }

// ["topic", partition, offset]
type placeAndOffset struct {
	place
	offset int64
}

func (p placeAndOffset) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{p.topic, p.partition, p.offset})
}

type place struct {
	topic     string
	partition int32
}

type history struct {
	mutex   sync.Mutex
	out     *bufio.Writer
	encoder *json.Encoder
	started time.Time
}

var lastProcess atomic.Int64

// A process is one life of one client: what comes after a crash is another one.
type process struct {
	id     int
	client string
}

func newProcess(client string) process { return process{int(lastProcess.Add(1)), client} }

func newHistory() *history {
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	h := &history{out: out, encoder: json.NewEncoder(out), started: time.Now()}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			h.flush()
		}
	}()
	return h
}

func (h *history) flush() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.out.Flush() != nil {
		os.Exit(1) // nobody reads it any more
	}
}

func (h *history) log(p process, e event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	e.Time, e.Process, e.Client = time.Since(h.started).Milliseconds(), p.id, p.client
	if h.encoder.Encode(e) != nil {
		os.Exit(1)
	}
}
