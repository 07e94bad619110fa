package apollo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

const (
	batchBytes        = 1 << 20
	batchPairs        = 1 << 16
	nameLimitBytes    = 255
	messageLimitBytes = 4096
)

// Job is the attempt that runs: what it is for, and where its output goes. Use it from one goroutine. An error in the
// connection to the worker ends Run after the function that met it has returned, so its methods return none.
type Job struct {
	// Role is "map", "combine" or "reduce".
	Role string
	// ID and TaskID are as in the API.
	ID, TaskID string
	// Attempt is this attempt's number within its task, from 0.
	Attempt int
	// Partition is the index of the task within its phase.
	Partition int
	// Params has the parameters of the job, `--param NAME=VALUE`.
	Params map[string]string

	input       string
	offset      int64
	offsetKnown bool
	output      output
}

// Input is the URL of the current record's object; for mappers.
func (j *Job) Input() string { return j.input }

// Offset is the byte offset of the current record, or of the current block's first one, in the (decompressed) object; for
// mappers. It is not known where the input has \r\n line ends and the record is not the first of its block.
func (j *Job) Offset() (offset int64, known bool) { return j.offset, j.offsetKnown }

// Emit an output pair. The bytes are copied.
func (j *Job) Emit(key, value []byte) { j.output.emit(key, value) }

// Write bytes that go to the output part as they are; for reducers, and mappers of a map-only job. They are copied.
func (j *Job) Write(content []byte) (int, error) {
	j.output.flush()
	for rest := content; len(rest) > 0; {
		size := len(rest)
		if size > batchBytes {
			size = batchBytes
		}
		j.output.frame(frameOutput, rest[:size])
		rest = rest[size:]
	}
	return len(content), j.output.err
}

// Counter adds to a counter of the job; names have 1 to 255 bytes of UTF-8. Cheap enough for thousands a second, not for
// every record.
func (j *Job) Counter(group, name string, increment int64) {
	if !isName(group) || !isName(name) {
		j.output.keep(errors.New("a counter's group and name have 1 to 255 bytes each"))
		return
	}
	j.output.frame(frameCounter, encodeCounter(group, name, increment))
}

// Status says what the program is doing, in a line of at most 4,096 bytes.
func (j *Job) Status(message string) { j.output.message(frameStatus, message) }

// begin reads what the worker says of the attempt.
func (j *Job) begin(input *input) error {
	settings, err := input.hello()
	if err != nil {
		return err
	}
	j.Role, j.ID, j.TaskID = settings["role"], settings["job_id"], settings["task_id"]
	for name, target := range map[string]*int{"attempt": &j.Attempt, "partition": &j.Partition} {
		if text, ok := settings[name]; ok {
			number, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return fmt.Errorf("the worker's %s is no number: %q", name, text)
			}
			*target = int(number)
		}
	}
	j.Params = map[string]string{}
	for name, value := range settings {
		if strings.HasPrefix(name, "param.") {
			j.Params[strings.TrimPrefix(name, "param.")] = value
		}
	}
	return nil
}

func isName(name string) bool { return 0 < len(name) && len(name) <= nameLimitBytes }

// output collects pairs into batches and writes frames. Its first error stays, and nothing is written after it.
type output struct {
	connection net.Conn
	err        error

	keyLengths, valueLengths []byte // u32 each
	keys, values             []byte
}

func (o *output) emit(key, value []byte) {
	size := len(key) + len(value)
	if len(o.keys)+len(o.values)+size > batchBytes || len(o.keyLengths) == 4*batchPairs {
		o.flush()
	}
	if uint64(size) > bodyLimitBytes {
		o.keep(fmt.Errorf("a key and value of %d bytes; a frame holds %d", size, bodyLimitBytes))
		return
	}
	o.keyLengths = binary.LittleEndian.AppendUint32(o.keyLengths, uint32(len(key)))
	o.valueLengths = binary.LittleEndian.AppendUint32(o.valueLengths, uint32(len(value)))
	if size > batchBytes {
		o.pairs(key, value)
		return
	}
	o.keys = append(o.keys, key...)
	o.values = append(o.values, value...)
}

func (o *output) flush() {
	if len(o.keyLengths) > 0 {
		o.pairs(o.keys, o.values)
		o.keys, o.values = o.keys[:0], o.values[:0]
	}
}

// pairs writes the pairs that the lengths cut.
func (o *output) pairs(keys, values []byte) {
	count := binary.LittleEndian.AppendUint32(nil, uint32(len(o.keyLengths)/4))
	o.frame(framePairs, count, o.keyLengths, o.valueLengths, keys, values)
	o.keyLengths, o.valueLengths = o.keyLengths[:0], o.valueLengths[:0]
}

func (o *output) message(kind frameType, text string) {
	if len(text) > messageLimitBytes {
		text = text[:messageLimitBytes]
	}
	o.frame(kind, []byte(text))
}

func (o *output) frame(kind frameType, body ...[]byte) {
	if o.err != nil {
		return
	}
	buffers := append(net.Buffers{encodeHeader(kind, body)}, body...)
	if _, err := buffers.WriteTo(o.connection); err != nil {
		o.keep(fmt.Errorf("writing to the worker: %w", err))
	}
}

func (o *output) keep(err error) {
	if o.err == nil {
		o.err = err
	}
}
