package main

import (
	"testing"
	"time"
)

const traces = `File: outcrop
Type: cpu
Duration: 5s, Total samples = 100000000ns
-----------+-------------------------------------------------------
  10000000ns   runtime.mallocgc
             github.com/outcrop/outcrop/fair.(*Pool).Submit
             github.com/outcrop/outcrop/capacity.(*local).submit (inline)
             github.com/outcrop/outcrop/runtimeapi.(*API).Row
-----------+-------------------------------------------------------
  50000000ns   github.com/outcrop/outcrop/sim.(*Engine).Invoke
             github.com/outcrop/outcrop/capacity.(*Pool).Invoke
-----------+-------------------------------------------------------
  20000000ns   modernc.org/sqlite/lib.Xsqlite3_step
             github.com/outcrop/outcrop/batch.sqlConn.query
             github.com/outcrop/outcrop/batch.(*Runner).handOut
-----------+-------------------------------------------------------
  10000000ns   runtime.growslice
             github.com/outcrop/outcrop.(*Answer).Send
             github.com/outcrop/outcrop/capacity.(*sink).Send
-----------+-------------------------------------------------------
  10000000ns   runtime.gcDrain
-----------+-------------------------------------------------------
`

func TestTheShareOfTheScheduler(t *testing.T) {
	s, err := shareOf(traces)
	if err != nil || s != (share{100 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}) || s.percent() != 30 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := shareOf("nothing"); err == nil {
		t.Error("a profile without samples is read")
	}
}
