package apollo

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The frame codec of the artifact protocol (docs/artifact-protocol.md). Pure: bytes in, values out. A decoder takes any
// bytes, and returns a WorkerError for those that are no frame.

const (
	protocolVersion = 1
	headerBytes     = 8
	bodyLimitBytes  = 512 << 20
	offsetLimit     = 1 << 62 // with what a frame holds, it still fits an int64
)

type frameType uint32

const (
	frameHello frameType = iota + 1
	frameInput
	frameRecords
	frameGroups
	framePairs
	frameOutput
	frameCounter
	frameStatus
	frameEnd
	frameError
)

const (
	framingLines       = 0
	framingSized       = 1
	flagInexactOffsets = 1
	flagContinues      = 1
	helloStartBytes    = 12
	recordsStartBytes  = 16
	groupsStartBytes   = 12
	bytesPerLength     = 4
	bytesPerTwoLengths = 2 * bytesPerLength
)

const (
	shortBody          = "a body that is too short"
	lengthsOutOfRoom   = "more lengths than it has room for"
	lengthsDoNotAddUp  = "lengths that do not add up to its size"
	offsetTooLarge     = "an offset that no object has"
	tooManyOrFewLines  = "another number of lines than it counts"
	tooManyOrFewValues = "another number of values than its groups have"
)

// WorkerError says what a worker sent that version 1 of the protocol does not allow.
type WorkerError struct{ what string }

func (e *WorkerError) Error() string { return e.what }

func workerError(format string, arguments ...any) error {
	return &WorkerError{fmt.Sprintf(format, arguments...)}
}

// lengths is a column of u32, as it was received.
type lengths []byte

func (l lengths) at(index int) int { return int(binary.LittleEndian.Uint32(l[bytesPerLength*index:])) }

func (l lengths) sum() uint64 {
	sum := uint64(0)
	for ; len(l) > 0; l = l[bytesPerLength:] {
		sum += uint64(binary.LittleEndian.Uint32(l))
	}
	return sum
}

// column cuts off the first count lengths of body. The caller has seen that there are so many.
func column(body []byte, count uint64) (lengths, []byte) {
	return lengths(body[:bytesPerLength*count]), body[bytesPerLength*count:]
}

// Block is some records of one input object, in order.
type Block struct {
	// Data has the records: lines, each with one \n after it, or else records back to back, which Next cuts.
	Data []byte
	// Count is how many they are.
	Count int
	// Offset is the byte offset of the first one in the (decompressed) object.
	Offset int64
	// ExactOffsets tells whether those of the others can be counted from it: not where \r\n was replaced.
	ExactOffsets bool
	// Input is the object's URL.
	Input string

	lengths lengths // nil for lines
}

// Next takes the first record off the block; false when there is none left.
func (b *Block) Next() (record []byte, ok bool) {
	if b.Count == 0 {
		return nil, false
	}
	var size int
	if b.lengths != nil {
		size = b.lengths.at(0)
		b.lengths = b.lengths[bytesPerLength:]
		record, b.Data = b.Data[:size], b.Data[size:]
	} else {
		size = bytes.IndexByte(b.Data, '\n') + 1
		record, b.Data = b.Data[:size-1], b.Data[size:]
	}
	b.Count--
	b.Offset += int64(size)
	return record, true
}

// groups is what is left of a GROUPS frame.
type groups struct {
	continues                        bool // its first group is the last one of the frame before
	count                            int
	keyLengths, counts, valueLengths lengths
	keys, values                     []byte
}

func decodeHeader(header []byte) (frameType, int, error) {
	size, kind := binary.LittleEndian.Uint32(header), frameType(binary.LittleEndian.Uint32(header[4:]))
	switch kind {
	case frameHello, frameInput, frameRecords, frameGroups, frameEnd:
	default:
		return 0, 0, workerError("the worker sent a frame of type %d, which is none of a worker's", kind)
	}
	if size > bodyLimitBytes {
		return 0, 0, workerError("the worker sent a frame of %d bytes; the protocol allows %d", size, bodyLimitBytes)
	}
	return kind, int(size), nil
}

func refuse(frame, what string) error {
	return workerError("the worker sent a %s frame with %s", frame, what)
}

func decodeHello(body []byte) (map[string]string, error) {
	if len(body) < helloStartBytes {
		return nil, refuse("HELLO", shortBody)
	}
	if version := binary.LittleEndian.Uint32(body); version != protocolVersion {
		return nil, workerError("this program speaks version 1 of the artifact protocol, the worker %d", version)
	}
	count, rest := uint64(binary.LittleEndian.Uint32(body[8:])), body[helloStartBytes:]
	if bytesPerTwoLengths*count > uint64(len(rest)) {
		return nil, refuse("HELLO", lengthsOutOfRoom)
	}
	keyLengths, rest := column(rest, count)
	valueLengths, rest := column(rest, count)
	if keyLengths.sum()+valueLengths.sum() != uint64(len(rest)) {
		return nil, refuse("HELLO", lengthsDoNotAddUp)
	}
	settings := make(map[string]string, count)
	keys, values := rest[:keyLengths.sum()], rest[keyLengths.sum():]
	for i := 0; i < int(count); i++ {
		key, value := keyLengths.at(i), valueLengths.at(i)
		settings[string(keys[:key])] = string(values[:value])
		keys, values = keys[key:], values[value:]
	}
	return settings, nil
}

func decodeRecords(body []byte) (*Block, error) {
	if len(body) < recordsStartBytes {
		return nil, refuse("RECORDS", shortBody)
	}
	framing, flags := binary.LittleEndian.Uint16(body), binary.LittleEndian.Uint16(body[2:])
	count := uint64(binary.LittleEndian.Uint32(body[4:]))
	block := &Block{
		Data:         body[recordsStartBytes:],
		Count:        int(count),
		Offset:       int64(binary.LittleEndian.Uint64(body[8:])),
		ExactOffsets: flags&flagInexactOffsets == 0,
	}
	if block.Offset < 0 || block.Offset >= offsetLimit {
		return nil, refuse("RECORDS", offsetTooLarge)
	}
	switch framing {
	case framingLines:
		unfinished := len(block.Data) > 0 && block.Data[len(block.Data)-1] != '\n'
		if unfinished || bytes.Count(block.Data, []byte{'\n'}) != block.Count {
			return nil, refuse("RECORDS", tooManyOrFewLines)
		}
	case framingSized:
		if bytesPerLength*count > uint64(len(block.Data)) {
			return nil, refuse("RECORDS", lengthsOutOfRoom)
		}
		block.lengths, block.Data = column(block.Data, count)
		if block.lengths.sum() != uint64(len(block.Data)) {
			return nil, refuse("RECORDS", lengthsDoNotAddUp)
		}
	default:
		return nil, refuse("RECORDS", fmt.Sprintf("the framing %d", framing))
	}
	return block, nil
}

func decodeGroups(body []byte) (*groups, error) {
	if len(body) < groupsStartBytes {
		return nil, refuse("GROUPS", shortBody)
	}
	count, flags := uint64(binary.LittleEndian.Uint32(body)), binary.LittleEndian.Uint32(body[4:])
	values, rest := uint64(binary.LittleEndian.Uint32(body[8:])), body[groupsStartBytes:]
	if count == 0 {
		return nil, refuse("GROUPS", "no groups")
	}
	if bytesPerTwoLengths*count+bytesPerLength*values > uint64(len(rest)) {
		return nil, refuse("GROUPS", lengthsOutOfRoom)
	}
	frame := &groups{continues: flags&flagContinues != 0, count: int(count)}
	frame.keyLengths, rest = column(rest, count)
	frame.counts, rest = column(rest, count)
	frame.valueLengths, rest = column(rest, values)
	if frame.counts.sum() != values {
		return nil, refuse("GROUPS", tooManyOrFewValues)
	}
	keys := frame.keyLengths.sum()
	if keys+frame.valueLengths.sum() != uint64(len(rest)) {
		return nil, refuse("GROUPS", lengthsDoNotAddUp)
	}
	frame.keys, frame.values = rest[:keys], rest[keys:]
	return frame, nil
}

// next takes the first group off the frame: its key, and how many values it has here.
func (g *groups) next() (key []byte, values int) {
	size := g.keyLengths.at(0)
	key, g.keys = g.keys[:size], g.keys[size:]
	values = g.counts.at(0)
	g.keyLengths, g.counts = g.keyLengths[bytesPerLength:], g.counts[bytesPerLength:]
	g.count--
	return key, values
}

func (g *groups) nextValue() []byte {
	size := g.valueLengths.at(0)
	value := g.values[:size]
	g.values, g.valueLengths = g.values[size:], g.valueLengths[bytesPerLength:]
	return value
}

func encodeHeader(kind frameType, body [][]byte) []byte {
	size := 0
	for _, piece := range body {
		size += len(piece)
	}
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(size)), uint32(kind))
}

// encodeHello is a program's: its version, no limit of its own, and which SDK it is.
func encodeHello(sdk string) []byte {
	var body []byte
	for _, number := range []int{protocolVersion, 0, 1, len("sdk"), len(sdk)} {
		body = binary.LittleEndian.AppendUint32(body, uint32(number))
	}
	return append(body, "sdk"+sdk...)
}

func encodeCounter(group, name string, increment int64) []byte {
	body := binary.LittleEndian.AppendUint64(nil, uint64(increment))
	body = binary.LittleEndian.AppendUint32(body, uint32(len(group)))
	return append(body, group+name...)
}

func encodeEnd(taken uint64) []byte { return binary.LittleEndian.AppendUint64(nil, taken) }
