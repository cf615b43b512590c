package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// tick is USER_HZ, the unit of /proc/PID/stat on Linux.
const tick = 100

// An account follows one process through the window.
type account struct {
	pid   int
	begin float64
}

// open sets the process's peak of memory back to its present size and begins
// to account.
func open(pid int) *account {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
	return &account{pid: pid, begin: CPUSeconds(pid)}
}

func (a *account) close() Process {
	return Process{Seconds: CPUSeconds(a.pid) - a.begin, PeakMB: memoryMB(a.pid, "VmHWM:")}
}

// ResidentMB is the resident memory of a process, in MB of 1024² bytes; 0 if
// there is no such process.
func ResidentMB(pid int) float64 { return memoryMB(pid, "VmRSS:") }

// CPUSeconds is the user and system time of a process so far, 0 if there is
// no such process: fields 14 and 15 of its stat; the name in field 2 can hold
// anything up to ')'.
func CPUSeconds(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(string(f[11]), 64)
	system, _ := strconv.ParseFloat(string(f[12]), 64)
	return (user + system) / tick
}

func memoryMB(pid int, key string) float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, key); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(v)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

func selfCPU() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(r.Utime) + seconds(r.Stime)
}

// MachineSeconds is the busy time of all cores together so far, steal
// included.
func MachineSeconds() (s float64) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, f := range strings.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // the name, idle, iowait, guest
			continue
		}
		v, _ := strconv.ParseFloat(f, 64)
		s += v / tick
	}
	return s
}
