package apollo

import (
	"bytes"
	"errors"
	"math/rand"
	"net"
	"strings"
	"testing"
	"time"
)

// hostileWorker is a connection whose worker says content in pieces of at most step bytes, and then nothing more.
type hostileWorker struct {
	content []byte
	step    int
	sent    bytes.Buffer
}

func (w *hostileWorker) Read(target []byte) (int, error) {
	if len(w.content) == 0 {
		return 0, errors.New("reset by peer")
	}
	size := copy(target[:min(len(target), w.step)], w.content)
	w.content = w.content[size:]
	return size, nil
}

func (w *hostileWorker) Write(content []byte) (int, error) { return w.sent.Write(content) }
func (w *hostileWorker) Close() error                      { return nil }
func (w *hostileWorker) LocalAddr() net.Addr               { return nil }
func (w *hostileWorker) RemoteAddr() net.Addr              { return nil }
func (w *hostileWorker) SetDeadline(time.Time) error       { return nil }
func (w *hostileWorker) SetReadDeadline(time.Time) error   { return nil }
func (w *hostileWorker) SetWriteDeadline(time.Time) error  { return nil }

// converses lets a program that reads everything hear content; it ends with END, or with an error that says why not.
func converses(t *testing.T, content []byte, step int) (ended bool) {
	worker := &hostileWorker{content: content, step: step}
	copyAll := func(job *Job, key []byte, values *Values) error {
		for values.Next() {
			job.Emit(key, values.Value())
		}
		return nil
	}
	copyRecord := func(job *Job, record []byte) error {
		job.Emit(record, []byte(job.Input()))
		return nil
	}
	err := perform(Program{Map: copyRecord, Reduce: copyAll}, worker)
	kinds := kinds(worker.sent.Bytes())
	if ended = kinds[len(kinds)-1] == byte(frameEnd); ended != (err == nil) {
		t.Fatalf("%x: %v, and frames of the types %v are sent", content, err, kinds)
	}
	if err != nil && !strings.Contains(err.Error(), "worker") && !strings.Contains(err.Error(), "role") {
		t.Fatalf("%x: %v", content, err)
	}
	return ended
}

func kinds(frames []byte) (kinds []byte) {
	for _, size := range sizes(frames) {
		kinds = append(kinds, frames[4])
		frames = frames[headerBytes+size:]
	}
	return kinds
}

// conversations are the good frames of the page, as streams for a mapper and a reducer.
func conversations(tb testing.TB) [][]byte {
	byName := map[string][]byte{}
	for _, vector := range readVectors(tb) {
		byName[vector.name] = vector.frame
	}
	join := func(names ...string) (stream []byte) {
		for _, name := range names {
			stream = append(stream, byName[name]...)
		}
		return stream
	}
	reducer := bytes.Replace(byName["hello-worker"], []byte("map\xc3\xa9"), []byte("reduce"), 1)
	reducer[0], reducer[28] = reducer[0]+1, 6 // the lengths of the body and of the role
	reducer[32] = 0                           // and of the parameter
	groups := join("groups", "groups-continued", "groups", "end-worker")
	return [][]byte{
		join("hello-worker", "records-lines", "records-lines-inexact", "input", "records-sized", "end-worker"),
		append(reducer, groups...),
	}
}

func TestTheStreamsThatAreSpoiltAreRight(t *testing.T) {
	for _, content := range conversations(t) {
		for step := 1; step <= len(content); step++ {
			if !converses(t, content, step) {
				t.Fatalf("%x is refused in pieces of %d bytes", content, step)
			}
		}
	}
}

func TestAnyConversationEndsWellOrWithAnError(t *testing.T) {
	const rounds = 5_000
	chance, ended := rand.New(rand.NewSource(1)), 0
	streams := conversations(t)
	for round := 0; round < rounds; round++ {
		content := append([]byte{}, streams[round%len(streams)]...)
		for changes := 1 + chance.Intn(3); changes > 0; changes-- {
			content[chance.Intn(len(content))] = []byte{0, 1, 2, 10, 255}[chance.Intn(5)]
		}
		if converses(t, content, 1+chance.Intn(len(content))) {
			ended++
		}
	}
	if ended < rounds/20 || ended > rounds*19/20 {
		t.Errorf("%d of %d ended well: streams are all good or all bad", ended, rounds)
	}
}

// FuzzConversation looks for a stream that breaks a program.
func FuzzConversation(f *testing.F) {
	for _, content := range conversations(f) {
		f.Add(content, 7)
	}
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		converses(t, content, 1+abs(step)%64)
	})
}

func abs(number int) int {
	if number < 0 {
		return -(number + 1)
	}
	return number
}
