package main

import "fmt"

// The exit codes of every command.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2 // a wrong command line
	exitNotFound = 3
	exitDenied   = 4
	exitRefused  = 5 // by capacity or quota
	exitFindings = 6 // check-config found something
	exitTimeout  = 7
	exitSignal   = 130
)

// An exitError ends the program with a code. Its cause is printed unless it
// is nil, which means that all has been said.
type exitError struct {
	code  int
	cause error
}

// Error returns the cause's text.
func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.cause.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.cause }

func failed(cause error) error   { return &exitError{exitFailed, cause} }
func notFound(cause error) error { return &exitError{exitNotFound, cause} }
func silent(code int) error      { return &exitError{code: code} }
