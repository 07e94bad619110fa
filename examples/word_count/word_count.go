// Counts words, and sums in memory before it emits. One program for map, combine and reduce.
package main

import (
	"strconv"

	"apollo.io/apollo"
)

const wordsLimit = 1 << 18 // then the sums so far are emitted

type wordCount struct {
	counts map[string]*int64
}

func (w *wordCount) mapBlock(job *apollo.Job, block *apollo.Block) error {
	word := 0                       // where it began
	for at, c := range block.Data { // lines: a word ends at the latest with its line
		if c == ' ' || '\t' <= c && c <= '\r' {
			if at > word {
				w.add(job, block.Data[word:at])
			}
			word = at + 1
		}
	}
	return nil
}

func (w *wordCount) add(job *apollo.Job, word []byte) {
	if count := w.counts[string(word)]; count != nil {
		*count++
		return
	}
	if len(w.counts) == wordsLimit {
		w.emitAll(job)
	}
	one := int64(1)
	w.counts[string(word)] = &one
}

func (w *wordCount) emitAll(job *apollo.Job) error {
	var digits []byte
	for word, count := range w.counts {
		digits = strconv.AppendInt(digits[:0], *count, 10)
		job.Emit([]byte(word), digits)
	}
	w.counts = map[string]*int64{}
	return nil
}

func addUp(job *apollo.Job, word []byte, counts *apollo.Values) error {
	sum := int64(0)
	for counts.Next() {
		count, err := strconv.ParseInt(string(counts.Value()), 10, 64)
		if err != nil {
			return err
		}
		sum += count
	}
	job.Emit(word, strconv.AppendInt(nil, sum, 10))
	return nil
}

func main() {
	words := wordCount{map[string]*int64{}}
	apollo.Run(apollo.Program{MapBlock: words.mapBlock, Reduce: addUp, Finish: words.emitAll})
}
