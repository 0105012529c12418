package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// lambdaFunctions are the programs that are run; empty: none.
type lambdaFunctions struct{ proxy, management, admin string }

// functions finds what is built, or builds it.
func (f *lambdaFlags) functions(ctx context.Context, tell func(string, ...any), closers *closers) (found lambdaFunctions, err error) {
	if f.build == "" && f.proxy == "" && f.management == "" && f.admin == "" {
		tell("building the functions")
		return buildFunctions(ctx, closers)
	}
	for _, function := range []struct {
		flag, named, folder string
		to                  *string
	}{
		{"--proxy", f.proxy, "Proxy", &found.proxy},
		{"--management", f.management, "Management", &found.management},
		{"--admin", f.admin, "Admin", &found.admin},
	} {
		path := function.named
		if path == "" && f.build != "" {
			function.flag, path = "--build", filepath.Join(f.build, function.folder)
			if !fileExists(path) && function.folder != "Proxy" {
				continue // a stack need not have it
			}
		}
		if path == "" {
			continue
		}
		if *function.to, err = programAt(path); err != nil {
			return lambdaFunctions{}, usageError("%s: %v", function.flag, err)
		}
		if foreign(*function.to) {
			tell("%s was built for another processor than this machine's: build it with GOARCH=%s, unless this machine can run both", *function.to, runtime.GOARCH)
		}
	}
	if found.proxy == "" {
		return lambdaFunctions{}, usageError("the proxy is missing: name it with --proxy or --build")
	}
	return found, nil
}

// programAt is the program of a function that is named by itself or by its folder.
func programAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(path, "bootstrap")
		_, err = os.Stat(path)
	}
	return path, err
}

// foreign reports whether a program is one of Linux for another processor: its header names one that is not ours.
func foreign(program string) bool {
	self, err := os.Executable()
	if err != nil {
		return false
	}
	ours, ourErr := processorOf(self)
	theirs, theirErr := processorOf(program)
	return ourErr == nil && theirErr == nil && ours != theirs
}

// processorOf reads what processor an ELF file is for.
func processorOf(program string) (machine [2]byte, err error) {
	f, err := os.Open(program)
	if err != nil {
		return machine, err
	}
	defer f.Close()
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return machine, err
	}
	if string(head[:4]) != "\x7fELF" {
		return machine, errors.New("no ELF file")
	}
	return [2]byte(head[18:20]), nil
}

// buildFunctions builds them by the rules of the Makefile, for this machine.
func buildFunctions(ctx context.Context, closers *closers) (built lambdaFunctions, err error) {
	root, err := projectRoot()
	if err != nil {
		return built, err
	}
	dir, err := os.MkdirTemp("", "llm-proxy-lambda-")
	if err != nil {
		return built, err
	}
	closers.add("the built functions", func() error { return os.RemoveAll(dir) })
	for rule, to := range map[string]*string{"Proxy": &built.proxy, "Management": &built.management} {
		folder := filepath.Join(dir, rule)
		if err := os.Mkdir(folder, 0o750); err != nil {
			return built, err
		}
		//nolint:gosec // a rule of this project
		build := exec.CommandContext(ctx, "make", "-C", root, "build-"+rule, "ARTIFACTS_DIR="+folder, "GOARCH="+runtime.GOARCH)
		if out, err := build.CombinedOutput(); err != nil {
			return built, fmt.Errorf("build the function %s: %w\n%s", rule, err, out)
		}
		*to = filepath.Join(folder, "bootstrap")
	}
	return built, nil
}
