package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Config says what is run and how. Zero values work but for Bootstrap.
type Config struct {
	Bootstrap string            // the binary; its folder is the task root
	Env       map[string]string // the function's own variables, which also win over the platform's
	Name      string            // of the function; zero: that of the task root's folder
	Timeout   time.Duration     // of one invocation; zero: 15 min, Lambda's most
	Init      time.Duration     // until the first `next`; zero: 10 s
	MemoryMB  int               // told to the function; zero: 512
	Limited   bool              // a process has no more than MemoryMB, and the share of a processor that Lambda gives with it; see [Host.Unlimited]
	Processes int               // the most at once, beyond which is 429; zero: 10
	Region    string            // zero: us-east-1
	Retry     time.Duration     // between the three tries of an event that is invoked asynchronously; zero: 1 s
	Log       io.Writer         // takes the function's lines and those of the platform (START, END, REPORT); nil: none
}

// Errors of an invocation that its function did not cause.
var (
	// ErrThrottled: all processes are busy and there may be no more.
	ErrThrottled = errors.New("too many invocations at once")
	// ErrClosed: the host was closed.
	ErrClosed = errors.New("the host is closed")
	// ErrPayloadTooLarge: the event has more than 6 MB as JSON.
	ErrPayloadTooLarge = errors.New("the event is too large")
)

// FunctionError is a failed invocation: the function said so, ended, or ran out of time.
type FunctionError struct {
	Type string // as Lambda names it, or the function
	Body []byte // JSON of the function's own; empty if it gave none
}

// Error implements error.
func (e *FunctionError) Error() string {
	if len(e.Body) > 0 {
		return fmt.Sprintf("function error %s: %s", e.Type, e.Body)
	}
	return "function error " + e.Type
}

// maxPayload is the most that an event may have in bytes, and a buffered answer.
const maxPayload = 6 << 20

// Host runs one function. Its methods are safe for concurrent use.
type Host struct {
	cfg Config
	log *lines

	groups    *controlGroups // nil: processes have what the machine has
	unlimited error          // why they have, where they were to have less

	mu      sync.Mutex
	running map[*environment]bool
	idle    []*environment // the one used last stands last
	started int            // processes so far
	closed  bool
	work    sync.WaitGroup // processes and asynchronous invocations
	closing chan struct{}
}

// New returns the host of a function. It starts no process: the first invocation does.
func New(cfg Config) (*Host, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(cfg.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("lambda host: %w", err)
	}
	if info, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("lambda host: %w", err)
	} else if info.IsDir() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("lambda host: %s is not a program", path)
	}
	cfg.Bootstrap = path
	cfg.Name = orElse(cfg.Name, filepath.Base(filepath.Dir(path)))
	cfg.Timeout = orElse(cfg.Timeout, 15*time.Minute)
	cfg.Init = orElse(cfg.Init, 10*time.Second)
	cfg.MemoryMB = orElse(cfg.MemoryMB, 512)
	cfg.Processes = orElse(cfg.Processes, 10)
	cfg.Region = orElse(cfg.Region, "us-east-1")
	cfg.Retry = orElse(cfg.Retry, time.Second)
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	h := &Host{cfg: cfg, log: &lines{to: cfg.Log}, running: map[*environment]bool{}, closing: make(chan struct{})}
	if cfg.Limited {
		h.limit()
	}
	return h, nil
}

// limit finds out whether limits can be had: a group is made and taken away again.
func (h *Host) limit() {
	groups, err := findControlGroups(hierarchies)
	if err == nil {
		var probe *controlGroup
		if probe, err = groups.make(h.groupName(0), h.cfg.MemoryMB); err == nil {
			probe.remove()
		}
	}
	if err != nil {
		h.unlimited = fmt.Errorf("limits of memory and processor are off, they take root and control groups: %w", err)
		h.log.printf("%v", h.unlimited)
		return
	}
	h.groups = groups
}

// groupName names the control group of a process by its number.
func (h *Host) groupName(number int) string {
	return fmt.Sprintf("llm-proxy-%d-%s-%p-%d", os.Getpid(), h.cfg.Name, h, number)
}

// Unlimited says why processes have what the machine has though Limited was asked for. Nil: they have not, or it was not.
func (h *Host) Unlimited() error { return h.unlimited }

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// arn is the function's name as events and headers have it.
func (h *Host) arn() string {
	return "arn:aws:lambda:" + h.cfg.Region + ":012345678912:function:" + h.cfg.Name
}

// Close ends all processes, and invocations that are under way with them.
func (h *Host) Close() error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		close(h.closing)
	}
	var all []*environment
	for env := range h.running {
		all = append(all, env)
	}
	h.mu.Unlock()
	for _, env := range all {
		h.work.Go(func() { env.shutdown(&FunctionError{Type: "Runtime.ExitError"}) })
	}
	h.work.Wait()
	return nil
}

// begin hands an invocation to a process that has nothing to do, or to a new one.
func (h *Host) begin(ctx context.Context, inv *invocation) error {
	if len(inv.payload) > maxPayload {
		return ErrPayloadTooLarge
	}
	for {
		env, err := h.take() //nolint:contextcheck // the process it may start outlives this call
		if err != nil {
			return err
		}
		if err := env.awaitInit(ctx); err != nil {
			return err
		}
		if env.invoke(inv) {
			return nil
		} // it ended while nobody needed it
	}
}

// take finds or starts a process. Nobody else has it then.
func (h *Host) take() (*environment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	if n := len(h.idle); n > 0 {
		env := h.idle[n-1]
		h.idle = h.idle[:n-1]
		return env, nil
	}
	if len(h.running) >= h.cfg.Processes {
		return nil, ErrThrottled
	}
	h.started++
	env, err := h.start(h.started)
	if err != nil {
		return nil, err
	}
	h.running[env] = true
	return env, nil
}

// giveBack takes a process that is ready for its next invocation.
func (h *Host) giveBack(env *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[env] {
		h.idle = append(h.idle, env)
	}
}

// forget takes out a process that has ended.
func (h *Host) forget(env *environment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.running, env)
	for i, other := range h.idle {
		if other == env {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			break
		}
	}
}

// Processes tells the process ids of the environments that run now.
func (h *Host) Processes() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	var pids []int
	for env := range h.running {
		pids = append(pids, env.cmd.Process.Pid)
	}
	return pids
}

// Invoke calls the function with an event and returns its result. A failed invocation is a [*FunctionError].
func (h *Host) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	inv := newInvocation(h, event, true)
	if err := h.begin(ctx, inv); err != nil {
		return nil, err
	}
	answer, err := inv.answer()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(answer.body)
}

// tries is how often an asynchronous invocation is made until it does not fail.
const tries = 3

// InvokeAsync takes an event for the function and returns. A failed invocation is made again, twice at most; one for which there is no
// process waits. What came of it is in the log.
func (h *Host) InvokeAsync(event []byte) error {
	if len(event) > maxPayload {
		return ErrPayloadTooLarge
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.work.Go(func() { h.invokeUntilDone(event) })
	return nil
}

func (h *Host) invokeUntilDone(event []byte) {
	for failed := 0; failed < tries; {
		_, err := h.Invoke(context.Background(), event)
		switch {
		case err == nil, errors.Is(err, ErrClosed):
			return
		case !errors.Is(err, ErrThrottled):
			failed++
			h.log.printf("an asynchronous invocation failed, try %d of %d: %v", failed, tries, err)
		}
		select {
		case <-time.After(h.cfg.Retry):
		case <-h.closing:
			return
		}
	}
}
