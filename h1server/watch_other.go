//go:build !linux

package h1server

// A watcher would hear from the kernel when the other side of a connection has
// gone. Here it watches nothing, so that net/http serves every connection.
type watcher struct{}

func (*watcher) start()         {}
func (*watcher) stop()          {}
func (*watcher) runs() bool     { return false }
func (*watcher) add(*conn) bool { return false }
func (*watcher) forget(*conn)   {}
func (*watcher) release(*conn)  {}
