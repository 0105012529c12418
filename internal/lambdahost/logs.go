package lambdahost

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
)

// lines writes whole lines from several sources to one.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.to, format+"\n", args...) // a log that takes no lines must not end the function
}

// platformLine begins a line of the platform among those of a function, which may just have written half of one.
const platformLine = "\x00"

// follow copies the lines of a process and of the platform until the last.
func (l *lines) follow(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if err != nil && line == "" {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		before, ours, found := strings.Cut(line, platformLine)
		if before != "" || !found {
			l.printf("%s", before)
		}
		if found {
			l.printf("%s", ours)
		}
	}
}
