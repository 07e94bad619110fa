package apollo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const growthBytes = 2 << 20 // more than most frames have

// input reads the worker's frames. What it returns lies in its buffer and is valid until the next call.
type input struct {
	connection io.Reader
	header     [headerBytes]byte
	body       []byte
	url        string
}

func (i *input) frame() (frameType, []byte, error) {
	if err := i.read(i.header[:]); err != nil {
		return 0, nil, err
	}
	kind, size, err := decodeHeader(i.header[:])
	if err != nil {
		return 0, nil, err
	}
	body, err := i.readBody(size)
	if err != nil {
		return 0, nil, err
	}
	if kind == frameEnd && size > 0 {
		return 0, nil, refuse("END", "a body")
	}
	return kind, body, nil
}

// readBody takes memory as the bytes come, whatever the header says.
func (i *input) readBody(size int) ([]byte, error) {
	for done := 0; done < size; {
		if done == cap(i.body) {
			larger := make([]byte, min(size, done+max(done, growthBytes)))
			copy(larger, i.body[:done])
			i.body = larger
		}
		stop := min(size, cap(i.body))
		if err := i.read(i.body[done:stop]); err != nil {
			return nil, err
		}
		done = stop
	}
	return i.body[:size], nil
}

func min(a, b int) int { // the language has one since 1.21
	if a < b {
		return a
	}
	return b
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

func (i *input) read(target []byte) error {
	_, err := io.ReadFull(i.connection, target)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return workerError("the worker closed the connection")
	}
	if err != nil {
		return fmt.Errorf("reading from the worker: %w", err)
	}
	return nil
}

func (i *input) hello() (map[string]string, error) {
	kind, body, err := i.frame()
	if err != nil {
		return nil, err
	}
	if kind != frameHello {
		return nil, workerError("the worker began with a frame of type %d, not with HELLO", kind)
	}
	return decodeHello(body)
}

// nextBlock returns nil after the last one.
func (i *input) nextBlock() (*Block, error) {
	for {
		kind, body, err := i.frame()
		if err != nil {
			return nil, err
		}
		switch kind {
		case frameEnd:
			return nil, nil
		case frameInput:
			i.url = string(body)
		case frameRecords:
			block, err := decodeRecords(body)
			if err != nil {
				return nil, err
			}
			block.Input = i.url
			return block, nil
		default:
			return nil, workerError("the worker sent a frame of type %d to a mapper", kind)
		}
	}
}

// nextGroups returns nil after the last frame.
func (i *input) nextGroups() (*groups, error) {
	kind, body, err := i.frame()
	if err != nil || kind == frameEnd {
		return nil, err
	}
	if kind != frameGroups {
		return nil, workerError("the worker sent a frame of type %d to a reducer", kind)
	}
	return decodeGroups(body)
}

// Values are those of one key, which may be more than fit into memory:
//
//	for values.Next() {
//		use(values.Value())
//	}
type Values struct {
	input  *input
	frame  *groups // with the current group's values first; nil before the first frame and after the last
	left   int     // of the current group, in this frame
	key    []byte  // outlives its frame
	value  []byte
	groups uint64 // begun so far
	inside bool   // of a group whose end was not seen yet
	atEnd  bool
	err    error
}

// Next goes to the next value; false after the last one.
func (v *Values) Next() bool {
	for v.inside && v.left == 0 {
		v.inside = v.goOn()
	}
	if !v.inside {
		return false
	}
	v.left--
	v.value = v.frame.nextValue()
	return true
}

// Value is the current one, valid until Next is called.
func (v *Values) Value() []byte { return v.value }

// goOn looks for more of the current group in the next frame.
func (v *Values) goOn() bool {
	if v.frame.count > 0 || !v.load() || !v.frame.continues {
		return false
	}
	var key []byte
	if key, v.left = v.frame.next(); !bytes.Equal(key, v.key) {
		v.err = workerError("the worker goes on with a group under another key")
		return false
	}
	return true
}

// nextGroup skips what is left of the current group, and begins the next; false at the end of the input or with an error.
func (v *Values) nextGroup() (bool, error) {
	for v.Next() {
		continue
	}
	if v.err == nil && (v.frame == nil || v.frame.count == 0) && !v.atEnd && v.load() && v.frame.continues {
		v.err = workerError("the worker goes on with a group that it has not begun")
	}
	if v.err != nil || v.atEnd {
		return false, v.err
	}
	key, left := v.frame.next()
	v.key, v.left, v.inside = append(v.key[:0], key...), left, true
	v.groups++
	return true, nil
}

func (v *Values) load() bool {
	if v.err == nil {
		v.frame, v.err = v.input.nextGroups()
	}
	v.atEnd = v.frame == nil
	return !v.atEnd
}
