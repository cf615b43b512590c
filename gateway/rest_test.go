package gateway_test

import (
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func forced() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

func TestAServerThatHasBecomeIdleGivesMemoryBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast)
		transport := &http.Transport{DialContext: p.dial}
		client := newClient(t, transport)
		const each = 2 // collections: a pool keeps its memory over one
		before := forced()
		time.Sleep(time.Minute)
		if got := forced() - before; got != each {
			t.Errorf("%d collections after the start", got)
		}
		for round := range uint32(2) {
			r, err := client.Get(h.URL + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			time.Sleep(time.Minute)
			if got := forced() - before; got != (round+2)*each {
				t.Errorf("%d collections after %d requests", got, round+1)
			}
		}
		transport.CloseIdleConnections()
		if err := h.stop(); err != nil {
			t.Error(err)
		}
	})
}
