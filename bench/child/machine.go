package child

import (
	"os"
	"runtime"
	"strings"
)

// A Machine is what the figures of a benchmark depend on.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// Describe returns the machine that the benchmark runs on.
func Describe() Machine {
	return Machine{
		CPU:    afterColon("/proc/cpuinfo", "model name"),
		Cores:  runtime.NumCPU(),
		Memory: afterColon("/proc/meminfo", "MemTotal"),
		Kernel: release(),
		Go:     runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
	}
}

// release is the kernel's version without what its builder appended.
func release() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	number, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	return "Linux " + number
}

func afterColon(file, key string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
