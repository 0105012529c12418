package lambdahost

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// environment is one process of the function, with a Runtime API of its own.
type environment struct {
	host    *Host
	cmd     *exec.Cmd
	server  *http.Server
	output  *os.File // what the process writes, to be read
	log     *os.File // the other end, also for lines of the platform
	temp    string
	group   *controlGroup // nil: it has what the machine has
	started time.Time
	initial time.Duration // what INIT took

	ready chan struct{}    // closed when INIT has ended, well or not
	dead  chan struct{}    // closed when the process has ended
	next  chan *invocation // to the runtime that asked for one; never more than one waits in it

	mu         sync.Mutex
	asked      bool // the runtime waits for an invocation
	initiated  bool // INIT ended well
	current    *invocation
	answering  bool  // the runtime is sending its answer
	answered   bool  // the runtime has sent it, or its error
	over       error // why there will be no more invocations
	timer      *time.Timer
	extensions map[string]*extension // by identifier
	ending     bool                  // shutdown was begun
	reported   bool                  // REPORT of the current invocation is in the log
}

// start runs the function's binary. The host's lock is held.
func (h *Host) start(number int) (*environment, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("lambda host: runtime API: %w", err)
	}
	temp, err := os.MkdirTemp("", "lambdahost-")
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("lambda host: %w", err)
	}
	env := &environment{
		host: h, temp: temp, started: time.Now(), ready: make(chan struct{}), dead: make(chan struct{}), next: make(chan *invocation, 1),
		extensions: map[string]*extension{},
	}
	env.server = &http.Server{Handler: env.api(), ReadHeaderTimeout: time.Minute}
	env.cmd = exec.Command(h.cfg.Bootstrap) //nolint:gosec,noctx // the program this package is for; it lives longer than the call that starts it
	env.cmd.Dir = filepath.Dir(h.cfg.Bootstrap)
	env.cmd.Env = env.variables(listener.Addr().String(), number)
	ownGroup(env.cmd)
	if h.groups != nil {
		if env.group, err = h.groups.make(h.groupName(number), h.cfg.MemoryMB); err == nil {
			env.group.enter(env.cmd)
		}
	}
	var output func()
	if err == nil {
		output, err = env.follow()
	}
	if err == nil {
		if err = env.cmd.Start(); err != nil {
			env.log.Close()
			env.output.Close()
		}
	}
	if err != nil {
		env.group.remove()
		listener.Close()
		os.RemoveAll(temp)
		return nil, fmt.Errorf("lambda host: start %s: %w", h.cfg.Bootstrap, err)
	}
	h.work.Go(func() { _ = env.server.Serve(listener) }) // ends with the process
	h.work.Go(func() { env.wait(output) })
	h.work.Go(env.limitInit)
	return env, nil
}

// follow connects the output of the process to the log: one pipe, which the platform's lines take too, so that they stand where they
// belong among the function's. The function it returns copies until the last line.
func (env *environment) follow() (output func(), err error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	env.cmd.Stdout, env.cmd.Stderr, env.output, env.log = to, to, from, to
	return func() { env.host.log.follow(from) }, nil
}

// say adds a line of the platform.
func (env *environment) say(format string, args ...any) {
	_, _ = fmt.Fprintf(env.log, platformLine+format+"\n", args...) // the pipe is ours and is read
}

// variables is the whole environment of the process: nothing of ours is inherited.
func (env *environment) variables(api string, number int) []string {
	cfg := env.host.cfg
	root := filepath.Dir(cfg.Bootstrap)
	all := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin", "LANG": "en_US.UTF-8", "TZ": ":UTC", "TMPDIR": env.temp,
		"LAMBDA_TASK_ROOT": root, "LAMBDA_RUNTIME_DIR": "/var/runtime", "_HANDLER": filepath.Base(cfg.Bootstrap),
		"AWS_REGION": cfg.Region, "AWS_DEFAULT_REGION": cfg.Region, "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_NAME": cfg.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(cfg.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + cfg.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      fmt.Sprintf("%s/[$LATEST]%032x", env.started.UTC().Format("2006/01/02"), number),
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_ACCESS_KEY_ID":               "AKIAFAKEFAKEFAKEFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_SESSION_TOKEN": "fake",
	}
	for name, value := range cfg.Env {
		all[name] = value
	}
	all["AWS_LAMBDA_RUNTIME_API"] = api
	list := make([]string, 0, len(all))
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

// awaitInit waits until the process can be invoked.
func (env *environment) awaitInit(ctx context.Context) error {
	select {
	case <-env.ready:
	case <-ctx.Done():
		env.host.work.Go(func() { // the process is of use to the next caller
			<-env.ready
			env.mu.Lock()
			defer env.mu.Unlock()
			if env.initiated && !env.ending {
				env.host.giveBack(env)
			}
		})
		return ctx.Err()
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if !env.initiated {
		return env.over
	}
	return nil
}

// limitInit ends a process that takes too long to ask for its first invocation.
func (env *environment) limitInit() {
	timer := time.NewTimer(env.host.cfg.Init)
	defer timer.Stop()
	select {
	case <-env.ready:
	case <-timer.C:
		env.shutdown(&FunctionError{Type: "Sandbox.Timedout"})
	}
}

// invoke thaws the process and gives it an invocation, unless it has ended meanwhile.
func (env *environment) invoke(inv *invocation) bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.ending {
		return false
	}
	inv.began = time.Now()
	inv.deadline = inv.began.Add(env.host.cfg.Timeout)
	env.current, env.answering, env.answered, env.asked, env.reported = inv, false, false, false, false
	env.say("START RequestId: %s Version: $LATEST", inv.id)
	thaw(env.cmd.Process)
	env.timer = time.AfterFunc(env.host.cfg.Timeout, func() { env.timeOut(inv) })
	env.next <- inv
	for _, x := range env.extensions {
		if x.invoke {
			x.waiting = false
			x.events <- inv
		}
	}
	return true
}

// timeOut ends a process whose invocation has not come to its end in time.
func (env *environment) timeOut(inv *invocation) {
	env.mu.Lock()
	if env.current != inv {
		env.mu.Unlock()
		return
	}
	env.say("%s Task timed out after %.2f seconds", inv.id, env.host.cfg.Timeout.Seconds())
	env.mu.Unlock()
	env.shutdown(&FunctionError{Type: "Sandbox.Timedout"})
}

// settle freezes the process when there is nothing left for it to do: the runtime has asked for its next invocation, and so have all
// extensions. The lock is held.
func (env *environment) settle() {
	if !env.asked || env.ending {
		return
	}
	for _, x := range env.extensions {
		if !x.waiting {
			return
		}
	}
	if !env.initiated {
		env.initiated = true
		env.initial = time.Since(env.started)
		close(env.ready)
		return
	}
	if env.current == nil {
		return
	}
	freeze(env.cmd.Process)
	env.host.giveBack(env) // whoever takes it waits for the lock
	env.report("")
	env.current = nil
}

// report writes the log's end of an invocation. The lock is held.
func (env *environment) report(status string) {
	inv := env.current
	if inv == nil || env.reported {
		return
	}
	env.reported = true
	env.timer.Stop()
	took := time.Since(inv.began)
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB", inv.id,
		float64(took.Microseconds())/1000, (took+env.initial).Milliseconds()+1, env.host.cfg.MemoryMB)
	if used := memoryUsed(env.cmd.Process.Pid); used > 0 {
		line += fmt.Sprintf("\tMax Memory Used: %d MB", used>>20)
	}
	if env.initial > 0 {
		line += fmt.Sprintf("\tInit Duration: %.2f ms", float64(env.initial.Microseconds())/1000)
		env.initial = 0
	}
	if status != "" {
		line += "\tStatus: " + status
	}
	env.say("END RequestId: %s", inv.id)
	env.say("%s", line)
}

// shutdown ends the process and breaks off what it was doing, for a reason. Extensions may wish to know (SIGTERM) and have a moment.
func (env *environment) shutdown(why error) {
	env.mu.Lock()
	if env.ending || env.over != nil {
		env.mu.Unlock()
		<-env.dead
		return
	}
	env.ending = true
	env.over = why
	if env.current != nil {
		env.current.fail(why)
	}
	extended := len(env.extensions) > 0
	env.mu.Unlock()
	if extended { // else it is killed as it stands, frozen or not
		thaw(env.cmd.Process)
		terminate(env.cmd.Process)
		select {
		case <-env.dead:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
	kill(env.cmd.Process)
	<-env.dead
}

// wait follows the process to its end and cleans up after it.
func (env *environment) wait(output func()) {
	var copied sync.WaitGroup
	copied.Go(output)
	state, err := env.cmd.Process.Wait() // not Cmd.Wait: what the process has started may hold its output open
	env.mu.Lock()
	env.ending = true
	if env.over == nil {
		env.over = exitError(state, err, env.group.exhausted())
	}
	env.mu.Unlock()
	kill(env.cmd.Process) // what it has started
	env.host.forget(env)  // before anybody is told: the next request may have a new one
	env.mu.Lock()
	if env.current != nil {
		env.current.fail(env.over)
		env.report("error")
		env.current = nil
	}
	if !env.initiated {
		close(env.ready)
	}
	env.mu.Unlock()
	env.log.Close()
	late := time.AfterFunc(outputPatience, func() { env.output.Close() })
	copied.Wait()
	late.Stop()
	env.output.Close()
	env.server.Close()
	env.group.remove()
	os.RemoveAll(env.temp)
	close(env.dead)
}

// outputPatience is how long the output of a process that has ended is read on, where something it has started holds it open.
const outputPatience = time.Second

// exitError says how a process ended that was not asked to.
func exitError(state *os.ProcessState, err error, exhausted bool) *FunctionError {
	how := state.String()
	if err != nil {
		how = err.Error()
	}
	if exhausted {
		how += ", it had no memory left"
	}
	return &FunctionError{Type: "Runtime.ExitError", Body: fmt.Appendf(nil, `{"errorType":"Runtime.ExitError","errorMessage":%q}`, "the process ended: "+how)}
}
