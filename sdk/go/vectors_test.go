package apollo

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"
)

const vectorsFile = "../../docs/artifact-protocol/vectors.txt" // or the one that APOLLO_VECTORS names

type vector struct {
	name, from string
	frame      []byte
	bad, first bool
	meaning    []string // its other lines
}

func readVectors(tb testing.TB) []vector {
	tb.Helper()
	path := vectorsFile
	if other := os.Getenv("APOLLO_VECTORS"); other != "" {
		path = other
	}
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var vectors []vector
	for lines := bufio.NewScanner(file); lines.Scan(); {
		word, text, _ := strings.Cut(lines.Text(), " ")
		if word == "vector" {
			vectors = append(vectors, vector{name: text})
			continue
		}
		if len(vectors) == 0 || word == "" {
			continue
		}
		current := &vectors[len(vectors)-1]
		switch word {
		case "from":
			current.from = text
		case "type", "why":
		case "first":
			current.first = true
		case "error":
			current.bad = true
		case "hex":
			piece, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
			if err != nil {
				tb.Fatal(current.name, err)
			}
			current.frame = append(current.frame, piece...)
		default:
			current.meaning = append(current.meaning, lines.Text())
		}
	}
	return vectors
}

func inHex(word string, content []byte) string {
	if len(content) == 0 {
		return word + " -"
	}
	return word + " " + hex.EncodeToString(content)
}

// render decodes a worker's frame and tells it in the words of the vectors' file.
func render(frame []byte) ([]string, error) {
	kind, size, err := decodeHeader(frame)
	body := frame[headerBytes:]
	if err != nil {
		return nil, err
	}
	if size != len(body) {
		return nil, fmt.Errorf("the header says %d bytes, there are %d", size, len(body))
	}
	var lines []string
	switch kind {
	case frameHello:
		settings, err := decodeHello(body)
		if err != nil {
			return nil, err
		}
		lines = append(lines, "version 1", fmt.Sprint("max_body_bytes ", binary.LittleEndian.Uint32(body[4:])))
		for _, name := range []string{"role", "param.q"} {
			lines = append(lines, "setting "+name+" "+settings[name])
		}
	case frameInput:
		lines = append(lines, "url "+string(body))
	case frameRecords:
		block, err := decodeRecords(body)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprint("offset ", block.Offset), fmt.Sprint("exact_offsets ", block.ExactOffsets))
		for record, ok := block.Next(); ok; record, ok = block.Next() {
			lines = append(lines, inHex("record", record))
		}
	case frameGroups:
		groups, err := decodeGroups(body)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprint("continues ", groups.continues))
		for groups.count > 0 {
			key, values := groups.next()
			for lines = append(lines, inHex("group", key)); values > 0; values-- {
				lines = append(lines, inHex("value", groups.nextValue()))
			}
		}
	case frameEnd:
		if len(body) > 0 {
			return nil, refuse("END", "a body")
		}
	}
	return lines, nil
}

func TestWorkersFramesAreUnderstoodOrRefused(t *testing.T) {
	for _, vector := range readVectors(t) {
		if vector.from != "worker" || vector.name == "bad-worker-first" { // which only its place makes bad
			continue
		}
		lines, err := render(vector.frame)
		var refused *WorkerError
		switch {
		case vector.bad && !errors.As(err, &refused):
			t.Errorf("%s: %v, %v", vector.name, lines, err)
		case !vector.bad && err != nil:
			t.Errorf("%s: %v", vector.name, err)
		case !vector.bad && strings.Join(lines, "\n") != strings.Join(vector.meaning, "\n"):
			t.Errorf("%s: %q is not %q", vector.name, lines, vector.meaning)
		}
	}
}

func TestProgramsFramesHaveTheBytesOfThePage(t *testing.T) {
	send := map[string]func(job *Job){
		"hello-program": func(job *Job) { job.output.frame(frameHello, encodeHello("c/0.1.0")) },
		"pairs": func(job *Job) {
			job.Emit(nil, nil)
			job.Emit([]byte("k\n"), []byte("\x00\xff\t"))
			job.output.flush()
		},
		"pairs-none":  func(job *Job) { job.output.pairs(nil, nil) },
		"output":      func(job *Job) { job.Write([]byte("raw\n")) },
		"counter":     func(job *Job) { job.Counter("words", "é", -2) },
		"status":      func(job *Job) { job.Status("half") },
		"error":       func(job *Job) { job.output.message(frameError, "no") },
		"end-program": func(job *Job) { job.output.frame(frameEnd, encodeEnd(258)) },
	}
	for _, vector := range readVectors(t) {
		if vector.from != "program" || vector.bad {
			continue
		}
		if send[vector.name] == nil {
			t.Errorf("%s: is not sent", vector.name)
		} else if sent := capture(send[vector.name]); !bytes.Equal(sent, vector.frame) {
			t.Errorf("%s: %x is not %x", vector.name, sent, vector.frame)
		}
	}
}

// check that a frame is understood, or refused as the worker's fault.
func check(t *testing.T, frame []byte) (refused bool) {
	_, err := render(frame)
	var workers *WorkerError
	if err != nil && !errors.As(err, &workers) {
		t.Fatalf("%x: %v", frame, err)
	}
	return err != nil
}

func TestAnyBodyIsAFrameOrAnError(t *testing.T) {
	const rounds = 100_000
	chance, refused := rand.New(rand.NewSource(1)), 0
	kinds := []frameType{frameHello, frameInput, frameRecords, frameGroups, frameEnd}
	for round := 0; round < rounds; round++ {
		var body []byte // mostly of small numbers, so that many of them add up
		for words := chance.Intn(12); words > 0; words-- {
			number := uint32(chance.Intn(4))
			if chance.Intn(4) == 0 {
				number = chance.Uint32()
			}
			body = binary.LittleEndian.AppendUint32(body, number)
		}
		body = body[:len(body)-chance.Intn(1+len(body)%5)]
		if check(t, append(encodeHeader(kinds[chance.Intn(len(kinds))], [][]byte{body}), body...)) {
			refused++
		}
	}
	if refused < rounds/10 || refused > rounds*9/10 {
		t.Errorf("%d of %d were refused: frames are all good or all bad", refused, rounds)
	}
}

// FuzzFrames looks for a body that breaks the decoder of its frame.
func FuzzFrames(f *testing.F) {
	for _, vector := range readVectors(f) {
		f.Add(vector.frame[4], vector.frame[headerBytes:])
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		check(t, append(encodeHeader(frameType(kind), [][]byte{body}), body...))
	})
}
