package gateway

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// restTime is for how long no request must have come before the server counts
// as idle.
const restTime = 5 * time.Second

// rest gives memory back to the system, once each time that the server has
// become idle, and after its start, until ctx ends. What a busy time has filled
// the pools with would otherwise stay for minutes: nothing is collected where
// nothing is allocated. A pool lets go at the second collection.
func (d *door) rest(ctx context.Context) {
	tick := time.NewTicker(restTime)
	defer tick.Stop()
	seen, freed := int64(0), int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := d.begun.Load()
		if idle := begun == seen && begun == d.ended.Load(); idle && begun != freed {
			runtime.GC()
			debug.FreeOSMemory()
			freed = begun
		}
		seen = begun
	}
}
