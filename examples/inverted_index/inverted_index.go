// Tells for every word (letters, in lower case) the names of the files that it is in.
package main

import (
	"bytes"
	"path"
	"sort"
	"strings"

	"apollo.io/apollo"
)

func placeWords(job *apollo.Job, line []byte) error {
	name := []byte(path.Base(job.Input()))
	isOther := func(r rune) bool { return r < 'a' || r > 'z' }
	for _, word := range bytes.FieldsFunc(lower(line), isOther) {
		job.Emit(word, name)
	}
	return nil
}

// lower changes ASCII letters, and nothing else.
func lower(line []byte) []byte {
	lowered := append([]byte(nil), line...)
	for i, c := range lowered {
		if 'A' <= c && c <= 'Z' {
			lowered[i] = c + 'a' - 'A'
		}
	}
	return lowered
}

func unique(values *apollo.Values) []string {
	seen := map[string]bool{}
	for values.Next() {
		seen[string(values.Value())] = true
	}
	names := make([]string, 0, len(seen))
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func combine(job *apollo.Job, word []byte, values *apollo.Values) error {
	for _, name := range unique(values) {
		job.Emit(word, []byte(name))
	}
	return nil
}

func listNames(job *apollo.Job, word []byte, values *apollo.Values) error {
	job.Emit(word, []byte(strings.Join(unique(values), ",")))
	return nil
}

func main() {
	apollo.Run(apollo.Program{Map: placeWords, Combine: combine, Reduce: listNames})
}
