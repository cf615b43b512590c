//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package socket

import (
	"syscall"
	"unsafe"
)

const present = true

func read(fd uintptr, b []byte) (int, error) {
	return call(syscall.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

func write(fd uintptr, b []byte) (int, error) {
	return call(syscall.SYS_WRITE, fd, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

func receive(fd uintptr, b, oob []byte) (n, told int, err error) {
	part := syscall.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
	m := syscall.Msghdr{Iov: &part, Iovlen: 1, Control: unsafe.SliceData(oob), Controllen: uint64(len(oob))}
	n, err = call(syscall.SYS_RECVMSG, fd, unsafe.Pointer(&m), 0)
	return n, int(m.Controllen), err
}

// call makes a system call whose second argument is memory.
func call(number, fd uintptr, memory unsafe.Pointer, last uintptr) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(number, fd, uintptr(memory), last)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
