package lambdahost

import (
	"bufio"
	"fmt"
	"io"
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

// follow copies the lines of a process until it has ended.
func (l *lines) follow(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' {
			line = line[:n-1]
		}
		if line != "" || err == nil {
			l.printf("%s", line)
		}
		if err != nil {
			return
		}
	}
}
