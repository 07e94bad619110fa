package apollo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// capture returns what is sent.
func capture(send func(job *Job)) []byte {
	ours, theirs := net.Pipe()
	sent := make(chan []byte)
	go func() {
		content, _ := io.ReadAll(theirs)
		sent <- content
	}()
	send(&Job{output: output{connection: ours}})
	ours.Close()
	return <-sent
}

// sizes are those of the frames' bodies, by their order.
func sizes(frames []byte) (sizes []int) {
	for len(frames) > 0 {
		size := int(binary.LittleEndian.Uint32(frames))
		sizes = append(sizes, size)
		frames = frames[headerBytes+size:]
	}
	return sizes
}

func TestPairsAreSentInBoundedBatchesAndLargeOnesAlone(t *testing.T) {
	sent := capture(func(job *Job) {
		job.Emit([]byte("k"), make([]byte, batchBytes/2))
		job.Emit([]byte("large"), make([]byte, batchBytes))
		for i := 0; i <= batchPairs; i++ {
			job.Emit(nil, nil)
		}
		job.output.flush()
	})
	want := []int{4 + 8 + 1 + batchBytes/2, 4 + 8 + 5 + batchBytes, 4 + 8*batchPairs, 4 + 8}
	got := sizes(sent)
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("%v is not %v", got, want)
		}
	}
}

func TestWhatIsEmittedMayBeChangedAfterwards(t *testing.T) {
	sent := capture(func(job *Job) {
		content := []byte("before")
		job.Emit(content, content)
		copy(content, "after!")
		job.output.flush()
	})
	if !bytes.HasSuffix(sent, []byte("beforebefore")) {
		t.Errorf("%q", sent)
	}
}

func TestLargeOutputIsCut(t *testing.T) {
	got := sizes(capture(func(job *Job) { job.Write(make([]byte, batchBytes+1)) }))
	if len(got) != 2 || got[0] != batchBytes || got[1] != 1 {
		t.Errorf("%v", got)
	}
}

func TestACounterWithoutANameEndsTheProgram(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", 256)} {
		job := &Job{}
		job.Counter("group", name, 1)
		if job.output.err == nil {
			t.Errorf("a name of %d bytes is taken", len(name))
		}
	}
}

// worker plays one: the program's frames after its HELLO, and what perform returned.
func worker(t *testing.T, program Program, frames ...string) (string, error) {
	t.Helper()
	byName := map[string][]byte{}
	for _, vector := range readVectors(t) {
		byName[vector.name] = vector.frame
	}
	ours, theirs := net.Pipe()
	go func() {
		for _, name := range frames {
			theirs.Write(byName[name])
		}
	}()
	sent := make(chan string)
	go func() {
		content, _ := io.ReadAll(theirs)
		sent <- string(content)
	}()
	err := perform(program, ours)
	ours.Close()
	content := <-sent
	return content[headerBytes+binary.LittleEndian.Uint32([]byte(content)):], err
}

func TestAnErrorOfTheProgramIsToldToTheWorker(t *testing.T) {
	fails := func(*Job, []byte) error { return errors.New("no") }
	sent, err := worker(t, Program{Map: fails}, "hello-worker", "records-lines")
	if err == nil || err.Error() != "no" || sent != "\x02\x00\x00\x00\x0a\x00\x00\x00no" {
		t.Errorf("%v, %q", err, sent)
	}
}

func TestAMissingFunctionIsNamed(t *testing.T) {
	_, err := worker(t, Program{}, "hello-worker")
	if err == nil || !strings.Contains(err.Error(), `role "map"`) {
		t.Error(err)
	}
}

func TestBlocksAreGivenWhole(t *testing.T) {
	var seen []string
	keep := func(job *Job, block *Block) error {
		seen = append(seen, block.Input, string(block.Data))
		return nil
	}
	finish := func(job *Job) error {
		job.Emit([]byte("q"), []byte(job.Params["q"]))
		return nil
	}
	sent, err := worker(t, Program{MapBlock: keep, Finish: finish}, "hello-worker", "input", "records-lines", "end-worker")
	if err != nil || strings.Join(seen, "|") != "s3://b/k|ab\n\n\xff\n" {
		t.Errorf("%v, %q", err, seen)
	}
	end := "\x08\x00\x00\x00\x09\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
	if !strings.HasSuffix(sent, "q\xc3\xa9"+end) {
		t.Errorf("%q", sent)
	}
}

func TestWithoutAWorkerItSaysWhatTheProgramIsFor(t *testing.T) {
	if err := connectAndRun(Program{}, ""); err == nil || !strings.Contains(err.Error(), "apollo run --mapper") {
		t.Error(err)
	}
	if err := connectAndRun(Program{}, "/nowhere/s"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
