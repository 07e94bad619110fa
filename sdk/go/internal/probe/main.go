// Probe prints what it understands of the worker's frames, and sends one frame of each kind. The tests speak with it.
package main

import (
	"errors"
	"fmt"

	"apollo.io/apollo"
)

func main() {
	apollo.Run(apollo.Program{Map: showRecord, Reduce: showGroup, Finish: finish})
}

func showRecord(job *apollo.Job, record []byte) error {
	input, offset := job.Input(), int64(-1)
	if input == "" {
		input = "-"
	}
	if known, ok := job.Offset(); ok {
		offset = known
	}
	fmt.Printf("record %s %d %x\n", input, offset, record)
	return nil
}

func showGroup(job *apollo.Job, key []byte, values *apollo.Values) error {
	fmt.Printf("group %x\n", key)
	if _, skip := job.Params["skip"]; skip {
		return nil
	}
	for values.Next() {
		fmt.Printf("value %x\n", values.Value())
	}
	return nil
}

func finish(job *apollo.Job) error {
	if _, fail := job.Params["fail"]; fail {
		return errors.New("no")
	}
	q, ok := job.Params["q"]
	if !ok {
		q = "-"
	}
	fmt.Println("role", job.Role, "q", q)
	job.Emit(nil, nil)
	job.Emit([]byte("k\n"), []byte("\x00\xff\t"))
	job.Write([]byte("raw\n"))
	job.Counter("words", "é", -2)
	job.Status("half")
	return nil
}
