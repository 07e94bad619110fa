// Package apollo runs Apollo mappers, combiners and reducers in Go: the frames protocol, version 1
// (docs/artifact-protocol.md). It imports the standard library only.
//
// A whole program:
//
//	func split(job *apollo.Job, line []byte) error {
//		for _, word := range bytes.Fields(line) {
//			job.Emit(word, []byte("1"))
//		}
//		return nil
//	}
//
//	func addUp(job *apollo.Job, word []byte, counts *apollo.Values) error {
//		sum := 0
//		for counts.Next() {
//			count, err := strconv.Atoi(string(counts.Value()))
//			if err != nil {
//				return err
//			}
//			sum += count
//		}
//		job.Emit(word, strconv.AppendInt(nil, int64(sum), 10))
//		return nil
//	}
//
//	func main() { apollo.Run(apollo.Program{Map: split, Reduce: addUp}) }
//
// The same program serves as mapper, combiner and reducer: Run calls the function that the attempt is for.
package apollo

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// Version is that of this package.
const Version = "0.1.0"

// By the marker in this message a worker knows that the program speaks frames: the linker keeps what is used.
const usage = "this is an Apollo program (apollo-artifact:frames/1): give it to `apollo run --mapper` or `--reducer`"

const sendBufferBytes = 1 << 20 // asked for; the kernel may give less

// Program has a function for each role that it serves. The bytes that a function is given are valid until it returns; an
// error that it returns fails the attempt, and is what the job's failure says.
type Program struct {
	// Map gets each record, without its line end.
	Map func(job *Job, record []byte) error
	// MapBlock gets whole blocks of records instead, for speed.
	MapBlock func(job *Job, block *Block) error
	// Reduce gets each key, in order, with its values. Values left unread are skipped.
	Reduce func(job *Job, key []byte, values *Values) error
	// Combine is like Reduce; where it is nil, Reduce serves as both.
	Combine func(job *Job, key []byte, values *Values) error
	// Finish, if any, is called after the last record or group.
	Finish func(job *Job) error
}

// Run does what the worker that started this process asks for; the last line of main. When that fails it ends the process
// with status 1 and a message on standard error.
func Run(program Program) {
	if err := connectAndRun(program, os.Getenv("APOLLO_SOCKET")); err != nil {
		fmt.Fprintln(os.Stderr, "apollo:", err)
		os.Exit(1)
	}
}

func connectAndRun(program Program, socket string) error {
	if socket == "" {
		return errors.New(usage)
	}
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetWriteBuffer(sendBufferBytes); err != nil {
		return err
	}
	return perform(program, connection)
}

// perform runs the program over a connection; what ends it early is told to the worker, too.
func perform(program Program, connection net.Conn) error {
	job := &Job{output: output{connection: connection}}
	input := &input{connection: connection}
	err := converse(program, job, input)
	if err != nil && job.output.err == nil {
		job.output.message(frameError, err.Error())
	}
	return err
}

func converse(program Program, job *Job, input *input) error {
	job.output.frame(frameHello, encodeHello("go/"+Version))
	if err := job.begin(input); err != nil {
		return err
	}
	taken, err := program.serve(job, input)
	if err != nil {
		return err
	}
	if program.Finish != nil {
		if err := program.Finish(job); err != nil {
			return err
		}
	}
	job.output.flush()
	job.output.frame(frameEnd, encodeEnd(taken))
	return job.output.err
}

// serve calls the function for the job's role; how many records or groups it took.
func (p *Program) serve(job *Job, input *input) (uint64, error) {
	reduce := p.Reduce
	if job.Role == "combine" && p.Combine != nil {
		reduce = p.Combine
	}
	switch {
	case job.Role == "map" && p.MapBlock != nil:
		return mapBlocks(job, input, p.MapBlock)
	case job.Role == "map" && p.Map != nil:
		return mapBlocks(job, input, func(job *Job, block *Block) error { return mapRecords(job, block, p.Map) })
	case (job.Role == "reduce" || job.Role == "combine") && reduce != nil:
		return reduceGroups(job, input, reduce)
	}
	return 0, fmt.Errorf("this program has no function for the role %q: set it in apollo.Program", job.Role)
}

func mapBlocks(job *Job, input *input, function func(*Job, *Block) error) (uint64, error) {
	taken := uint64(0)
	for {
		block, err := input.nextBlock()
		if block == nil || err != nil {
			return taken, err
		}
		taken += uint64(block.Count)
		job.input, job.offset, job.offsetKnown = block.Input, block.Offset, true
		if err := first(function(job, block), job.output.err); err != nil {
			return taken, err
		}
	}
}

func mapRecords(job *Job, block *Block, function func(*Job, []byte) error) error {
	for record, ok := block.Next(); ok; record, ok = block.Next() {
		if err := first(function(job, record), job.output.err); err != nil {
			return err
		}
		job.offset, job.offsetKnown = block.Offset, block.ExactOffsets
	}
	return nil
}

func reduceGroups(job *Job, input *input, function func(*Job, []byte, *Values) error) (uint64, error) {
	values := &Values{input: input}
	for {
		ok, err := values.nextGroup()
		if !ok {
			return values.groups, err
		}
		if err := first(function(job, values.key, values), values.err, job.output.err); err != nil {
			return values.groups, err
		}
	}
}

func first(candidates ...error) error {
	for _, err := range candidates {
		if err != nil {
			return err
		}
	}
	return nil
}
