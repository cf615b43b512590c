// Package conformance holds no code of its own: its tests build the outcrop
// command once, start it on free ports, and run real Bedrock clients, a real
// transformer engine and raw sockets against it.
//
// The suites in Go always run. Those that need Python or node run only with
// OUTCROP_CLIENTS=1 and the tools that scripts/tools.sh installs; otherwise
// they say that they were skipped. So do those on PostgreSQL where there is none.
package conformance
