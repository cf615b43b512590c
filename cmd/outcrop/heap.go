package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapFloor is the size up to which the heap may grow before it is collected. A
// server that is at its unary best has some megabytes that live, and would
// collect every few hundred requests otherwise.
const heapFloor = 32 << 20

// keepHeap has the garbage collector leave a heap alone that is smaller than
// heapFloor, from the next collection on, unless GOGC says what it should do.
func keepHeap() {
	if os.Getenv("GOGC") == "" {
		watchHeap(usualPercent)
	}
}

// usualPercent is Go's: a heap that has doubled is collected.
const usualPercent = 100

// percentFor returns by how many percent a heap of so many bytes that live may
// grow.
func percentFor(live uint64) int {
	if live == 0 || live*(100+usualPercent)/100 >= heapFloor {
		return usualPercent
	}
	return int(min(100*(heapFloor-live)/live, 1600))
}

// watchHeap sets the percentage after the next collection, and so on after each.
func watchHeap(now int) {
	type mark struct{ *mark }
	runtime.AddCleanup(&mark{}, func(now int) {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		percent := percentFor(sample[0].Value.Uint64())
		if percent != now {
			debug.SetGCPercent(percent)
		}
		watchHeap(percent)
	}, now)
}
