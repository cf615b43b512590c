package h1server

import "time"

// Watched returns how many connections s watches.
func Watched(s *Server) int {
	s.watcher.mu.Lock()
	defer s.watcher.mu.Unlock()
	return len(s.watcher.seen)
}

// IdleDeadline is the deadline of a connection that waits from now on, at
// least for the time given, and has the deadline armed.
func IdleDeadline(armed, now time.Time, least time.Duration) time.Time {
	return idleDeadline(armed, now, least)
}
