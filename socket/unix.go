//go:build unix && (race || msan || asan || !(linux && (amd64 || arm64)))

// The detectors of races and of memory that is not set learn from the reads and
// writes of package syscall what comes before what, and what is set.

package socket

import "syscall"

const present = true

func read(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), b)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

func write(fd uintptr, b []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), b)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

func receive(fd uintptr, b, oob []byte) (n, told int, err error) {
	for {
		n, told, _, _, err = syscall.Recvmsg(int(fd), b, oob, 0)
		if err != syscall.EINTR {
			return max(n, 0), told, err
		}
	}
}
