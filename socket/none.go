//go:build !unix

package socket

import "syscall"

const present = false

func read(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }

func write(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }

func receive(uintptr, []byte, []byte) (n, told int, err error) { return 0, 0, syscall.EINVAL }
