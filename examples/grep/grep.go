// Finds the lines that match the parameter `pattern`: file name and byte offset, then the line. Run it map-only.
package main

import (
	"errors"
	"fmt"
	"path"
	"regexp"

	"apollo.io/apollo"
)

type grep struct {
	pattern *regexp.Regexp // nil before the first line
}

func (g *grep) find(job *apollo.Job, line []byte) error {
	if g.pattern == nil {
		if err := g.compile(job.Params); err != nil {
			return err
		}
	}
	if g.pattern.Match(line) {
		name := path.Base(job.Input())
		offset, _ := job.Offset()
		job.Emit([]byte(fmt.Sprintf("%s:%d", name, offset)), line)
		job.Counter("grep", "matching lines", 1)
		job.Counter("matches by file", name, 1)
	}
	return nil
}

func (g *grep) compile(params map[string]string) (err error) {
	pattern, ok := params["pattern"]
	if !ok {
		return errors.New("give me --param pattern=REGEX")
	}
	g.pattern, err = regexp.Compile(pattern)
	return err
}

func main() {
	apollo.Run(apollo.Program{Map: (&grep{}).find})
}
