package main

import (
	"errors"
	"fmt"
	"io"

	"charm.land/fang/v2"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line or a setting cannot be taken
	exitRefused     = 3 // refused, or not found
	exitUnreachable = 4 // what was to be asked does not answer
)

// exitError carries the exit code of an error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usageError is an error of the command line or the settings.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailed
}

// errorPrefix begins what is printed of an error.
const errorPrefix = "error: "

// seeHelp ends what is printed of an error of the command line or the settings.
const seeHelp = "See --help."

// printError shows an error as it is: names of settings and paths must be fit for copying.
func printError(w io.Writer, _ fang.Styles, err error) {
	fmt.Fprintln(w, errorPrefix+err.Error())
	if exitCode(err) == exitUsage {
		fmt.Fprintln(w, seeHelp)
	}
}
